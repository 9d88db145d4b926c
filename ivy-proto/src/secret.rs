//! Secret texts.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::text::holds_run_of;

/// A token or password. Its memory is overwritten on drop, and `Debug` does not show it. There is
/// no `Display`.
///
/// ```
/// use ivy_proto::Secret;
///
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// Written by hand, because the derive would add two crates to every program.
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text. Pass it only to code that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text contains a recognisable part of the secret. A server's response may repeat
    /// what it was sent.
    #[must_use]
    pub fn is_repeated_in(&self, text: &str) -> bool {
        // Servers write control characters, such as line breaks, as spaces.
        let spaced = Zeroizing::new(self.0.replace(char::is_control, " "));
        holds_run_of(text, &self.0) || holds_run_of(text, &spaced)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_if_its_line_breaks_are_written_as_spaces() {
        let secret = Secret::new("hunter\n2");
        assert!(secret.is_repeated_in("ERR unknown command, with args 'hunter 2'"));
        assert!(secret.is_repeated_in("ERR unknown command, with args 'hunter\n2'"));
        assert!(!secret.is_repeated_in("ERR unknown command"));
    }
}

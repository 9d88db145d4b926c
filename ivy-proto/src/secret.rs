//! Texts that must not be seen.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::text::holds_run_of;

/// A token or password. Its memory is overwritten when it is dropped, and its `Debug` never shows
/// it; there is no `Display`.
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

// Written by hand, since the derive would be two more crates in every program.
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl Secret {
    /// Takes the text into keeping.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, to be handed to whoever needs it, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text holds a part of the secret that is worth hiding, as the answer of a server may
    /// that repeats what it was sent.
    #[must_use]
    pub fn is_repeated_in(&self, text: &str) -> bool {
        // Servers write line breaks and the like as spaces.
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
    fn a_secret_is_recognised_though_its_line_breaks_are_written_as_spaces() {
        let secret = Secret::new("hunter\n2");
        assert!(secret.is_repeated_in("ERR unknown command, with args 'hunter 2'"));
        assert!(secret.is_repeated_in("ERR unknown command, with args 'hunter\n2'"));
        assert!(!secret.is_repeated_in("ERR unknown command"));
    }
}

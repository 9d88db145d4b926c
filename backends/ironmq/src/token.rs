//! The authentication token.

use std::fmt;

use ivy_proto::Secret;

/// The longest token. IronMQ's have 20 to 30 characters.
const MAX_LENGTH: usize = 4096;

/// A token of an IronMQ project: visible ASCII characters only, so that it cannot break out of its
/// header.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Secret);

/// The text is not a valid token. The error contains its length, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token must be 1 to {MAX_LENGTH} visible ASCII characters without spaces or line breaks; this text of {len} bytes is not"
)]
pub struct BadToken {
    /// The length of the text, in bytes.
    pub len: usize,
}

impl Token {
    /// Validates a token. One line break at its end is removed, because a token read from a file
    /// usually has one.
    ///
    /// # Errors
    /// If the text is empty, too long, or contains anything but visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let allowed = 1..=MAX_LENGTH;
        if !allowed.contains(&line.len()) || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken { len: text.len() });
        }
        Ok(Token(Secret::new(line)))
    }

    /// The token's text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_removed() {
        for text in ["abc", "abc\n", "abc\r\n"] {
            assert_eq!(Token::new(text).unwrap().expose(), "abc", "{text:?}");
        }
    }

    #[test]
    fn a_token_that_could_break_out_of_the_header_is_refused() {
        for text in ["", "\n", "a\n\n", "a\r\nX-Evil: 1", "a b", "a\tb", "ä", "a\0", " a"] {
            assert_eq!(Token::new(text), Err(BadToken { len: text.len() }), "{text:?}");
        }
        assert_eq!(Token::new(&"x".repeat(10_240)), Err(BadToken { len: 10_240 }));
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let token = Token::new("marker").unwrap();
        assert_eq!(format!("{token:?}"), "[redacted]");
    }
}

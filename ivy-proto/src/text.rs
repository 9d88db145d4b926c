//! Untrusted text: escaped for printing, and searched for secrets.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Duration;

/// The maximum length of untrusted text that is printed, in characters.
const MAX_LEN: usize = 256;
/// How many consecutive characters of a secret reveal it. A shorter secret counts as a whole.
const RECOGNISED: usize = 10;

/// The longest error text that is sent, in bytes.
const MAX_ERROR_LEN: usize = 1024;

/// Truncates an error text to 1 KiB, at a character boundary, for sending.
pub(crate) fn brief(text: &str) -> &str {
    beginning(text, MAX_ERROR_LEN)
}

/// The first `longest` bytes of a text, up to a character boundary.
pub(crate) fn beginning(text: &str, longest: usize) -> &str {
    let longest = text.len().min(longest);
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Prints a count with a singular or plural noun.
///
/// ```
/// use ivy_proto::text::Counted;
///
/// assert_eq!(Counted(1_u64, "message", "messages").to_string(), "1 message");
/// assert_eq!(Counted(2_u64, "message", "messages").to_string(), "2 messages");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Counted<Number>(
    /// The count.
    pub Number,
    /// The noun for one.
    pub &'static str,
    /// The noun for any other count.
    pub &'static str,
);

impl<Number: fmt::Display + PartialEq + From<u8>> fmt::Display for Counted<Number> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counted(number, one, many) = self;
        write!(f, "{number} {}", if *number == Number::from(1_u8) { one } else { many })
    }
}

/// Prints a duration to a tenth of a second.
pub(crate) struct Tenths(pub(crate) Duration);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}s", self.0.as_secs_f64())
    }
}

/// Prints the name of a type without its modules.
pub(crate) struct TypeName(pub(crate) &'static str);

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .split_inclusive(|character: char| !character.is_alphanumeric() && character != '_')
            .try_for_each(|word| if word.ends_with(':') { Ok(()) } else { f.write_str(word) })
    }
}

/// Prints untrusted text with control and direction-changing characters escaped, truncated to 256
/// characters, so that a name cannot forge a log line.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, character) in self.0.chars().enumerate() {
            if position == MAX_LEN {
                return f.write_str("...");
            }
            write_escaped(character, f)?;
        }
        Ok(())
    }
}

/// Prints untrusted text as [`Escaped`] does, without truncating it. For text whose length the
/// operator has chosen.
#[derive(Clone, Copy, Debug)]
pub struct EscapedInFull<'a>(pub &'a str);

impl fmt::Display for EscapedInFull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write_escaped(character, f))
    }
}

fn write_escaped(character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_plain(character) {
        f.write_char(character)
    } else {
        write!(f, "{}", character.escape_default())
    }
}

/// Whether a character can be printed without changing how the text around it is displayed.
#[must_use]
pub fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether all characters of a text are [plain](is_plain).
#[must_use]
pub fn is_printable(text: &str) -> bool {
    // Almost all texts are ASCII. Without an early exit, the check is vectorized.
    text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
        || text.chars().all(is_plain)
}

/// Parses a number of digits only: `1e3`, `0x10`, `+1` and `10s` are rejected as typing errors.
#[must_use]
pub fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Whether a text contains a recognisable part of a secret: ten consecutive characters, or all of a
/// shorter secret.
#[must_use]
pub fn holds_run_of(text: &str, secret: &str) -> bool {
    runs(secret, run_length(secret)).any(|run| text.contains(run))
}

/// Like [`holds_run_of`], for a short text and a possibly very long secret.
#[must_use]
pub fn shares_run(text: &str, secret: &str) -> bool {
    runs(text, run_length(secret)).any(|run| secret.contains(run))
}

fn run_length(secret: &str) -> usize {
    secret.chars().take(RECOGNISED).count()
}

/// All runs of `length` characters; none for zero.
fn runs(text: &str, length: usize) -> impl Iterator<Item = &str> {
    let starts = text.char_indices().map(|(at, _)| at);
    let ends = starts.clone().chain([text.len()]).skip(length);
    starts.zip(ends).filter(move |_| length > 0).map(|(start, end)| &text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_is_truncated_between_characters() {
        assert_eq!(brief("short"), "short");
        assert_eq!(brief(&format!("x{}", "\u{e9}".repeat(600))).len(), 1023);
    }

    #[test]
    fn runs_are_counted_in_characters() {
        assert_eq!(runs("a\u{e4}bc", 2).collect::<Vec<_>>(), ["a\u{e4}", "\u{e4}b", "bc"]);
        assert_eq!(runs("ab", 2).collect::<Vec<_>>(), ["ab"]);
        assert_eq!(runs("ab", 3).count(), 0);
        assert_eq!(runs("ab", 0).count(), 0);
    }

    #[test]
    fn a_secret_is_recognised_by_ten_of_its_characters_or_as_a_whole() {
        for recognised in [holds_run_of, shares_run] {
            assert!(recognised("at 0123456789!", "x0123456789x"));
            assert!(!recognised("at 012345678!", "x0123456789x"));
            assert!(recognised("the pin 42", "42"));
            assert!(!recognised("the pin", ""));
        }
    }

    #[test]
    fn a_line_break_cannot_forge_a_log_line() {
        assert_eq!(Escaped("a\n[ERROR] fake").to_string(), "a\\n[ERROR] fake");
    }

    #[test]
    fn escape_sequences_and_direction_marks_are_escaped() {
        assert_eq!(Escaped("\u{1b}[31m\u{202e}x").to_string(), "\\u{1b}[31m\\u{202e}x");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Escaped(&"x".repeat(1 << 20)).to_string().len(), 259);
        assert_eq!(EscapedInFull(&"\n".repeat(1000)).to_string(), "\\n".repeat(1000));
    }

    #[test]
    fn numbers_times_and_types_read_as_people_write_them() {
        let counted = |number: u32| Counted(number, "attempt", "attempts").to_string();
        assert_eq!(
            (&*counted(0), &*counted(1), &*counted(2)),
            ("0 attempts", "1 attempt", "2 attempts")
        );
        assert_eq!(Tenths(Duration::from_micros(5_001_430)).to_string(), "5.0s");
        for (name, short) in [
            ("u64", "u64"),
            ("alloc::string::String", "String"),
            ("core::option::Option<alloc::vec::Vec<my_app::Order>>", "Option<Vec<Order>>"),
            ("(u8, &str)", "(u8, &str)"),
        ] {
            assert_eq!(TypeName(name).to_string(), short);
        }
    }
}

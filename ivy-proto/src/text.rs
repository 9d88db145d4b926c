//! Text from outside, made safe to print.

use std::fmt;

/// The longest foreign text that is printed; the rest is cut.
const LONGEST: usize = 256;

/// Prints foreign text with control and direction-changing characters escaped, cut to 256
/// characters, so that a name cannot forge a log line.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, character) in self.0.chars().enumerate() {
            if position == LONGEST {
                return f.write_str("...");
            }
            if is_plain(character) {
                write!(f, "{character}")?;
            } else {
                write!(f, "{}", character.escape_default())?;
            }
        }
        Ok(())
    }
}

/// Whether a character can be printed without changing how the text around it is read.
pub(crate) fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_cannot_forge_a_log_line() {
        assert_eq!(Escaped("a\n[ERROR] fake").to_string(), "a\\n[ERROR] fake");
    }

    #[test]
    fn escape_sequences_and_direction_marks_are_shown_not_obeyed() {
        assert_eq!(Escaped("\u{1b}[31m\u{202e}x").to_string(), "\\u{1b}[31m\\u{202e}x");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Escaped(&"x".repeat(1 << 20)).to_string().len(), 259);
    }
}

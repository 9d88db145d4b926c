//! Patterns of names.

use std::fmt;
use std::str::FromStr;

use super::InvalidFilter;

/// The longest pattern, in bytes: that of a name.
const LONGEST: usize = 255;

/// A pattern of names: `*` matches any characters, or none, and `?` one character. Everything else
/// matches itself.
///
/// ```
/// use ivy_proto::admin::Glob;
///
/// let mails: Glob = "mail.*".parse()?;
/// assert!(mails.matches("mail.send") && !mails.matches("email.send"));
/// # Ok::<(), ivy_proto::admin::InvalidFilter>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Whether a name matches. Takes at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_str(), name);
        // Where to go on if what follows the last star does not match here.
        let mut after_star: Option<(&str, &str)> = None;
        loop {
            let next = pattern.chars().next();
            if next == Some('*') {
                pattern = &pattern[1..];
                after_star = Some((pattern, rest));
            } else if let Some(character) = rest.chars().next()
                && (next == Some('?') || next == Some(character))
            {
                pattern = without_first(pattern);
                rest = without_first(rest);
            } else if rest.is_empty() && pattern.is_empty() {
                return true;
            } else if let Some((behind, from)) = after_star
                && !from.is_empty()
            {
                let from = without_first(from);
                after_star = Some((behind, from));
                (pattern, rest) = (behind, from);
            } else {
                return false;
            }
        }
    }
}

/// A text without its first character.
fn without_first(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

impl FromStr for Glob {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        if (1..=LONGEST).contains(&text.len()) {
            Ok(Glob(text.to_owned()))
        } else {
            Err(InvalidFilter::Glob)
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::text::Escaped(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, which is exponential.
    fn by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                (0..=name.len()).any(|skipped| by_definition(rest, &name[skipped..]))
            }
            (['?', rest @ ..], [_, behind @ ..]) => by_definition(rest, behind),
            ([one, rest @ ..], [other, behind @ ..]) => one == other && by_definition(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_as_it_is_defined(pattern in "[ab*?ä]{1,8}", name in "[abä]{0,8}") {
            let glob: Glob = pattern.parse().unwrap();
            let (pattern, name): (Vec<char>, Vec<char>) =
                (pattern.chars().collect(), name.chars().collect());
            let text: String = name.iter().collect();
            prop_assert_eq!(glob.matches(&text), by_definition(&pattern, &name));
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let glob: Glob = "a*".repeat(100).parse().unwrap();
        assert!(!glob.matches(&format!("{}b", "a".repeat(99))));
        assert!(glob.matches(&"a".repeat(255)));
    }

    #[test]
    fn an_empty_or_endless_pattern_is_refused() {
        for text in [String::new(), "x".repeat(256)] {
            assert_eq!(text.parse::<Glob>(), Err(InvalidFilter::Glob));
        }
    }
}

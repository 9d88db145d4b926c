//! Ranges of counts, as operators write them.

use std::str::FromStr;

use crate::text::number;

use super::InvalidFilter;

/// A range of counts, written `3` or `=3`, `>=3`, `>3`, `<=3`, `<3`. Contains at least one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountRange {
    least: u32,
    most: u32,
}

impl CountRange {
    /// Whether a count is in the range.
    #[must_use]
    pub fn holds(self, count: u32) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

impl FromStr for CountRange {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let digits = text.trim_start_matches(['<', '>', '=']);
        let sign = &text[..text.len() - digits.len()];
        let count: u32 =
            number(digits).filter(|_| !digits.is_empty()).ok_or(InvalidFilter::CountRange)?;
        let range = |least, most| CountRange { least, most };
        Ok(match sign {
            "" | "=" => range(count, count),
            ">=" => range(count, u32::MAX),
            ">" => range(count.checked_add(1).ok_or(InvalidFilter::CountRange)?, u32::MAX),
            "<=" => range(0, count),
            "<" => range(0, count.checked_sub(1).ok_or(InvalidFilter::NoCount)?),
            _ => return Err(InvalidFilter::CountRange),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_what_its_sign_says() {
        let held = |text: &str| {
            let range: CountRange = text.parse().unwrap();
            (0..6).filter(|count| range.holds(*count)).collect::<Vec<u32>>()
        };
        assert_eq!(held("3"), [3]);
        assert_eq!(held("=3"), [3]);
        assert_eq!(held(">=3"), [3, 4, 5]);
        assert_eq!(held(">3"), [4, 5]);
        assert_eq!(held("<=3"), [0, 1, 2, 3]);
        assert_eq!(held("<3"), [0, 1, 2]);
    }

    #[test]
    fn other_texts_and_empty_ranges_are_refused() {
        for text in ["", ">", "three", "=>3", "==3", "-1", "3-5", "> 3", "4294967296"] {
            assert_eq!(text.parse::<CountRange>(), Err(InvalidFilter::CountRange), "{text}");
        }
        assert_eq!("<0".parse::<CountRange>(), Err(InvalidFilter::NoCount));
        assert_eq!(">4294967295".parse::<CountRange>(), Err(InvalidFilter::CountRange));
    }
}

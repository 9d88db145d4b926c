//! The name that was probably meant.

use std::mem;

/// The name that differs least from a name that does not exist: by at most a third of its
/// characters, or two if it has more than three, added, removed or replaced. `None` if there is no
/// such name.
///
/// ```
/// use ivy_proto::inspect::nearest;
///
/// assert_eq!(nearest("mial", ["mail", "reports"]), Some("mail"));
/// assert_eq!(nearest("orders", ["mail", "reports"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let most = if length > 3 { (length / 3).max(2) } else { length / 3 };
    names
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance of two texts.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, character) in one.chars().enumerate() {
        let mut diagonal = mem::replace(&mut row[0], line + 1);
        for (column, candidate) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_removals_and_replacements_are_counted() {
        for (one, other, expected) in [
            ("", "", 0),
            ("mail", "", 4),
            ("", "mail", 4),
            ("mail", "mail", 0),
            ("mail", "mails", 1),
            ("mail", "nail", 1),
            ("mial", "mail", 2),
            ("žluť", "zlut", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_distant_one_is_not() {
        assert_eq!(nearest("maill", ["reports", "mails", "mail"]), Some("mail"));
        assert_eq!(nearest("mail", ["reports", "orders"]), None);
        assert_eq!(nearest("mail", []), None);
        // Every short name is near to any other one.
        assert_eq!(nearest("c", ["d"]), None);
    }
}

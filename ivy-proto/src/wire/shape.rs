//! How deep and how long a JSON array is, measured without building it.

use super::raw::RawJson;
use super::scan::Scanner;

/// How many levels deep an argument or a result may be nested: so many arrays and objects may
/// stand around its innermost one. `5` and `[]` are not nested, `[[5]]` is one level deep.
///
/// One limit for those who write and those who read. Together with the list of arguments or results
/// that it stands in, a value of this depth is the deepest that `serde_json` turns into Rust types.
pub const MAX_DEPTH: usize = 125;

/// How many levels are open at once in the deepest value: its innermost one, and those around it.
pub(super) const OPEN_IN_VALUE: usize = MAX_DEPTH + 1;

/// How many levels are open at once in the deepest list of such values.
pub(super) const OPEN_IN_LIST: usize = OPEN_IN_VALUE + 1;

/// The most arguments of a task.
pub const MAX_ARGS: usize = 10_000;

/// The shape of a JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The most levels that are open at once: 1 for `[]`.
    pub(super) depth: usize,
    /// How many elements an array has, or entries an object.
    pub(super) elements: usize,
}

impl Shape {
    /// Whether a list of this shape holds a value that is nested too deep.
    pub(super) fn is_too_deep(self) -> bool {
        self.depth > OPEN_IN_LIST
    }
}

/// Whether a list of values, as JSON, holds one that is nested too deep.
pub(crate) fn list_is_too_deep(list: &RawJson) -> bool {
    is_deeper(list, OPEN_IN_LIST)
}

/// Whether a value, as JSON, is nested too deep.
pub(crate) fn value_is_too_deep(value: &RawJson) -> bool {
    is_deeper(value, OPEN_IN_VALUE)
}

fn is_deeper(json: &RawJson, most_open: usize) -> bool {
    let json = json.as_str();
    // Counting costs far less than measuring, and is enough for almost all values.
    let opens = json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    opens > most_open && measure(json).depth > most_open
}

/// Measures a text that is known to be JSON.
pub(super) fn measure(json: &str) -> Shape {
    Scanner::new(json).value(0).map(|(_, shape)| shape).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(open: usize) -> RawJson {
        RawJson::parse(&("[".repeat(open) + &"]".repeat(open))).unwrap()
    }

    #[test]
    fn the_deepest_list_is_the_deepest_that_serde_reads() {
        let read = |open| serde_json::from_str::<serde_json::Value>(nested(open).as_str());
        assert!(read(OPEN_IN_LIST).is_ok() && read(OPEN_IN_LIST + 1).is_err());
    }

    #[test]
    fn values_and_lists_of_them_have_one_limit() {
        assert!(!value_is_too_deep(&nested(OPEN_IN_VALUE)));
        assert!(value_is_too_deep(&nested(OPEN_IN_VALUE + 1)));
        assert!(!list_is_too_deep(&nested(OPEN_IN_LIST)));
        assert!(list_is_too_deep(&nested(OPEN_IN_LIST + 1)));
    }

    #[test]
    fn a_value_of_many_parts_is_not_taken_for_a_deep_one() {
        let flat = format!("[{}[]]", "[{}],".repeat(1_000));
        assert!(!value_is_too_deep(&RawJson::parse(&flat).unwrap()));
        let text = RawJson::parse(&format!("\"{}\"", "[{".repeat(1_000))).unwrap();
        assert!(!value_is_too_deep(&text));
    }

    #[test]
    fn levels_and_elements_are_counted() {
        for (array, depth, elements) in [
            ("[]", 1, 0),
            ("[ \n]", 1, 0),
            ("[1]", 1, 1),
            ("[[]]", 2, 1),
            ("[[1,2],{\"a\":[3,4]}]", 3, 2),
            (r#"["[[,\"[,\\",2]"#, 1, 2),
        ] {
            assert_eq!(measure(array), Shape { depth, elements }, "{array}");
        }
    }
}

//! Checks for values that are nested too deeply, without parsing them.

use super::raw::RawJson;
use super::scan::measure;
use super::shape::{OPEN_IN_LIST, OPEN_IN_VALUE};

/// Whether a JSON list contains a value that is nested too deeply.
pub(crate) fn list_is_too_deep(list: &RawJson) -> bool {
    is_deeper(list, OPEN_IN_LIST)
}

/// Whether a JSON value is nested too deeply.
pub(crate) fn value_is_too_deep(value: &RawJson) -> bool {
    is_deeper(value, OPEN_IN_VALUE)
}

fn is_deeper(json: &RawJson, max_depth: usize) -> bool {
    let json = json.as_str();
    // Counting brackets costs far less than measuring the depth, and suffices for almost all
    // values.
    let opens = json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    opens > max_depth && measure(json).depth > max_depth
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
    fn a_value_with_many_parts_is_not_deep() {
        let flat = format!("[{}[]]", "[{}],".repeat(1_000));
        assert!(!value_is_too_deep(&RawJson::parse(&flat).unwrap()));
        let text = RawJson::parse(&format!("\"{}\"", "[{".repeat(1_000))).unwrap();
        assert!(!value_is_too_deep(&text));
    }
}

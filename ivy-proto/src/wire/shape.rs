//! How deep and how long a JSON array is, measured without building it.

use super::scan::Scanner;

/// The most levels of arrays and objects in a task's arguments, the list of arguments itself
/// included. One more, and `serde_json` would refuse to turn them into the handler's types.
pub const MAX_DEPTH: usize = 127;

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

/// Measures a text that is known to be JSON.
pub(super) fn measure(json: &str) -> Shape {
    Scanner::new(json).value(0).map(|(_, shape)| shape).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_arguments_are_the_deepest_that_a_handler_can_read() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        let read = |depth| serde_json::from_str::<serde_json::Value>(&nested(depth));
        assert!(read(MAX_DEPTH).is_ok() && read(MAX_DEPTH + 1).is_err());
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

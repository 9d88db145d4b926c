//! How deep and how long a JSON array is, measured without building it.

/// The most levels of arrays and objects in a task's arguments, the list of arguments itself
/// included. One more, and `serde_json` would refuse to turn them into the handler's types.
pub const MAX_DEPTH: usize = 127;

/// The most arguments of a task.
pub const MAX_ARGS: usize = 10_000;

/// The shape of a JSON array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The most levels that are open at once: 1 for `[]`.
    pub(super) depth: usize,
    /// How many elements the array has.
    pub(super) elements: usize,
}

/// Measures a text that is known to be a JSON array, in one pass and constant space.
pub(super) fn measure(array: &str) -> Shape {
    let mut bytes = array.bytes();
    let (mut depth, mut deepest, mut commas, mut empty) = (0_usize, 0, 0, true);
    while let Some(byte) = bytes.next() {
        if depth == 1 && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b']') {
            empty = false;
        }
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => commas += 1,
            _ => {}
        }
    }
    Shape { depth: deepest, elements: if empty { 0 } else { commas + 1 } }
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
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

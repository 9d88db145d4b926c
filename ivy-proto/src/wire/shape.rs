//! How deep and how long a JSON value is, and may be.

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

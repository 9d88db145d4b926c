//! The depth and length of JSON values, and their limits.

/// How deeply an argument or a result may be nested: the number of arrays and objects around its
/// innermost one. `5` and `[]` are not nested, `[[5]]` is one level deep.
///
/// Writers and readers have the same limit. Within the list of arguments or results, a value of
/// this depth is the deepest that `serde_json` can deserialize.
pub const MAX_DEPTH: usize = 125;

/// The number of open levels in the deepest value: its innermost one, and those around it.
pub(super) const OPEN_IN_VALUE: usize = MAX_DEPTH + 1;

/// The number of open levels in the deepest list of such values.
pub(super) const OPEN_IN_LIST: usize = OPEN_IN_VALUE + 1;

/// The maximum number of arguments of a task.
pub const MAX_ARGS: usize = 10_000;

/// The shape of a JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The maximum number of open levels: 1 for `[]`.
    pub(super) depth: usize,
    /// The number of elements of an array, or of entries of an object.
    pub(super) elements: usize,
}

impl Shape {
    /// Whether a list of this shape contains a value that is nested too deeply.
    pub(super) fn is_too_deep(self) -> bool {
        self.depth > OPEN_IN_LIST
    }
}

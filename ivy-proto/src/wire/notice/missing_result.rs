//! Results that are not included in notices.

/// Why the result of a task that succeeded is not in its notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingResult {
    /// It does not fit into a notice.
    TooLarge,
    /// It is nested more deeply than the limit.
    TooDeep,
}

impl MissingResult {
    const ALL: [MissingResult; 2] = [MissingResult::TooLarge, MissingResult::TooDeep];

    /// The kind of the error in the notice.
    pub(super) fn kind(self) -> &'static str {
        match self {
            MissingResult::TooLarge => "ResultTooLarge",
            MissingResult::TooDeep => "ResultTooDeep",
        }
    }

    pub(super) fn of_kind(kind: &str) -> Option<Self> {
        MissingResult::ALL.into_iter().find(|missing| missing.kind() == kind)
    }

    /// The message of the error in the notice.
    pub(super) fn message(self) -> &'static str {
        match self {
            MissingResult::TooLarge => "the result does not fit into a notice",
            MissingResult::TooDeep => "the result is nested more than 125 levels deep",
        }
    }
}

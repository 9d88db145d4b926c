//! Results that no notice carries.

/// Why the result of a task that succeeded is not in its notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingResult {
    /// It does not fit.
    TooLarge,
    /// It is nested deeper than a value may be.
    TooDeep,
}

impl MissingResult {
    const ALL: [MissingResult; 2] = [MissingResult::TooLarge, MissingResult::TooDeep];

    /// The error kind that stands for it in a notice.
    pub(super) fn kind(self) -> &'static str {
        match self {
            MissingResult::TooLarge => "ResultTooLarge",
            MissingResult::TooDeep => "ResultTooDeep",
        }
    }

    pub(super) fn of_kind(kind: &str) -> Option<Self> {
        MissingResult::ALL.into_iter().find(|missing| missing.kind() == kind)
    }

    /// What the notice says to people.
    pub(super) fn message(self) -> &'static str {
        match self {
            MissingResult::TooLarge => "the result does not fit into a notice",
            MissingResult::TooDeep => "the result is nested more than 125 levels deep",
        }
    }
}

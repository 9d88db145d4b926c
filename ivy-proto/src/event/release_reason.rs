//! Why messages are released.

use crate::wire::DeadLetterReason;

/// Why a message was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ReleaseReason {
    /// Another worker may be able to handle it.
    Undecided(DeadLetterReason),
    /// The handler failed, and the task will be retried.
    Retry,
    /// The worker is draining.
    Drain,
    /// The worker is paused.
    Paused,
    /// Its remaining lease was too short to start the handler.
    LeaseTooShort,
    /// The queue returned more messages than there was room for.
    NoRoom,
    /// The queue refused the message of its next attempt.
    SuccessorRefused,
    /// The queue refused its dead-letter copy.
    DeadLetterRefused,
    /// The system provided no thread to run the handler. The attempt does not count.
    NoThread,
}

impl ReleaseReason {
    /// The reason's name, for labels: if the worker could not decide on the message, what prevented
    /// it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ReleaseReason::Undecided(reason) => reason.as_str(),
            ReleaseReason::Retry => "Retry",
            ReleaseReason::Drain => "Drain",
            ReleaseReason::Paused => "Paused",
            ReleaseReason::LeaseTooShort => "LeaseTooShort",
            ReleaseReason::NoRoom => "NoRoom",
            ReleaseReason::SuccessorRefused => "SuccessorRefused",
            ReleaseReason::DeadLetterRefused => "DeadLetterRefused",
            ReleaseReason::NoThread => "NoThread",
        }
    }

    /// The reason of this name; `None` if it is unknown here.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let decided = DECIDED.into_iter().find(|reason| reason.as_str() == name);
        decided.or_else(|| name.parse().ok().map(ReleaseReason::Undecided))
    }
}

/// All reasons but those for which a worker could not decide.
const DECIDED: [ReleaseReason; 8] = [
    ReleaseReason::Retry,
    ReleaseReason::Drain,
    ReleaseReason::Paused,
    ReleaseReason::LeaseTooShort,
    ReleaseReason::NoRoom,
    ReleaseReason::SuccessorRefused,
    ReleaseReason::DeadLetterRefused,
    ReleaseReason::NoThread,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_found_by_its_name() {
        let undecided = DeadLetterReason::ALL.iter().copied().map(ReleaseReason::Undecided);
        for reason in undecided.chain(DECIDED) {
            assert_eq!(ReleaseReason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(ReleaseReason::from_name("Mood"), None);
    }
}

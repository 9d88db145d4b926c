//! Why a message was put aside.

/// Why a message was moved to the dead-letter queue. Its name stands in the dead-letter envelope
/// and, as the kind of the error, in the notice to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// The message has no body.
    EmptyBody,
    /// The body, opened if it was a frame, is not JSON.
    BadJson,
    /// The body is JSON, but not an object.
    NotAnObject,
    /// A key of the envelope or of its options stands twice.
    DuplicateKey,
    /// The task's name is missing, not a text, or not a name.
    BadName,
    /// The options are not an object, or one of them is out of its range.
    BadOptions,
    /// The arguments are not an array, too many, or not what the handler takes.
    BadArgs,
    /// The body is not UTF-8.
    BadUtf8,
    /// The arguments are nested too deeply.
    TooDeep,
    /// The body is too large.
    TooLarge,
    /// The body is a frame without the parts that its tag asks for.
    BadFrame,
    /// The frame names a cipher that is not accepted.
    UnknownCipher,
    /// The frame's content is not base64.
    BadBase64,
    /// The body is a frame, and there is no key to open it with.
    NoKey,
    /// The frame does not open with the key that there is.
    Undecryptable,
    /// The frame is not authentic: altered, moved from elsewhere, or sealed with another key.
    BadTag,
    /// The frame names a key that is not known here.
    UnknownKey,
    /// The frame names a key that is not to be used any more.
    KeyDisabled,
    /// The body is less protected than the queue demands.
    Downgrade,
    /// The task was called longer ago than the queue allows, or it is not known when.
    Expired,
    /// The task was called later than now: a clock is wrong.
    CalledInFuture,
    /// The body is readable to anybody where only encrypted ones are accepted.
    ExpectedEncrypted,
    /// The body, or its `options.ivy`, is of a version that is not known here.
    UnsupportedVersion,
    /// The body is in a format that this worker was not built with.
    UnsupportedFormat,
    /// No handler is registered under the task's name.
    UnknownTask,
    /// The task's deadline had passed before it could be started.
    Deadline,
    /// Too many deliveries of the message were lost, since workers crashed or leases ended: its task
    /// may be what crashes them.
    TooManyDeliveries,
    /// The task failed, and all its retries as well.
    RetriesExhausted,
    /// The task failed with an error that is not to be retried.
    Fatal,
}

impl DeadLetterReason {
    /// All reasons.
    pub const ALL: [DeadLetterReason; 29] = [
        DeadLetterReason::EmptyBody,
        DeadLetterReason::BadJson,
        DeadLetterReason::NotAnObject,
        DeadLetterReason::DuplicateKey,
        DeadLetterReason::BadName,
        DeadLetterReason::BadOptions,
        DeadLetterReason::BadArgs,
        DeadLetterReason::BadUtf8,
        DeadLetterReason::TooDeep,
        DeadLetterReason::TooLarge,
        DeadLetterReason::BadFrame,
        DeadLetterReason::UnknownCipher,
        DeadLetterReason::BadBase64,
        DeadLetterReason::NoKey,
        DeadLetterReason::Undecryptable,
        DeadLetterReason::BadTag,
        DeadLetterReason::UnknownKey,
        DeadLetterReason::KeyDisabled,
        DeadLetterReason::Downgrade,
        DeadLetterReason::Expired,
        DeadLetterReason::CalledInFuture,
        DeadLetterReason::ExpectedEncrypted,
        DeadLetterReason::UnsupportedVersion,
        DeadLetterReason::UnsupportedFormat,
        DeadLetterReason::UnknownTask,
        DeadLetterReason::Deadline,
        DeadLetterReason::TooManyDeliveries,
        DeadLetterReason::RetriesExhausted,
        DeadLetterReason::Fatal,
    ];

    /// The reason's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadLetterReason::EmptyBody => "EmptyBody",
            DeadLetterReason::BadJson => "BadJson",
            DeadLetterReason::NotAnObject => "NotAnObject",
            DeadLetterReason::DuplicateKey => "DuplicateKey",
            DeadLetterReason::BadName => "BadName",
            DeadLetterReason::BadOptions => "BadOptions",
            DeadLetterReason::BadArgs => "BadArgs",
            DeadLetterReason::BadUtf8 => "BadUtf8",
            DeadLetterReason::TooDeep => "TooDeep",
            DeadLetterReason::TooLarge => "TooLarge",
            DeadLetterReason::BadFrame => "BadFrame",
            DeadLetterReason::UnknownCipher => "UnknownCipher",
            DeadLetterReason::BadBase64 => "BadBase64",
            DeadLetterReason::NoKey => "NoKey",
            DeadLetterReason::Undecryptable => "Undecryptable",
            DeadLetterReason::BadTag => "BadTag",
            DeadLetterReason::UnknownKey => "UnknownKey",
            DeadLetterReason::KeyDisabled => "KeyDisabled",
            DeadLetterReason::Downgrade => "Downgrade",
            DeadLetterReason::Expired => "Expired",
            DeadLetterReason::CalledInFuture => "CalledInFuture",
            DeadLetterReason::ExpectedEncrypted => "ExpectedEncrypted",
            DeadLetterReason::UnsupportedVersion => "UnsupportedVersion",
            DeadLetterReason::UnsupportedFormat => "UnsupportedFormat",
            DeadLetterReason::UnknownTask => "UnknownTask",
            DeadLetterReason::Deadline => "Deadline",
            DeadLetterReason::TooManyDeliveries => "TooManyDeliveries",
            DeadLetterReason::RetriesExhausted => "RetriesExhausted",
            DeadLetterReason::Fatal => "Fatal",
        }
    }

    /// Whether a wrong clock, of this machine or of the caller's, gives this reason too.
    pub(crate) const fn follows_from_the_time(self) -> bool {
        matches!(
            self,
            DeadLetterReason::Expired
                | DeadLetterReason::CalledInFuture
                | DeadLetterReason::Deadline
        )
    }

    /// Whether another worker, or this one after its next deployment, may be able to handle such a
    /// message: then it is released for a while before it is put aside.
    #[must_use]
    pub const fn may_be_decided_elsewhere(self) -> bool {
        matches!(
            self,
            DeadLetterReason::NoKey
                | DeadLetterReason::Undecryptable
                | DeadLetterReason::BadTag
                | DeadLetterReason::UnknownKey
                | DeadLetterReason::CalledInFuture
                | DeadLetterReason::UnsupportedVersion
                | DeadLetterReason::UnsupportedFormat
                | DeadLetterReason::UnknownTask
        )
    }

    /// Whether a worker has put a body with this fault aside without having opened it, so that nothing
    /// shows that its keys are those of the body's sender. What such a worker seals, the sender's keys
    /// may not open.
    #[must_use]
    pub const fn is_unopened(self) -> bool {
        matches!(
            self,
            DeadLetterReason::TooLarge
                | DeadLetterReason::BadFrame
                | DeadLetterReason::UnknownCipher
                | DeadLetterReason::BadBase64
                | DeadLetterReason::NoKey
                | DeadLetterReason::Undecryptable
                | DeadLetterReason::BadTag
                | DeadLetterReason::UnknownKey
                | DeadLetterReason::KeyDisabled
                | DeadLetterReason::Downgrade
                | DeadLetterReason::ExpectedEncrypted
                | DeadLetterReason::UnsupportedVersion
                | DeadLetterReason::UnsupportedFormat
        )
    }
}

impl std::fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for DeadLetterReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        DeadLetterReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or(UnknownReason)
    }
}

/// The text names no reason that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reason for a dead letter that is known here")]
pub struct UnknownReason;

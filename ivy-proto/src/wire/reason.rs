//! Why a message was moved to the dead-letter queue.

/// Why a message was moved to the dead-letter queue. The name of the reason is in the dead letter
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
    /// The envelope or its options contain a duplicate key.
    DuplicateKey,
    /// The task's name is missing, not a text, or invalid.
    BadName,
    /// The options are not an object, or one of them is out of range.
    BadOptions,
    /// The arguments are not an array, too many, or do not match the handler.
    BadArgs,
    /// The body is not UTF-8.
    BadUtf8,
    /// The arguments are nested too deeply.
    TooDeep,
    /// The body is too large.
    TooLarge,
    /// The body is a frame without the parts that its tag requires.
    BadFrame,
    /// The frame names a cipher that is not supported.
    UnknownCipher,
    /// The frame's content is not base64.
    BadBase64,
    /// The body is a frame, and there is no key to open it.
    NoKey,
    /// The frame does not open with the worker's key.
    Undecryptable,
    /// The frame is not authentic: altered, moved, or sealed with another key.
    BadTag,
    /// The frame names an unknown key.
    UnknownKey,
    /// The frame names a key that is disabled.
    KeyDisabled,
    /// The body is less protected than the queue requires.
    Downgrade,
    /// The task was called longer ago than the queue allows, or at an unknown time.
    Expired,
    /// The task was called in the future: a clock is wrong.
    CalledInFuture,
    /// The body is not encrypted, but the queue requires encryption.
    ExpectedEncrypted,
    /// The version of the body, or of its `options.ivy`, is not supported.
    UnsupportedVersion,
    /// The format of the body is not supported by this build of the worker.
    UnsupportedFormat,
    /// No handler is registered for the task.
    UnknownTask,
    /// The task's deadline passed before it was started.
    Deadline,
    /// Too many deliveries of the message were lost because workers crashed or leases ended: the
    /// task may crash its workers.
    TooManyDeliveries,
    /// The task failed, and so did all its retries.
    RetriesExhausted,
    /// The task failed with an error that must not be retried.
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

    /// Whether a wrong clock, of this host or of the caller, can cause this reason too.
    pub(crate) const fn follows_from_the_time(self) -> bool {
        matches!(
            self,
            DeadLetterReason::Expired
                | DeadLetterReason::CalledInFuture
                | DeadLetterReason::Deadline
        )
    }

    /// Whether another worker, or this one after its next deployment, may be able to handle such a
    /// message: then it is released with a delay before it is dead-lettered.
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

    /// Whether a worker dead-letters a body with this fault without having opened it, so that
    /// nothing proves that its keys are those of the body's sender. The sender may be unable to
    /// open what such a worker seals.
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

/// The text is not the name of a known reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known reason for a dead letter")]
pub struct UnknownReason;

//! Bugs planted on purpose, so that the tests which must find such bugs can be seen to find them.
//!
//! An ordinary build has none: [`planted`] is `false` at compile time. Built with
//! `--cfg ivy_planted`, the one that was chosen for the thread is there.

// Only a build that plants bugs has anybody who could reach them.
#![allow(unreachable_pub)]

/// A mistake that breaks a clause of the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A message is deleted before its handler has returned.
    AckBeforeHandler,
    /// The broker takes any reservation for the right one.
    IgnoreReservation,
    /// A message is deleted before its dead-letter copy was accepted.
    DeleteBeforeCopy,
    /// A post that may have been stored is repeated though its task is not to be repeated.
    RetryUnknownSilently,
    /// Handlers are started on leases that are about to end.
    NoLeaseMargin,
    /// The outbox takes any number of calls.
    UnboundedOutbox,
    /// A result that only a callback waits for keeps its place until its notice comes.
    TableFreedOnlyByNotice,
    /// Any number of bytes of notices may wait.
    UnboundedNoticeBytes,
    /// Calls are dropped when the server asks to slow down.
    DropWhenThrottled,
    /// A worker that drains forgets the messages that wait.
    ForgetReleaseOnDrain,
    /// A task whose handler panicked is taken for done.
    AckOnPanic,
    /// Where the queue counts renewals, each counts as a lost delivery.
    CountRenewals,
    /// Deleting a message that is gone counts as a failure, and is repeated.
    RepeatDeleteOfGone,
    /// A message that does not fit this version of its task is dead-lettered at once.
    DeadLetterAtFirstMismatch,
    /// All frames are sealed with one initialization vector.
    ReuseIv,
    /// Frames are opened without a look at their tags.
    SkipMac,
    /// The clock on the wall is not followed when it is set.
    IgnoreClock,
    /// An answer to a touch keeps a lease that has ended, though the queue refuses no late receipt.
    LateTouchRevives,
    /// The leases of a connection that has ended are kept.
    LeasesOutliveConnection,
    /// One message that is refused fails its whole batch.
    RefusedEntryFailsBatch,
    /// A message of which the answer to a batch says nothing is taken for done.
    MissingEntryIsDone,
    /// The message of the next attempt is due when that of the attempt before it was.
    SuccessorKeepsDue,
}

#[cfg(ivy_planted)]
impl Bug {
    /// Those that the worlds of the simulator can show.
    pub const ALL: [Bug; 22] = [
        Bug::AckBeforeHandler,
        Bug::IgnoreReservation,
        Bug::DeleteBeforeCopy,
        Bug::RetryUnknownSilently,
        Bug::NoLeaseMargin,
        Bug::UnboundedOutbox,
        Bug::TableFreedOnlyByNotice,
        Bug::UnboundedNoticeBytes,
        Bug::DropWhenThrottled,
        Bug::ForgetReleaseOnDrain,
        Bug::AckOnPanic,
        Bug::CountRenewals,
        Bug::RepeatDeleteOfGone,
        Bug::DeadLetterAtFirstMismatch,
        Bug::ReuseIv,
        Bug::SkipMac,
        Bug::IgnoreClock,
        Bug::LateTouchRevives,
        Bug::LeasesOutliveConnection,
        Bug::RefusedEntryFailsBatch,
        Bug::MissingEntryIsDone,
        Bug::SuccessorKeepsDue,
    ];
}

#[cfg(not(ivy_planted))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(ivy_planted)]
pub(crate) fn planted(bug: Bug) -> bool {
    CHOSEN.get() == Some(bug)
}

#[cfg(ivy_planted)]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Chooses the bug that this thread's machines have from now on, or none.
#[cfg(ivy_planted)]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
}

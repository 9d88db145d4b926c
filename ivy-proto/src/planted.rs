//! Deliberate bugs, to show that the tests find them.
//!
//! An ordinary build has none: [`planted`] is `false` at compile time. A build with
//! `--cfg ivy_planted` has the bug that was chosen for the thread.

// Nothing uses these items unless a build plants bugs.
#![allow(unreachable_pub)]

/// A bug that breaks one of the README's promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A message is deleted before its handler has returned.
    AckBeforeHandler,
    /// The broker accepts any reservation.
    IgnoreReservation,
    /// A message is deleted before the queue accepted its dead-letter copy.
    DeleteBeforeCopy,
    /// A post that may have been stored is repeated, although its task must not run twice.
    RetryUnknownSilently,
    /// Handlers are started on leases that are about to end.
    NoLeaseMargin,
    /// The outbox accepts any number of calls.
    UnboundedOutbox,
    /// A result that only a callback waits for keeps its slot until its notice arrives.
    TableFreedOnlyByNotice,
    /// The bytes of waiting notices are unlimited.
    UnboundedNoticeBytes,
    /// Calls are dropped when the server responds "too many requests".
    DropWhenThrottled,
    /// A draining worker does not release the messages that wait.
    ForgetReleaseOnDrain,
    /// A task whose handler panicked counts as done.
    AckOnPanic,
    /// If the queue counts renewals, each counts as a lost delivery.
    CountRenewals,
    /// Deleting a message that no longer exists counts as a failure, and is repeated.
    RepeatDeleteOfGone,
    /// A message that does not match this version of its task is dead-lettered at once.
    DeadLetterAtFirstMismatch,
    /// All frames are sealed with the same initialization vector.
    ReuseIv,
    /// Frames are opened without checking their tags.
    SkipMac,
    /// A change of the wall clock is ignored.
    IgnoreClock,
    /// A reply to a touch keeps a lease that has ended, although the queue refuses no late receipt.
    LateTouchRevives,
    /// Leases survive the connection that they are bound to.
    LeasesOutliveConnection,
    /// One refused message fails its whole batch.
    RefusedEntryFailsBatch,
    /// A message that is missing in the reply to a batch counts as done.
    MissingEntryIsDone,
    /// The message of the next attempt is due when that of the previous attempt was.
    SuccessorKeepsDue,
    /// A postponement of a task counts as an attempt.
    LaterCountsAttempt,
    /// A worker that has drained publishes no last record.
    NoLastRecord,
    /// A call whose time limit ends while it is under way is reported as withdrawn.
    WithdrawnCallIsSent,
    /// A sweep deletes a dead letter before its task is posted.
    SweepDeletesBeforePost,
    /// A sweep posts each copy of a dead letter.
    SweepPostsEachCopy,
    /// A sweep releases only one of the messages that it leaves in their queue.
    SweepLeavesLeases,
}

#[cfg(ivy_planted)]
impl Bug {
    /// The bugs of sweeps.
    pub const OF_SWEEPS: [Bug; 3] =
        [Bug::SweepDeletesBeforePost, Bug::SweepPostsEachCopy, Bug::SweepLeavesLeases];

    /// The bugs that the simulator can find in producers, workers and the broker.
    pub const ALL: [Bug; 25] = [
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
        Bug::LaterCountsAttempt,
        Bug::NoLastRecord,
        Bug::WithdrawnCallIsSent,
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

/// Chooses the bug, or none, of this thread's machines from now on.
#[cfg(ivy_planted)]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
}

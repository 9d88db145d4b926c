//! Deliberate bugs, to show that the tests find them.
//!
//! An ordinary build has none: [`planted`] is `false` at compile time. Built with
//! `--cfg ivy_planted`, a build has the one that was chosen for the thread.

// Only a build with planted bugs uses these items from outside.
#![allow(unreachable_pub)]

/// A bug that breaks one of the README's promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The ids of reserves come from a shared counter, which starts again when the server does.
    ReserveIdsFromCounter,
    /// A delete or release after a touch without a reply contains only one reservation.
    TouchForgotten,
    /// The script that reserves what a wait has moved is sent only after the reply to the wait.
    WaitWithoutScript,
}

#[cfg(ivy_planted)]
impl Bug {
    /// Those that the simulator can find.
    pub const ALL: [Bug; 3] =
        [Bug::ReserveIdsFromCounter, Bug::TouchForgotten, Bug::WaitWithoutScript];
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
    static COUNTER: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Chooses the bug that this thread's sessions have from now on, or none.
#[cfg(ivy_planted)]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
}

/// The counter of [`Bug::ReserveIdsFromCounter`] begins again.
#[cfg(ivy_planted)]
pub fn begin_counter() {
    COUNTER.set(0);
}

/// The next number of the counter.
#[cfg(ivy_planted)]
pub(crate) fn count() -> u64 {
    COUNTER.set(COUNTER.get() + 1);
    COUNTER.get()
}

#[cfg(not(ivy_planted))]
pub(crate) const fn count() -> u64 {
    0
}

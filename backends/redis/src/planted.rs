//! Bugs planted on purpose, so that the tests which must find such bugs can be seen to find them.
//!
//! An ordinary build has none: [`planted`] is `false` at compile time. Built with
//! `--cfg ivy_planted`, the one that was chosen for the thread is there.

// Only a build that plants bugs has anybody who could reach them.
#![allow(unreachable_pub)]

/// A mistake that breaks a clause of the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Reserves are named by a counter that all share, and that begins again with the server.
    ReserveIdsFromCounter,
    /// What deletes or releases a message after an unanswered touch names one reservation.
    TouchForgotten,
    /// The script that takes what a wait has moved is sent when the wait is answered.
    WaitWithoutScript,
}

#[cfg(ivy_planted)]
impl Bug {
    /// Those that the worlds of the simulator can show.
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

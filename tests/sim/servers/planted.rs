//! Bugs planted on purpose in the models' implementation of scripts, as in the core.

// Only a build with planted bugs uses these items from outside.
#![allow(unreachable_pub)]

/// A mistake in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A message is removed from its old key before it is inserted under the new one.
    RemoveBeforeInsert,
    /// Making messages of ended leases ready skips touched messages.
    DueSkipsTouched,
}

#[cfg(ivy_planted)]
impl Bug {
    /// All of them.
    pub const ALL: [Bug; 2] = [Bug::RemoveBeforeInsert, Bug::DueSkipsTouched];
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

/// Chooses the bug that this thread's models have from now on, or none.
#[cfg(ivy_planted)]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
}

//! Reserves that wait for a message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Moment;

use super::request::RequestId;

/// What a reserve asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReserveParams {
    /// The most messages.
    pub(super) count: usize,
    /// The lease; else the queue's own, as it is when the messages are handed out.
    pub(super) lease: Option<Duration>,
    /// Whether to delete instead of leasing.
    pub(super) delete: bool,
}

/// A reserve that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) request: RequestId,
    pub(super) want: ReserveParams,
    pub(super) until: Moment,
}

/// A waiter's place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterId(u64);

/// The line of one queue: who came first is served first.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    line: BTreeMap<WaiterId, Waiter>,
    ends: BTreeSet<(Moment, WaiterId)>,
    last: u64,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn join(&mut self, waiter: Waiter) -> WaiterId {
        self.last += 1;
        let place = WaiterId(self.last);
        self.ends.insert((waiter.until, place));
        self.line.insert(place, waiter);
        place
    }

    /// Who is served next.
    pub(super) fn first(&self) -> Option<(WaiterId, Waiter)> {
        self.line.first_key_value().map(|(place, waiter)| (*place, *waiter))
    }

    pub(super) fn leave(&mut self, place: WaiterId) {
        if let Some(waiter) = self.line.remove(&place) {
            self.ends.remove(&(waiter.until, place));
        }
    }

    /// Takes one who has waited long enough out of the line.
    pub(super) fn pop_ended(&mut self, now: Moment) -> Option<Waiter> {
        let (at, place) = *self.ends.first()?;
        if at > now {
            return None;
        }
        self.ends.remove(&(at, place));
        self.line.remove(&place)
    }

    /// When one will have waited long enough.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// All of them, the first one first.
    pub(super) fn into_all(self) -> impl Iterator<Item = Waiter> {
        self.line.into_values()
    }
}

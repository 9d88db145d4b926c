//! Waiting reserves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Moment;

use super::request::RequestId;

/// The parameters of a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReserveParams {
    /// The maximum number of messages.
    pub(super) count: usize,
    /// The lease. Default: the queue's `message_timeout` at the time of delivery.
    pub(super) lease: Option<Duration>,
    /// Whether to delete the messages instead of leasing them.
    pub(super) delete: bool,
}

/// A waiting reserve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) request: RequestId,
    pub(super) want: ReserveParams,
    pub(super) until: Moment,
}

/// A waiter's position in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterId(u64);

/// The waiters of one queue, served first come, first served.
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

    /// The next waiter to serve.
    pub(super) fn first(&self) -> Option<(WaiterId, Waiter)> {
        self.line.first_key_value().map(|(place, waiter)| (*place, *waiter))
    }

    pub(super) fn leave(&mut self, place: WaiterId) {
        if let Some(waiter) = self.line.remove(&place) {
            self.ends.remove(&(waiter.until, place));
        }
    }

    /// Removes a waiter whose wait has ended.
    pub(super) fn pop_ended(&mut self, now: Moment) -> Option<Waiter> {
        let (at, place) = *self.ends.first()?;
        if at > now {
            return None;
        }
        self.ends.remove(&(at, place));
        self.line.remove(&place)
    }

    /// When the next wait ends.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// All waiters, in order.
    pub(super) fn into_all(self) -> impl Iterator<Item = Waiter> {
        self.line.into_values()
    }
}

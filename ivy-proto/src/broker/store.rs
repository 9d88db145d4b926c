//! The messages of one queue, with their indexes.

use crate::queue::Body;
use crate::time::{Deadline, Moment};

use super::ascending_set::AscendingSet;
use super::config::Requeue;
use super::message::{Counts, Sequence, State, Stored};
use super::messages::{Location, Messages};
use super::request::Timer;
use super::return_times::ReturnTimes;

/// The messages of one queue. Every operation finds its message by number, location or moment, so
/// none of them scans the messages.
#[derive(Debug, Default)]
pub(super) struct Store {
    messages: Messages,
    /// The ready messages by position.
    ready: AscendingSet<(u64, Sequence)>,
    /// The delayed and reserved messages by the moment at which they become ready.
    returns: ReturnTimes,
    /// The last assigned position.
    last_position: u64,
}

/// How a delivery ended without removing its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryEnd {
    /// The message was released deliberately.
    Released,
    /// It was released with a failed attempt.
    Failed,
    /// The lease ended.
    Lost,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Stored> {
        self.messages.get(sequence)
    }

    /// The next ready message.
    pub(super) fn first_ready(&self) -> Option<(Sequence, &Stored)> {
        let (_, sequence) = self.ready.first()?;
        Some((sequence, self.messages.get(sequence)?))
    }

    /// The ready messages, in order.
    pub(super) fn ready(&self) -> impl Iterator<Item = (Sequence, &Stored)> {
        self.ready.iter().filter_map(|(_, sequence)| Some((sequence, self.messages.get(sequence)?)))
    }

    /// Adds a message after all others.
    pub(super) fn insert(
        &mut self,
        sequence: Sequence,
        body: Body,
        counts: Counts,
        state: State,
        expires: Moment,
    ) {
        let position = self.next_position();
        let stored = Stored { body, state, position, expires, counts };
        self.enter(sequence, state, position);
        self.messages.insert(sequence, stored);
    }

    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Stored> {
        let stored = self.messages.remove(sequence)?;
        self.leave(sequence, stored.state, stored.position);
        Some(stored)
    }

    /// A message and its location, valid until the next change.
    pub(super) fn find(&self, sequence: Sequence) -> Option<(Location, &Stored)> {
        self.messages.find(sequence)
    }

    /// Removes the messages at these locations, which may contain duplicates.
    pub(super) fn remove_all(&mut self, places: &[Location]) {
        for place in places {
            self.take(*place);
        }
        self.tidy();
    }

    /// Removes the message at this location, if it is still there. Other locations stay valid until
    /// the store is tidied.
    pub(super) fn take(&mut self, place: Location) {
        let Some((sequence, stored)) = self.messages.take(place) else { return };
        match stored.state.returns() {
            None => self.ready.remove(&(stored.position, sequence)),
            Some(at) => self.returns.remove_without_tidying((at, sequence)),
        }
    }

    /// Tidies the store after calls of [`take`](Store::take).
    pub(super) fn tidy(&mut self) {
        self.messages.tidy();
        self.returns.tidy(|(at, sequence)| returns_at(&self.messages, sequence) == Some(at));
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.ready.clear();
        self.returns.clear();
    }

    /// Reserves a message or renews its reservation, and counts it.
    pub(super) fn reserve(&mut self, sequence: Sequence, state: State) {
        self.change(sequence, |stored| {
            stored.counts.reserved = stored.counts.reserved.saturating_add(1);
            stored.state = state;
        });
    }

    /// Returns a reserved message to its old or a new position, and counts how its delivery ended.
    pub(super) fn release(
        &mut self,
        sequence: Sequence,
        state: State,
        requeue: Requeue,
        ended: DeliveryEnd,
    ) {
        let position = match requeue {
            Requeue::Front => None,
            Requeue::Back => Some(self.next_position()),
        };
        self.change(sequence, |stored| {
            stored.position = position.unwrap_or(stored.position);
            stored.state = state;
            let counts = &mut stored.counts;
            match ended {
                DeliveryEnd::Released => {}
                DeliveryEnd::Failed => counts.failed = counts.failed.saturating_add(1),
                DeliveryEnd::Lost => counts.lost = counts.lost.saturating_add(1),
            }
        });
    }

    /// Removes expired messages.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some((at, sequence)) = self.messages.first_expiry()
            && at <= now
        {
            self.remove(sequence);
        }
    }

    /// Makes messages ready whose delay or lease has ended.
    pub(super) fn return_due(&mut self, now: Moment, requeue: Requeue) {
        while let Some((at, sequence)) = self.returns.first()
            && at <= now
        {
            match self.messages.get(sequence).map(|stored| stored.state) {
                Some(State::Reserved { .. }) => {
                    self.release(sequence, State::Ready, requeue, DeliveryEnd::Lost);
                }
                _ => self.change(sequence, |stored| stored.state = State::Ready),
            }
        }
    }

    /// When the next message becomes ready or expires.
    pub(super) fn next_moment(&self) -> Option<Moment> {
        let returns = self.returns.first().map(|(at, _)| at);
        let expires = self.messages.first_expiry().map(|(at, _)| at);
        returns.into_iter().chain(expires).min()
    }

    /// The next deadline.
    pub(super) fn next_deadline(&self) -> Option<Deadline<Timer>> {
        let returns = self.returns.first().map(|(at, sequence)| {
            let reserved = matches!(
                self.messages.get(sequence).map(|stored| stored.state),
                Some(State::Reserved { .. })
            );
            Deadline { at, why: if reserved { Timer::LeaseEnds } else { Timer::DelayEnds } }
        });
        let expires = self.messages.first_expiry();
        let expires = expires.map(|(at, _)| Deadline { at, why: Timer::MessageExpires });
        returns.into_iter().chain(expires).min_by_key(|deadline| deadline.at)
    }

    fn next_position(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }

    fn change(&mut self, sequence: Sequence, change: impl FnOnce(&mut Stored)) {
        let Some(stored) = self.messages.get_mut(sequence) else { return };
        let (before, place_before) = (stored.state, stored.position);
        change(stored);
        let (state, position) = (stored.state, stored.position);
        self.leave(sequence, before, place_before);
        self.enter(sequence, state, position);
    }

    fn enter(&mut self, sequence: Sequence, state: State, position: u64) {
        match state.returns() {
            None => self.ready.insert((position, sequence)),
            Some(at) => self.returns.insert((at, sequence)),
        }
    }

    /// Updates the indexes when a message leaves a state or the queue.
    fn leave(&mut self, sequence: Sequence, before: State, position: u64) {
        match before.returns() {
            None => self.ready.remove(&(position, sequence)),
            Some(at) => self.returns.remove((at, sequence), |(at, sequence)| {
                returns_at(&self.messages, sequence) == Some(at)
            }),
        }
    }
}

/// When a message becomes ready by itself.
fn returns_at(messages: &Messages, sequence: Sequence) -> Option<Moment> {
    messages.get(sequence)?.state.returns()
}

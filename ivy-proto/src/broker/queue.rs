//! One queue: its settings, messages and waiters.

use std::time::Duration;

use crate::id::Receipt;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::queue::{Body, NewMessage, QueueInfo};
use crate::rng::Rng;
use crate::time::{Deadline, Moment};

use super::config::Requeue;
use super::message::{Counts, Reservation, Sequence, State, Stored};
use super::messages::Location;
use super::request::{Delivery, MessageView, Refusal, Target, Timer};
use super::settings::Settings;
use super::store::{DeliveryEnd, Store};
use super::waiters::{ReserveParams, Waiters};

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    pub(super) waiters: Waiters,
    store: Store,
    total_messages: u64,
    /// The moment of its entry in the machine's agenda.
    pub(super) scheduled: Option<Moment>,
}

/// The result of a reserve.
#[derive(Debug, Default)]
pub(super) struct ReserveResult {
    pub(super) deliveries: Vec<Delivery>,
    /// Messages that were reserved too often, to be moved.
    pub(super) dead: Vec<(Sequence, Stored)>,
}

impl Queue {
    pub(super) fn info(&self, name: &QueueName) -> QueueInfo {
        QueueInfo {
            settings: self.settings.reported(),
            size: Some(self.store.len() as u64),
            total_messages: Some(self.total_messages),
            ..QueueInfo::new(name.clone())
        }
    }

    pub(super) fn post(&mut self, sequence: Sequence, message: NewMessage, now: Moment) {
        let state = hidden_for(message.delay, now);
        self.add(sequence, message.body, Counts::default(), state, now);
    }

    /// Inserts a dead letter of another queue. It keeps its id and counts, and its age restarts.
    pub(super) fn add_dead_letter(&mut self, sequence: Sequence, dead: Stored, now: Moment) {
        self.add(sequence, dead.body, dead.counts, State::Ready, now);
    }

    fn add(&mut self, sequence: Sequence, body: Body, counts: Counts, state: State, now: Moment) {
        self.total_messages += 1;
        let expires = now + self.settings.message_expiration;
        self.store.insert(sequence, body, counts, state, expires);
    }

    /// Reserves ready messages, if the queue is reservable, and removes those that were reserved
    /// too often.
    pub(super) fn take(
        &mut self,
        want: &ReserveParams,
        now: Moment,
        rng: &mut Rng,
    ) -> ReserveResult {
        let until = now + want.lease.unwrap_or(self.settings.message_timeout);
        let room = want.count.min(self.store.len());
        let mut taken = ReserveResult { deliveries: Vec::with_capacity(room), dead: Vec::new() };
        while taken.deliveries.len() < want.count && self.settings.reservable {
            let Some((sequence, stored)) = self.store.first_ready() else { break };
            let rule = self.settings.dead_letter.as_ref();
            if rule.is_some_and(|rule| rule.applies_to(stored.counts.reserved)) {
                taken.dead.extend(self.store.remove(sequence).map(|dead| (sequence, dead)));
                continue;
            }
            let by = Reservation::random(rng);
            taken.deliveries.push(Delivery {
                message: sequence.to_id(),
                reservation: by.to_id(),
                body: stored.body.clone(),
                reserved_count: stored.counts.reserved.saturating_add(1),
                failed: stored.counts.failed.into(),
                lost: stored.counts.lost.into(),
            });
            if want.delete {
                self.store.remove(sequence);
            } else {
                self.store.reserve(sequence, State::Reserved { until, by });
            }
        }
        taken
    }

    pub(super) fn peek(&self, count: usize) -> Vec<MessageView> {
        self.store.ready().take(count).map(|(sequence, stored)| stored.view(sequence)).collect()
    }

    pub(super) fn view(&self, message: &crate::MessageId) -> Result<MessageView, Refusal> {
        let found = Sequence::from_id(message)
            .and_then(|sequence| Some(self.store.get(sequence)?.view(sequence)));
        found.ok_or(Refusal::MessageNotFound)
    }

    /// Deletes all these messages, or none if one of them cannot be deleted.
    pub(super) fn delete(&mut self, targets: &[Target]) -> Result<(), Refusal> {
        // The locations stay valid until the first message is removed.
        let mut places = Vec::with_capacity(targets.len());
        for target in targets {
            places.push(self.deletable(target)?);
        }
        self.store.remove_all(&places);
        Ok(())
    }

    /// Deletes each message that can be deleted, and returns one result per target.
    pub(super) fn delete_each(&mut self, targets: &[Target]) -> Vec<Result<(), Refusal>> {
        let delete = |target| {
            let place = self.deletable(target)?;
            self.store.take(place);
            Ok(())
        };
        let entries = targets.iter().map(delete).collect();
        self.store.tidy();
        entries
    }

    pub(super) fn clear(&mut self) {
        self.store.clear();
    }

    pub(super) fn touch(
        &mut self,
        target: &Target,
        lease: Option<Duration>,
        now: Moment,
        rng: &mut Rng,
    ) -> Result<Receipt, Refusal> {
        let sequence = self.reserved(target)?;
        let until = now + lease.unwrap_or(self.settings.message_timeout);
        let by = Reservation::random(rng);
        self.store.reserve(sequence, State::Reserved { until, by });
        Ok(Receipt { message: target.message.clone(), reservation: by.to_id() })
    }

    pub(super) fn release(
        &mut self,
        target: &Target,
        delay: Duration,
        ended: DeliveryEnd,
        now: Moment,
        requeue: Requeue,
    ) -> Result<(), Refusal> {
        let sequence = self.reserved(target)?;
        self.store.release(sequence, hidden_for(delay, now), requeue, ended);
        Ok(())
    }

    /// Removes expired messages, then makes ready what is due.
    pub(super) fn catch_up(&mut self, now: Moment, requeue: Requeue) {
        self.store.expire(now);
        self.store.return_due(now, requeue);
    }

    /// Whether a waiting reserve can be served.
    pub(super) fn can_serve(&self) -> bool {
        self.settings.reservable && self.store.has_ready() && !self.waiters.is_empty()
    }

    /// When the next deadline is due.
    pub(super) fn next_moment(&self) -> Option<Moment> {
        self.store.next_moment().into_iter().chain(self.waiters.next_end()).min()
    }

    /// The next deadline.
    pub(super) fn next_deadline(&self) -> Option<Deadline<Timer>> {
        let wait_ends = self.waiters.next_end().map(|at| Deadline { at, why: Timer::WaitEnds });
        let deadlines = self.store.next_deadline().into_iter().chain(wait_ends);
        deadlines.min_by_key(|deadline| deadline.at)
    }

    fn find(&self, target: &Target) -> Result<(Sequence, Location, State), Refusal> {
        let found = Sequence::from_id(&target.message).and_then(|sequence| {
            let (place, stored) = self.store.find(sequence)?;
            Some((sequence, place, stored.state))
        });
        found.ok_or(Refusal::MessageNotFound)
    }

    /// The message, if the target names its current reservation.
    fn reserved(&self, target: &Target) -> Result<Sequence, Refusal> {
        let (sequence, _, state) = self.find(target)?;
        check_holder(state, target)?;
        Ok(sequence)
    }

    /// The message, if it is not reserved, or the target names its current reservation.
    fn deletable(&self, target: &Target) -> Result<Location, Refusal> {
        let (_, place, state) = self.find(target)?;
        if target.reservation.is_some() || matches!(state, State::Reserved { .. }) {
            check_holder(state, target)?;
        }
        Ok(place)
    }
}

/// Refuses a target that does not name the current reservation of its message.
fn check_holder(state: State, target: &Target) -> Result<(), Refusal> {
    match (&target.reservation, state) {
        (None, _) => Err(Refusal::ReservationRequired),
        (Some(id), State::Reserved { by, .. }) if by.is(id) || planted(Bug::IgnoreReservation) => {
            Ok(())
        }
        (Some(_), _) => Err(Refusal::ReservationTimedOut),
    }
}

fn hidden_for(delay: Duration, now: Moment) -> State {
    if delay.is_zero() { State::Ready } else { State::Delayed { until: now + delay } }
}

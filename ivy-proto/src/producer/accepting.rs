//! Accepts calls: writes their messages, or lets them share those of pending ones.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::id::TaskId;
use crate::metrics::CallRow;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::time::Moment;

use super::chosen_ids::Shared;
use super::io::{Call, Output, SendError};
use super::subscription::WaitingCall;
use super::{Phase, Producer, message, outcome};

impl Producer {
    pub(super) fn on_calls(&mut self, calls: Vec<Call>) {
        if self.phase == Phase::Running {
            let now = self.now;
            self.accept_all(calls.into_iter().map(|call| (call, now)));
        } else {
            self.refuse_all(calls, || SendError::Draining);
        }
    }

    pub(super) fn refuse_all(
        &mut self,
        calls: impl IntoIterator<Item = Call>,
        why: impl Fn() -> SendError,
    ) {
        for call in calls {
            let row = self.meter.row(&call.queue, &call.task);
            self.refuse(call.id, row, why());
        }
    }

    /// A call is not accepted.
    fn refuse(&mut self, id: TaskId, row: CallRow, error: SendError) {
        self.meter.sent(row, outcome(&error));
        self.outputs.push_back(Output::Sent(id, Err(error)));
    }

    /// Accepts calls, each with the moment when it was made.
    pub(super) fn accept_all(&mut self, calls: impl IntoIterator<Item = (Call, Moment)>) {
        let mut queues = BTreeSet::new();
        for (call, called_at) in calls {
            let id = call.id;
            let row = self.meter.row(&call.queue, &call.task);
            match self.accept(call, row, called_at) {
                Ok(queue) => queues.extend(queue),
                Err(error) => self.refuse(id, row, error),
            }
        }
        if self.meter.reports_too_many_labels() {
            self.event(Event::TooManyLabels);
        }
        // Post only after all calls were added, so that calls of one input are batched.
        for queue in queues {
            self.post(&queue);
        }
    }

    /// Accepts a call. Returns its queue if it can be posted now.
    fn accept(
        &mut self,
        call: Call,
        row: CallRow,
        called_at: Moment,
    ) -> Result<Option<QueueName>, SendError> {
        if self.is_in_use(call.id) {
            return Err(SendError::IdInUse);
        }
        match self.pending.shared(&call)? {
            Some(shared) => self.share(call, row, called_at, shared),
            None => self.send(call, row, called_at, false),
        }
    }

    pub(super) fn is_in_use(&self, call: TaskId) -> bool {
        self.pending.contains(call) || self.backlog.contains(call)
    }

    /// Accepts a call under an id that its caller chose, and that is in use for the same task.
    fn share(
        &mut self,
        mut call: Call,
        row: CallRow,
        called_at: Moment,
        shared: Shared,
    ) -> Result<Option<QueueName>, SendError> {
        let (id, task) = (call.id, call.task_id());
        if self.pending.has_callback(task) {
            // It is called once for one task.
            call.reply = call.reply.without_callback();
        }
        match shared {
            Shared::Sent(message) => {
                self.make_room_for_result(&call)?;
                self.pending.add(call, row, called_at, None);
                self.call_is_sent(id, message);
            }
            Shared::NotSent if self.pending.is_unsent(task) => {
                self.add_sharing(call, row, called_at)?
            }
            // An earlier call has failed, and said that it may be stored.
            Shared::NotSent if self.outbox.has_abandoned(&call.queue, task) => {
                let queue = call.queue.clone();
                self.add_sharing(call, row, called_at)?;
                self.outbox.adopt(&queue, task);
            }
            Shared::NotSent => return self.send(call, row, called_at, true),
        }
        Ok(None)
    }

    /// Adds a call that waits for the message of another one.
    fn add_sharing(
        &mut self,
        call: Call,
        row: CallRow,
        called_at: Moment,
    ) -> Result<(), SendError> {
        self.check_room_in_outbox(&call)?;
        self.make_room_for_result(&call)?;
        let limit = self.limit_of(&call, called_at);
        if limit.is_none() {
            self.limit_subscription(call.task_id());
        }
        self.pending.add(call, row, called_at, limit);
        Ok(())
    }

    /// Writes the message of a call, and adds it to those to be sent. `may_be_stored`: an earlier
    /// message of its task may be in the queue.
    fn send(
        &mut self,
        call: Call,
        row: CallRow,
        called_at: Moment,
        may_be_stored: bool,
    ) -> Result<Option<QueueName>, SendError> {
        self.config.capabilities.check_name(&call.queue)?;
        let wants_result = call.reply.wants_result();
        if wants_result && self.subscription.is_none() {
            return Err(SendError::NoNotifier);
        }
        self.check_room_in_outbox(&call)?;
        let subscription = self.subscription.as_ref().filter(|_| wants_result);
        let reply = subscription.map(|subscription| subscription.reply_channel());
        let times = message::Times::of(&call, self.wall.unix_millis(self.now));
        let mut outgoing = message::write(&call, reply, times, &self.config, &mut self.entropy)?;
        outgoing.may_be_stored = may_be_stored;
        self.make_room_for_result(&call)?;
        let (task, queue, limit) =
            (call.task_id(), call.queue.clone(), self.limit_of(&call, called_at));
        self.pending.add(call, row, called_at, limit);
        let subscription = self.subscription.as_mut().filter(|_| wants_result);
        match subscription.filter(|subscription| !subscription.is_up()) {
            Some(subscription) => {
                subscription.wait(WaitingCall { queue, outgoing });
                self.outputs.extend(subscription.first_request().map(Output::Subscribe));
                if limit.is_none() {
                    self.limit_subscription(task);
                }
                Ok(None)
            }
            None => {
                self.outbox.add(&queue, outgoing);
                Ok(Some(queue))
            }
        }
    }

    /// A call without a time limit waits for the subscription, if it is not up, for the configured
    /// time.
    fn limit_subscription(&mut self, task: TaskId) {
        let limit = self.now + self.config.subscription_wait;
        let subscription = self.subscription.as_mut();
        if let Some(subscription) = subscription.filter(|subscription| !subscription.is_up()) {
            subscription.limit(task, limit);
            self.watch_subscription_limit();
        }
    }

    /// When a call must be sent at the latest, if it has a time limit.
    pub(super) fn limit_of(&self, call: &Call, called_at: Moment) -> Option<Moment> {
        let within = call.within.or(self.config.within)?;
        Some(self.in_the_future(called_at + within)).filter(|limit| *limit > self.now)
    }

    /// How many calls take room in the outbox.
    pub(super) fn in_outbox(&self) -> usize {
        self.pending.unsent() + self.outbox.abandoned()
    }

    fn check_room_in_outbox(&self, call: &Call) -> Result<(), SendError> {
        let limit = self.config.outbox;
        if self.in_outbox() >= limit && !planted(Bug::UnboundedOutbox) {
            return Err(SendError::Full { limit, call: Box::new(call.clone()) });
        }
        Ok(())
    }

    /// Makes room for the result of a call, if it wants one.
    fn make_room_for_result(&mut self, call: &Call) -> Result<(), SendError> {
        let limit = self.config.waiting;
        if call.reply.wants_result() && self.pending.awaited() >= limit {
            let Some(task) = self.pending.evict_oldest_callback() else {
                return Err(SendError::TooManyHandles { limit, call: Box::new(call.clone()) });
            };
            self.event(Event::CallbackEvicted { task, limit });
        }
        Ok(())
    }
}

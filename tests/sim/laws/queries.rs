//! Queries of the law checker.

use ivy_proto::{MessageId, Moment, QueueName, ReservationId};

use super::LawChecker;
use crate::task::{Cause, ProcessId};

impl LawChecker {
    /// How many messages a queue should contain.
    pub(crate) fn size_of(&self, queue: &QueueName) -> u64 {
        let alive = self.messages.iter().filter(|message| message.alive);
        alive.filter(|message| message.queue == *queue).count() as u64
    }

    /// Describes a message that this process still holds, if any. Those of unknown tasks, those that
    /// may have been delivered twice, and those whose clock was changed are ignored.
    pub(crate) fn still_held(&self, process: ProcessId, broker_now: Moment) -> Option<String> {
        let held = self.messages.iter().enumerate().find(|(at, message)| {
            let holder = message.holder.as_ref().filter(|holder| holder.who == process);
            let causes = message.task.map(|task| self.tasks[task].causes);
            message.alive
                && holder.is_some_and(|holder| holder.until > broker_now)
                && self.grants.contains_key(&(process, *at))
                && causes
                    .is_some_and(|causes| !causes.has(Cause::Delivery) && !causes.has(Cause::Clock))
        });
        held.map(|(_, message)| format!("{message:?}"))
    }

    /// The reservation that holds a message now, if any.
    pub(crate) fn current_reservation(
        &self,
        id: &MessageId,
        broker_now: Moment,
    ) -> Option<ReservationId> {
        let holder = self.messages.get(self.ids.index_of(id)?)?.holder.as_ref()?;
        (holder.until > broker_now).then(|| holder.reservation.clone())
    }

    /// How often a message was delivered, including this time.
    pub(crate) fn deliveries_of(&self, id: &MessageId) -> u32 {
        let message = self.ids.index_of(id).and_then(|at| self.messages.get(at));
        message.map_or(1, |message| message.counted)
    }

    /// When a message first arrived at this process.
    pub(crate) fn first_arrived(&self, process: ProcessId, id: &MessageId) -> Option<Moment> {
        self.first_arrived.get(&(process, self.ids.index_of(id)?)).copied()
    }

    /// Whether the broker may have delivered this message when it should not have; true if its task is
    /// unknown.
    pub(crate) fn may_be_duplicated(&self, id: &MessageId) -> bool {
        let task = self.task_of_message(id);
        task.is_none_or(|task| self.tasks[task].causes.has(Cause::Delivery))
    }
}

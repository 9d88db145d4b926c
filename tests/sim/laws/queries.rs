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

    /// A message that has arrived at this process and is reserved for it, if there is one that the
    /// broker delivered correctly.
    pub(crate) fn still_held(&self, who: ProcessId, broker_now: Moment) -> Option<String> {
        let held = self.messages.iter().enumerate().find(|(at, message)| {
            let holder = message.holder.as_ref().filter(|holder| holder.who == who);
            let causes = message.task.map(|task| self.tasks[task].causes);
            let (twice, clock) = (Cause::Delivery, Cause::Clock);
            message.alive
                && holder.is_some_and(|holder| holder.until > broker_now)
                && self.grants.contains_key(&(who, *at))
                && causes.is_some_and(|causes| !causes.has(twice) && !causes.has(clock))
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
    pub(crate) fn first_arrived(&self, who: ProcessId, id: &MessageId) -> Option<Moment> {
        self.first_arrived.get(&(who, self.ids.index_of(id)?)).copied()
    }

    /// Whether the broker delivered this message although it should not have.
    pub(crate) fn may_be_duplicated(&self, id: &MessageId) -> bool {
        let task = self.task_of_message(id);
        task.is_none_or(|task| self.tasks[task].causes.has(Cause::Delivery))
    }
}

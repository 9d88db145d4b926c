//! Messages that are leased by a connection, and what happens to them when the connection ends.

use ivy_proto::{MessageId, QueueName, Receipt};

use super::LawChecker;
use crate::network::ConnectionKey;
use crate::task::ProcessId;

/// A message that is held.
pub(crate) struct HeldMessage {
    pub(crate) queue: QueueName,
    pub(crate) receipt: Receipt,
}

impl LawChecker {
    /// The messages that are held on a connection.
    pub(crate) fn held_on(&self, connection: ConnectionKey) -> Vec<HeldMessage> {
        let held = self.messages.iter().enumerate().filter_map(|(index, message)| {
            let holder =
                message.holder.as_ref().filter(|holder| holder.connection == connection)?;
            let receipt =
                Receipt { message: self.ids.id_at(index), reservation: holder.reservation.clone() };
            Some(HeldMessage { queue: message.queue.clone(), receipt })
        });
        held.collect()
    }

    /// A connection has ended: each delivery held on it is lost.
    pub(crate) fn lose_held(&mut self, connection: ConnectionKey) -> Vec<HeldMessage> {
        let held = self.held_on(connection);
        for HeldMessage { receipt, .. } in &held {
            let Some(index) = self.ids.index_of(&receipt.message) else { continue };
            let message = &mut self.messages[index];
            message.holder = None;
            message.lost += 1;
            let (task, attempt) = (message.task, message.attempt_info.attempt);
            self.grants.remove(&(connection.0, index));
            if let Some(task) = task {
                let task = &mut self.tasks[task];
                *task.lost.entry(attempt).or_default() += 1;
                task.causes.add(crate::task::Cause::Connection);
            }
        }
        held
    }

    /// Returns a message to its queue that arrived on this connection for a cancelled request, if
    /// it is still held under this receipt.
    pub(crate) fn return_delivery(
        &mut self,
        connection: ConnectionKey,
        receipt: &Receipt,
    ) -> Option<HeldMessage> {
        let index = self.ids.index_of(&receipt.message)?;
        let message = self.messages.get_mut(index)?;
        let holder = message.holder.as_ref()?;
        if holder.connection != connection || holder.reservation != receipt.reservation {
            return None;
        }
        message.holder = None;
        self.grants.remove(&(connection.0, index));
        self.released_unchanged(index);
        let queue = self.messages[index].queue.clone();
        Some(HeldMessage { queue, receipt: receipt.clone() })
    }

    /// A message whose lease has ended with its connection, and whose handler was not cancelled.
    pub(crate) fn still_runs(&self, who: ProcessId, lost: &[Receipt]) -> Option<MessageId> {
        let lost = lost.iter().map(|receipt| &receipt.message);
        let mut lost = lost.filter(|message| !self.may_be_duplicated(message));
        let runs = |message: &&MessageId| {
            let index = self.ids.index_of(message);
            let mut started = self.started.iter().filter(|((by, _), _)| *by == who);
            started.any(|(_, started)| Some(started.message) == index && !started.outcome_is_void)
        };
        lost.find(runs).cloned()
    }
}

//! Causes: what happened to a host, a request or a message is recorded for its tasks.

use ivy_proto::MessageId;
use ivy_proto::queue::QueueOp;

use super::LawChecker;
use crate::task::Cause;

impl LawChecker {
    /// A fault hit a host: all tasks that it holds may be affected.
    pub(crate) fn add_cause_to_held(&mut self, host: usize, cause: Cause) {
        for message in &self.messages {
            if let (Some(holder), Some(task)) = (&message.holder, message.task)
                && holder.who.host == host
            {
                self.tasks[task].causes.add(cause);
            }
        }
    }

    /// A fault hit a request: the tasks of its messages may be affected.
    pub(crate) fn add_cause_to_request(&mut self, op: &QueueOp, cause: Cause) {
        match op {
            QueueOp::Post { messages, .. } => {
                for message in messages.items() {
                    if let Some(task) = self.task_of(message.body.as_str()) {
                        self.tasks[task].causes.add(cause);
                    }
                }
            }
            QueueOp::DeleteMany { receipts, .. } => {
                for receipt in receipts.items() {
                    self.add_cause_to_message(&receipt.message, cause);
                }
            }
            QueueOp::Delete { receipt, .. }
            | QueueOp::Touch { receipt, .. }
            | QueueOp::Release { receipt, .. } => {
                self.add_cause_to_message(&receipt.message, cause)
            }
            _ => {}
        }
    }

    pub(crate) fn add_cause_to_message(&mut self, message: &MessageId, cause: Cause) {
        if let Some(task) = self.task_of_message(message) {
            self.tasks[task].causes.add(cause);
        }
    }
}

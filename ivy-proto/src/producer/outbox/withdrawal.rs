//! Takes messages back that nobody waits for any more.

use crate::id::TaskId;
use crate::name::QueueName;
use crate::queue::Fault;

use super::{Outbox, OutgoingMessage, QueueOutbox};

/// What became of a message that nobody waits for any more.
#[derive(Debug)]
pub(in crate::producer) enum Withdrawal {
    /// It was removed before it was posted (again).
    Removed(OutgoingMessage),
    /// A post with it is in flight. It is abandoned, and not sent again.
    UnderWay,
}

impl Outbox {
    /// Takes the message of a task back. `None` if there is none.
    pub(in crate::producer) fn withdraw(
        &mut self,
        queue: &QueueName,
        task: TaskId,
    ) -> Option<Withdrawal> {
        if let Some(outgoing) = self.queues.get_mut(queue)?.remove(task) {
            return Some(Withdrawal::Removed(outgoing));
        }
        let outgoing = self.in_flight(queue, task, false)?;
        outgoing.is_abandoned = true;
        self.abandoned += 1;
        Some(Withdrawal::UnderWay)
    }

    /// How many messages in flight are abandoned. They count until the reply to their post arrives.
    pub(in crate::producer) fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// Whether a post with a message of this task that was abandoned is in flight.
    pub(in crate::producer) fn has_abandoned(&mut self, queue: &QueueName, task: TaskId) -> bool {
        self.abandoned > 0 && self.in_flight(queue, task, true).is_some()
    }

    /// A caller waits again for a message that was abandoned.
    pub(in crate::producer) fn adopt(&mut self, queue: &QueueName, task: TaskId) {
        if let Some(outgoing) = self.in_flight(queue, task, true) {
            outgoing.is_abandoned = false;
            self.abandoned -= 1;
        }
    }

    /// The last failure of a post to this queue, unless one has succeeded since.
    pub(in crate::producer) fn fault(&self, queue: &QueueName) -> Option<&Fault> {
        self.queues.get(queue)?.fault.as_ref()
    }

    /// The message of a task in a post in flight.
    fn in_flight(
        &mut self,
        queue: &QueueName,
        task: TaskId,
        is_abandoned: bool,
    ) -> Option<&mut OutgoingMessage> {
        let posts = self.posts.values_mut().filter(|post| post.queue == *queue);
        posts
            .flat_map(|post| &mut post.messages)
            .find(|outgoing| outgoing.id == task && outgoing.is_abandoned == is_abandoned)
    }
}

impl QueueOutbox {
    /// Removes the message of a task that waits to be posted. The messages of one queue usually
    /// have the same time limit, so the first ones are withdrawn first.
    fn remove(&mut self, task: TaskId) -> Option<OutgoingMessage> {
        let is_wanted = |outgoing: &OutgoingMessage| outgoing.id == task;
        if let Some(place) = self.waiting.iter().position(is_wanted) {
            let outgoing = self.waiting.remove(place)?;
            self.waiting_bytes -= outgoing.encoded;
            return Some(outgoing);
        }
        for half in &mut self.halves {
            if let Some(place) = half.iter().position(is_wanted) {
                // An empty half is dropped when its turn comes.
                return Some(half.remove(place));
            }
        }
        None
    }
}

//! Decides which queue to poll, for how many messages, and how long the poll may wait.
//!
//! A queue is *busy* while its last reply contained messages. Free slots are divided among the busy
//! queues, the more urgent first, then by weight. An idle queue is long-polled for a single
//! message, so that no slot is promised to an empty queue and none is held unused.
//!
//! If all slots are taken, each queue still holds one message for the next free slot. How many
//! messages of a queue start follows from its weight: the queue with the least progress is next,
//! and a queue that is ahead is not polled before its busy rivals have caught up.

mod health;
mod queue;
mod turns;

use std::time::Duration;

use crate::name::QueueName;

use super::config::ServedQueue;

pub(super) use health::Health;
pub(super) use queue::PauseReason;

use queue::Queue;
use turns::lowest_comes_first;

#[derive(Debug)]
pub(super) struct Poller {
    queues: Vec<Queue>,
    long_poll: Duration,
    max_batch: usize,
    polls: u32,
    starts: u32,
}

/// A reserve to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedReserve {
    pub(super) queue: QueueName,
    pub(super) count: usize,
    pub(super) wait: Duration,
}

impl Poller {
    pub(super) fn new(served: Vec<ServedQueue>, long_poll: Duration, max_batch: usize) -> Self {
        let can_wait = !long_poll.is_zero();
        let queues = served.into_iter().map(|served| Queue::new(served, can_wait)).collect();
        Poller { queues, long_poll, max_batch, polls: 0, starts: 0 }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &QueueName> {
        self.queues.iter().map(|queue| &queue.served.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&QueueName, &Queue)> {
        self.queues.iter().map(|queue| (&queue.served.name, queue))
    }

    pub(super) fn queue(&mut self, name: &QueueName) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| &queue.served.name == name)
    }

    /// How many slots are promised to the polls in flight.
    pub(super) fn promised(&self) -> usize {
        self.queues.iter().flat_map(|queue| &queue.requested).sum()
    }

    /// How many of them are promised to polls that are likely to return messages immediately.
    pub(super) fn coming(&self) -> usize {
        let full = self.queues.iter().filter(|queue| queue.is_full());
        full.flat_map(|queue| &queue.requested).sum()
    }

    /// Plans the next polls. `free` is the number of slots that are neither taken nor reserved for
    /// held messages. A queue for which `holds` returns `true` has a message waiting for a slot and
    /// is not polled.
    pub(super) fn plan(
        &mut self,
        free: usize,
        holds: impl Fn(&QueueName) -> bool,
    ) -> Vec<PlannedReserve> {
        let mut free = free.saturating_sub(self.promised());
        let mut reserves = Vec::new();
        if !self.queues.iter().any(|queue| queue.wants_any(free)) {
            return reserves;
        }
        let alone = self.queues.len() == 1;
        let lowest_first = lowest_comes_first(self.polls);
        let mut order: Vec<usize> =
            (0..self.queues.len()).filter(|index| self.may_be_polled(*index, &holds)).collect();
        order.sort_by_key(|index| self.queues.get(*index).map(|queue| queue.rank(lowest_first)));
        for (turn, index) in order.iter().enumerate() {
            let shares = self.shares(*index, order.get(turn..).unwrap_or_default());
            let Some(queue) = self.queues.get_mut(*index) else { continue };
            let count = queue.share(free, shares, alone).min(self.max_batch);
            if count == 0 {
                continue;
            }
            // One of several queues is long-polled only for a single message: while it waits, the
            // others may use the slots.
            let is_first = alone && queue.requested.is_empty() || queue.is_idle();
            let wait = if is_first && queue.may_wait() { self.long_poll } else { Duration::ZERO };
            free = free.saturating_sub(count);
            queue.requested.push(count);
            reserves.push(PlannedReserve { queue: queue.served.name.clone(), count, wait });
        }
        if !reserves.is_empty() {
            self.polls = self.polls.wrapping_add(1);
        }
        reserves
    }
}

#[cfg(test)]
mod tests;

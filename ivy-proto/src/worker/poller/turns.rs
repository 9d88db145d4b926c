//! The order in which competing queues use the slots.

use crate::name::QueueName;

use super::Poller;
use super::queue::Queue;

/// Every eighth turn the least urgent queue comes first, so that it never starves.
const LOWEST_FIRST_EVERY: u32 = 8;

impl Poller {
    /// The queue whose message starts next, among those that hold one: one of the most urgent,
    /// alternating by weight.
    pub(in crate::worker) fn next_to_start(
        &mut self,
        holds: impl Fn(&QueueName) -> bool,
    ) -> Option<QueueName> {
        let lowest_first = lowest_comes_first(self.starts);
        let holding = self.queues.iter().filter(|queue| holds(&queue.served.name));
        let priority = holding.min_by_key(|queue| queue.rank(lowest_first))?.served.priority;
        self.starts = self.starts.wrapping_add(1);
        let is_rival = |queue: &Queue| queue.is_busy() || holds(&queue.served.name);
        let equals = |queue: &&mut Queue| queue.served.priority == priority;
        // Rebased on the slowest queue to avoid overflow.
        let rivals = self.queues.iter_mut().filter(equals).filter(|queue| is_rival(queue));
        let slowest = rivals.map(|queue| queue.progress).min().unwrap_or_default();
        for queue in self.queues.iter_mut().filter(equals).filter(|queue| is_rival(queue)) {
            queue.progress -= slowest;
        }
        let next = self
            .queues
            .iter_mut()
            .filter(equals)
            .filter(|queue| holds(&queue.served.name))
            .min_by_key(|queue| queue.progress)?;
        next.progress += next.stride();
        let (name, progress) = (next.served.name.clone(), next.progress);
        // A queue without messages gains no advantage.
        for queue in self.queues.iter_mut().filter(equals).filter(|queue| !is_rival(queue)) {
            queue.progress = progress;
        }
        Some(name)
    }

    /// Whether a queue may be polled: it is not paused, holds no message that waits for a slot, and
    /// is not so far ahead that a rival's message should start first.
    pub(super) fn may_be_polled(&self, index: usize, holds: &impl Fn(&QueueName) -> bool) -> bool {
        let Some(queue) = self.queues.get(index) else { return false };
        let mut rivals = self.queues.iter().filter(|other| {
            other.served.priority == queue.served.priority
                && (other.is_busy() || holds(&other.served.name))
        });
        queue.paused.is_none()
            && !holds(&queue.served.name)
            && rivals.all(|rival| {
                let lead = queue.progress.saturating_sub(rival.progress);
                lead <= queue.stride() + rival.stride()
            })
    }

    /// The weight of a queue, and the sum of the weights of the equally urgent busy queues that are
    /// still to be polled.
    pub(super) fn shares(&self, index: usize, to_be_polled: &[usize]) -> (u32, u32) {
        let Some(queue) = self.queues.get(index) else { return (1, 1) };
        let rivals =
            to_be_polled.iter().filter_map(|other| self.queues.get(*other)).filter(|other| {
                other.served.priority == queue.served.priority
                    && other.served.name != queue.served.name
                    && other.is_busy()
            });
        let weight = queue.served.weight;
        (weight, rivals.map(|other| other.served.weight).fold(weight, u32::saturating_add))
    }
}

pub(super) fn lowest_comes_first(turn: u32) -> bool {
    turn % LOWEST_FIRST_EVERY == LOWEST_FIRST_EVERY - 1
}

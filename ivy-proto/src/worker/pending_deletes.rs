//! Collects deletes, so that one request deletes many messages.

use std::collections::{BTreeMap, VecDeque};

use crate::id::JobId;
use crate::name::QueueName;

/// The initial capacity of a batch, unless its limit is smaller.
const ROOM: usize = 100;

/// The jobs whose messages are to be deleted, by queue.
#[derive(Debug, Default)]
pub(super) struct PendingDeletes {
    coalescing: BTreeMap<QueueName, Batch>,
}

#[derive(Debug, Default)]
struct Batch {
    jobs: VecDeque<JobId>,
    /// The queue failed: wait for the timer, whatever the number of deletes.
    held_back: bool,
}

/// What to do after a job was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Start the linger timer.
    First,
    /// Send the full batch.
    Full,
    /// Nothing.
    Waits,
}

impl PendingDeletes {
    /// Adds a job to its queue's batch.
    pub(super) fn add(&mut self, queue: &QueueName, job: JobId, max_batch: usize) -> Added {
        let coalescing = self.coalescing.entry(queue.clone()).or_default();
        if coalescing.jobs.is_empty() {
            coalescing.jobs.reserve(max_batch.min(ROOM));
        }
        coalescing.jobs.push_back(job);
        match coalescing.jobs.len() {
            _ if coalescing.held_back => Added::Waits,
            gathered if gathered >= max_batch => Added::Full,
            1 => Added::First,
            _ => Added::Waits,
        }
    }

    /// Puts back deletes that must wait, and holds the queue's deletes until the timer ends.
    pub(super) fn put_back(&mut self, queue: &QueueName, jobs: Vec<JobId>) {
        let coalescing = self.coalescing.entry(queue.clone()).or_default();
        coalescing.held_back = true;
        for job in jobs.into_iter().rev() {
            coalescing.jobs.push_front(job);
        }
    }

    /// Takes the batch of a queue.
    pub(super) fn take(&mut self, queue: &QueueName) -> Vec<JobId> {
        self.coalescing.remove(queue).map(|coalescing| coalescing.jobs.into()).unwrap_or_default()
    }

    /// The queues with a pending batch.
    pub(super) fn queues(&self) -> Vec<QueueName> {
        self.coalescing.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdGenerator;

    fn queue() -> QueueName {
        QueueName::new("a").unwrap()
    }

    #[test]
    fn the_first_delete_starts_the_linger_and_a_full_batch_is_sent() {
        let (mut pending, mut ids) = (PendingDeletes::default(), IdGenerator::default());
        let added: Vec<Added> = (0..3).map(|_| pending.add(&queue(), ids.next_job(), 3)).collect();
        assert_eq!(added, [Added::First, Added::Waits, Added::Full]);
        assert_eq!(pending.take(&queue()).len(), 3);
        assert!(pending.queues().is_empty());
    }

    #[test]
    fn deletes_that_were_put_back_come_first_and_wait_for_the_timer() {
        let (mut pending, mut ids) = (PendingDeletes::default(), IdGenerator::default());
        let (old, new) = (ids.next_job(), ids.next_job());
        pending.put_back(&queue(), vec![old]);
        assert_eq!(pending.add(&queue(), new, 1), Added::Waits);
        assert_eq!(pending.take(&queue()), [old, new]);
    }
}

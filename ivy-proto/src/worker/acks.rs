//! Deletes that gather for a while, so that many messages are acknowledged in one request.

use std::collections::{BTreeMap, VecDeque};

use crate::id::JobId;
use crate::name::QueueName;

/// Room for so many is made at once, where a batch may have as many.
const ROOM: usize = 100;

/// The jobs whose messages are to be deleted, by queue.
#[derive(Debug, Default)]
pub(super) struct Acks {
    coalescing: BTreeMap<QueueName, PendingAcks>,
}

#[derive(Debug, Default)]
struct PendingAcks {
    jobs: VecDeque<JobId>,
    /// The queue failed: wait for the timer, however many have gathered.
    held_back: bool,
}

/// What to do after a job was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is the first: start the linger.
    First,
    /// A batch is full: send it.
    Full,
    /// Nothing.
    Waits,
}

impl Acks {
    /// Adds a job to what gathers for its queue.
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

    /// Puts a batch back that could not be deleted yet, and holds the queue's deletes back.
    pub(super) fn put_back(&mut self, queue: &QueueName, jobs: Vec<JobId>) {
        let coalescing = self.coalescing.entry(queue.clone()).or_default();
        coalescing.held_back = true;
        for job in jobs.into_iter().rev() {
            coalescing.jobs.push_front(job);
        }
    }

    /// Takes all that has gathered for a queue.
    pub(super) fn take(&mut self, queue: &QueueName) -> Vec<JobId> {
        self.coalescing.remove(queue).map(|coalescing| coalescing.jobs.into()).unwrap_or_default()
    }

    /// The queues for which deletes gather.
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
    fn the_first_starts_the_linger_and_the_last_sends_the_batch() {
        let (mut acks, mut ids) = (Acks::default(), IdGenerator::default());
        let added: Vec<Added> = (0..3).map(|_| acks.add(&queue(), ids.next_job(), 3)).collect();
        assert_eq!(added, [Added::First, Added::Waits, Added::Full]);
        assert_eq!(acks.take(&queue()).len(), 3);
        assert!(acks.queues().is_empty());
    }

    #[test]
    fn a_batch_that_was_put_back_comes_first_and_waits_for_the_timer() {
        let (mut acks, mut ids) = (Acks::default(), IdGenerator::default());
        let (old, new) = (ids.next_job(), ids.next_job());
        acks.put_back(&queue(), vec![old]);
        assert_eq!(acks.add(&queue(), new, 1), Added::Waits);
        assert_eq!(acks.take(&queue()), [old, new]);
    }
}

//! Which queues in memory are served by workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ivy_proto::QueueName;
use ivy_proto::task::QueuePlace;

/// The workers on one memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServedQueues {
    /// How many workers serve each queue.
    workers: Arc<Mutex<BTreeMap<QueueName, usize>>>,
    /// Whether several [`Ivy`](crate::Ivy) share the memory.
    is_shared: bool,
}

impl ServedQueues {
    /// Those of a memory that several `Ivy` share.
    pub(crate) fn shared() -> Self {
        ServedQueues { is_shared: true, ..ServedQueues::default() }
    }

    /// Records that a worker serves these queues, until what is returned is dropped.
    pub(crate) fn add<'a>(&self, queues: impl Iterator<Item = &'a QueueName>) -> Serving {
        let queues: Vec<QueueName> = queues.cloned().collect();
        let mut workers = self.lock();
        for queue in &queues {
            *workers.entry(queue.clone()).or_default() += 1;
        }
        drop(workers);
        Serving { of: self.clone(), queues }
    }

    /// What is known of a queue.
    pub(crate) fn place_of(&self, queue: &QueueName) -> QueuePlace {
        let is_served = self.lock().contains_key(queue);
        if self.is_shared {
            QueuePlace::SharedMemory { is_served }
        } else {
            QueuePlace::Memory { is_served }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<QueueName, usize>> {
        // No code that can panic runs while the lock is held.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker that serves queues.
#[derive(Debug)]
pub(crate) struct Serving {
    of: ServedQueues,
    queues: Vec<QueueName>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut workers = self.of.lock();
        for queue in &self.queues {
            if let Some(count) = workers.get_mut(queue) {
                *count -= 1;
                if *count == 0 {
                    workers.remove(queue);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_served_until_its_last_worker_ends() {
        let served = ServedQueues::default();
        let queue = QueueName::new("shop").unwrap();
        let is_served = || served.place_of(&queue) == QueuePlace::Memory { is_served: true };
        let (one, two) = (served.add([&queue].into_iter()), served.add([&queue].into_iter()));
        drop(one);
        assert!(is_served());
        drop(two);
        assert!(!is_served());
    }
}

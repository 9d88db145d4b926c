//! Which queue goes with which notifier, and what makes no sense with some of them.

/// A queue backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Memory,
    IronMq,
}

/// A notifier backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notifier {
    Memory,
    Redis,
}

/// What the scenarios are run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    pub(crate) queue: Queue,
    pub(crate) notifier: Notifier,
}

impl Combination {
    pub(crate) const ALL: [Combination; 4] = [
        Combination { queue: Queue::Memory, notifier: Notifier::Memory },
        Combination { queue: Queue::Memory, notifier: Notifier::Redis },
        Combination { queue: Queue::IronMq, notifier: Notifier::Memory },
        Combination { queue: Queue::IronMq, notifier: Notifier::Redis },
    ];

    /// Its name among the tests.
    pub(crate) fn name(self) -> &'static str {
        match (self.queue, self.notifier) {
            (Queue::Memory, Notifier::Memory) => "memory_and_memory",
            (Queue::Memory, Notifier::Redis) => "memory_and_redis",
            (Queue::IronMq, Notifier::Memory) => "ironmq_and_memory",
            (Queue::IronMq, Notifier::Redis) => "ironmq_and_redis",
        }
    }
}

/// A reason to leave a scenario out of some combinations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exception {
    pub(crate) holds: fn(Combination) -> bool,
    pub(crate) reason: &'static str,
}

/// For scenarios in which the queue is touched past ivy, or what is in it is read byte by byte.
pub(crate) const PRIVATE_QUEUE: Exception = Exception {
    holds: |combination| combination.queue == Queue::Memory,
    reason: "nobody but its own ivy reaches a memory queue",
};

/// For scenarios in which requests to the queue or their answers get lost.
pub(crate) const NO_NETWORK: Exception = Exception {
    holds: |combination| combination.queue == Queue::Memory,
    reason: "no network lies before a memory queue",
};

/// For scenarios in which others publish or listen, or the notifier breaks.
pub(crate) const PRIVATE_NOTIFIER: Exception = Exception {
    holds: |combination| combination.notifier == Notifier::Memory,
    reason: "nobody but its own ivy reaches a memory notifier, and it cannot break",
};

/// For scenarios in which results travel from one ivy to another.
pub(crate) const ONE_PROCESS: Exception = Exception {
    holds: |combination| {
        combination.queue == Queue::Memory || combination.notifier == Notifier::Memory
    },
    reason: "memory backends are not shared between processes",
};

/// For scenarios with a notifier of their own, to which the queue does not matter.
pub(crate) const OTHER_THAN_REDIS: Exception = Exception {
    holds: |combination| {
        combination != Combination { queue: Queue::Memory, notifier: Notifier::Redis }
    },
    reason: "it brings a Redis server of its own, and the queue does not matter",
};

/// For scenarios with a queue server of their own, to which the notifier does not matter.
pub(crate) const OTHER_THAN_IRONMQ: Exception = Exception {
    holds: |combination| {
        combination != Combination { queue: Queue::IronMq, notifier: Notifier::Memory }
    },
    reason: "it brings a queue server of its own, and the notifier does not matter",
};

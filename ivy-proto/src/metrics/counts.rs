//! What is counted for each queue and task.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::ReleaseReason;
use crate::wire::DeadLetterReason;

use super::histogram::{Histogram, Scale};

/// Combines two sets of counts, one count at a time.
pub(crate) trait Combine {
    /// Applies `combine` to each pair of counts. A count that only `other` has is combined with 0.
    fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64);
}

/// Defines an enum that is a label, and the counts by its values.
macro_rules! counts_by {
    (
        $(#[$docs:meta])* $label:ident, $(#[$of_counts:meta])* $counts:ident,
        $($(#[$of_value:meta])* $value:ident = $text:literal,)*
    ) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $label {
            $($(#[$of_value])* $value,)*
        }

        impl $label {
            /// All values.
            pub const ALL: &'static [$label] = &[$($label::$value,)*];

            /// The value of the label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($label::$value => $text,)*
                }
            }
        }

        $(#[$of_counts])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $counts([u64; $label::ALL.len()]);

        impl $counts {
            /// The count of one value.
            #[must_use]
            pub const fn of(&self, value: $label) -> u64 {
                self.0[value as usize]
            }

            /// All counts, in the order of the values.
            pub fn iter(&self) -> impl Iterator<Item = ($label, u64)> + '_ {
                $label::ALL.iter().copied().zip(self.0.iter().copied())
            }

            /// The sum of all counts.
            #[must_use]
            pub fn total(&self) -> u64 {
                self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
            }

            pub(crate) fn add(&mut self, value: $label, count: u64) {
                let sum = &mut self.0[value as usize];
                *sum = sum.saturating_add(count);
            }
        }

        impl Combine for $counts {
            fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
                for (count, other) in self.0.iter_mut().zip(&other.0) {
                    *count = combine(*count, *other);
                }
            }
        }
    };
}

counts_by! {
    /// How the run of a handler ended.
    Execution,
    /// How often handlers ended in each way.
    Executions,
    /// It returned a value.
    Ok = "ok",
    /// It returned an error.
    Error = "error",
    /// It panicked.
    Panic = "panic",
    /// It exceeded the task's time limit, or the queue's limit for holding a message.
    TimeLimit = "time_limit",
    /// It was cancelled because its message's lease was lost or the worker drained.
    Cancelled = "cancelled",
    /// It does not accept the arguments, so it was not run.
    BadArgs = "bad_args",
    /// It postponed its task: the attempt does not count.
    Later = "later",
}

impl Executions {
    /// How many failed: all but those that returned a value, were cancelled or postponed their task.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let others = [Execution::Ok, Execution::Cancelled, Execution::Later];
        let others = others.map(|execution| self.of(execution));
        others.into_iter().fold(self.total(), u64::saturating_sub)
    }
}

counts_by! {
    /// How sending a task ended.
    SendOutcome,
    /// How often sending ended in each way.
    SendCounts,
    /// The queue accepted it.
    Sent = "sent",
    /// The queue may have accepted it.
    Unknown = "unknown",
    /// The queue refused it.
    Refused = "refused",
    /// It was certainly not sent.
    NotSent = "not_sent",
}

counts_by! {
    /// What became of a notice.
    NoticeOutcome,
    /// What became of the notices to callers.
    NoticeCounts,
    /// At least one subscriber received it.
    Heard = "heard",
    /// There was no subscriber.
    Unheard = "unheard",
    /// It was not published.
    Dropped = "dropped",
}

/// How the wait for a result ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ResultOutcome {
    /// The task succeeded.
    Ok,
    /// The task failed permanently.
    Failed,
    /// The caller stopped waiting.
    TimedOut,
}

impl ResultOutcome {
    /// All values.
    pub const ALL: &'static [ResultOutcome] =
        &[ResultOutcome::Ok, ResultOutcome::Failed, ResultOutcome::TimedOut];

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ResultOutcome::Ok => "ok",
            ResultOutcome::Failed => "failed",
            ResultOutcome::TimedOut => "timeout",
        }
    }
}

/// What a worker counts for a task on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskCounts {
    /// Handlers started.
    pub started: u64,
    /// Handlers ended.
    pub executed: Executions,
    /// Failed attempts that will be retried.
    pub retried: u64,
    /// Messages released.
    pub released: BTreeMap<ReleaseReason, u64>,
    /// Messages moved to the dead-letter queue.
    pub dead: BTreeMap<DeadLetterReason, u64>,
    /// Leases lost.
    pub leases_lost: u64,
    /// From when a task was due until its first attempt started, where the message contains that
    /// time. It compares the clocks of two machines; a negative time counts as 0.
    pub wait: Histogram,
    /// How long handlers ran.
    pub run: Histogram,
}

impl Default for TaskCounts {
    fn default() -> Self {
        TaskCounts {
            started: 0,
            executed: Executions::default(),
            retried: 0,
            released: BTreeMap::new(),
            dead: BTreeMap::new(),
            leases_lost: 0,
            wait: Histogram::new(Scale::Tasks),
            run: Histogram::new(Scale::Tasks),
        }
    }
}

impl TaskCounts {
    /// How many messages were moved to the dead-letter queue, for any reason.
    #[must_use]
    pub fn all_dead(&self) -> u64 {
        total(&self.dead)
    }

    /// How many messages were released, for any reason.
    #[must_use]
    pub fn all_released(&self) -> u64 {
        total(&self.released)
    }

    /// What was counted since an earlier state of the same counts.
    #[must_use]
    pub fn since(&self, earlier: &TaskCounts) -> TaskCounts {
        let mut difference = self.clone();
        difference.combine(earlier, u64::saturating_sub);
        difference
    }
}

impl Combine for TaskCounts {
    fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        self.started = combine(self.started, other.started);
        self.executed.combine(&other.executed, combine);
        self.retried = combine(self.retried, other.retried);
        combine_maps(&mut self.released, &other.released, combine);
        combine_maps(&mut self.dead, &other.dead, combine);
        self.leases_lost = combine(self.leases_lost, other.leases_lost);
        self.wait.combine(&other.wait, combine);
        self.run.combine(&other.run, combine);
    }
}

/// What a worker counts for a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueCounts {
    /// Messages reserved.
    pub reserved: u64,
    /// Messages released.
    pub released: BTreeMap<ReleaseReason, u64>,
    /// Leases lost.
    pub leases_lost: u64,
    /// Renewals of leases requested.
    pub touches: u64,
    /// Handlers that run now.
    pub running: u64,
    /// Messages held now.
    pub held: u64,
    /// How long the oldest running handler has been running.
    pub longest_running: Duration,
}

impl QueueCounts {
    /// Adds the counts of another worker.
    pub(super) fn add(&mut self, other: &QueueCounts) {
        let add = u64::saturating_add;
        self.reserved = add(self.reserved, other.reserved);
        combine_maps(&mut self.released, &other.released, add);
        self.leases_lost = add(self.leases_lost, other.leases_lost);
        self.touches = add(self.touches, other.touches);
        self.running = add(self.running, other.running);
        self.held = add(self.held, other.held);
        self.longest_running = self.longest_running.max(other.longest_running);
    }

    /// Adds what was counted for a task of the queue.
    pub(super) fn add_task(&mut self, task: &TaskCounts) {
        combine_maps(&mut self.released, &task.released, u64::saturating_add);
    }

    /// Clears what describes the present.
    pub(super) fn clear_gauges(&mut self) {
        (self.running, self.held, self.longest_running) = (0, 0, Duration::ZERO);
    }
}

/// How long callers waited for results, by outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultTimes([Histogram; ResultOutcome::ALL.len()]);

impl Default for ResultTimes {
    fn default() -> Self {
        const EMPTY: Histogram = Histogram::new(Scale::Tasks);
        ResultTimes([EMPTY; ResultOutcome::ALL.len()])
    }
}

impl ResultTimes {
    /// The times of one outcome.
    #[must_use]
    pub const fn of(&self, outcome: ResultOutcome) -> &Histogram {
        &self.0[outcome as usize]
    }

    pub(super) fn record_micros(&mut self, outcome: ResultOutcome, micros: u64) {
        self.0[outcome as usize].record_micros(micros);
    }
}

impl Combine for ResultTimes {
    fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        for (times, other) in self.0.iter_mut().zip(&other.0) {
            times.combine(other, combine);
        }
    }
}

fn total<Key>(counts: &BTreeMap<Key, u64>) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

fn combine_maps<Key: Copy + Ord>(
    counts: &mut BTreeMap<Key, u64>,
    other: &BTreeMap<Key, u64>,
    combine: fn(u64, u64) -> u64,
) {
    for (key, other) in other {
        let count = counts.entry(*key).or_default();
        *count = combine(*count, *other);
    }
}

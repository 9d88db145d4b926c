//! How messages are requeued or moved.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::name::QueueName;

/// How messages are requeued or moved. By default, a dead letter returns to the queue that it came
/// from, with all attempts of its task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requeue {
    pub(super) to: Option<QueueName>,
    pub(super) raw: bool,
    pub(super) keep_attempts: bool,
    pub(super) drop_deadline: bool,
    pub(super) one_per_task: bool,
    pub(super) again_if_unknown: bool,
    pub(super) delay: Duration,
    pub(super) rate: Option<NonZeroU32>,
}

impl Requeue {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Requeue::default()
    }

    /// Posts the messages to this physical queue.
    #[must_use]
    pub fn to(mut self, queue: QueueName) -> Self {
        self.to = Some(queue);
        self
    }

    /// The queue to which all messages are posted, if there is one.
    #[must_use]
    pub fn target(&self) -> Option<&QueueName> {
        self.to.as_ref()
    }

    /// Posts the original bytes unchanged, whether or not they can be read here. A task whose
    /// message contains the number of its attempt then has only its remaining attempts, and one
    /// whose deadline has passed is dead-lettered again.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Leaves the number of the attempt as it is, so a task whose retries were exhausted runs once
    /// more. A message without `options.ivy` contains no such number.
    #[must_use]
    pub fn keep_attempts(mut self) -> Self {
        self.keep_attempts = true;
        self
    }

    /// Removes deadlines. Otherwise a message whose deadline has passed is not posted, because it
    /// would be dead-lettered again.
    #[must_use]
    pub fn drop_deadline(mut self) -> Self {
        self.drop_deadline = true;
        self
    }

    /// Posts only the latest of several dead letters of the same task. The others stay where they
    /// are.
    #[must_use]
    pub fn one_per_task(mut self) -> Self {
        self.one_per_task = true;
        self
    }

    /// Posts a message again if it may have been posted, because the reply was lost. Then a task
    /// may be in its queue twice, under one id. Otherwise such a message stays where it is, and is
    /// reported.
    #[must_use]
    pub fn again_if_unknown(mut self) -> Self {
        self.again_if_unknown = true;
        self
    }

    /// Sets how long the queue delays the messages.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Limits the rate, in messages per second. Default: as fast as the queue accepts them.
    #[must_use]
    pub fn with_rate(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second);
        self
    }
}

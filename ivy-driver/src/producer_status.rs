//! What a producer knows beside its calls, for the error of a caller that waited in vain.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::event::TaskRef;
use ivy_proto::task::{QueuePlace, ResultSubscription, SendState, TimedOut};

use crate::call_progress::CallState;
use crate::clock::Clock;
use crate::runtime::Runtime;
use crate::served_queues::ServedQueues;

/// Shared by a producer and the listeners of its calls.
pub(crate) struct ProducerStatus {
    now: Box<dyn Fn() -> Moment + Send + Sync>,
    subscription: Mutex<SubscriptionTimes>,
    /// Who serves the queues, if they are in memory.
    served: Option<ServedQueues>,
}

#[derive(Clone, Copy, Default)]
struct SubscriptionTimes {
    is_up: bool,
    /// When it was lost last.
    lost_at: Option<Moment>,
}

impl ProducerStatus {
    pub(crate) fn new<R: Runtime>(clock: Clock<R>, served: Option<ServedQueues>) -> Self {
        let now = Box::new(move || clock.now());
        ProducerStatus { now, subscription: Mutex::default(), served }
    }

    /// The subscription to results is up.
    pub(crate) fn subscribed(&self) {
        self.lock().is_up = true;
    }

    /// The subscription to results is lost, or failed again.
    pub(crate) fn subscription_lost(&self) {
        let now = (self.now)();
        let mut subscription = self.lock();
        if std::mem::take(&mut subscription.is_up) {
            subscription.lost_at = Some(now);
        }
    }

    /// What is known of a call whose result did not arrive within `after`.
    pub(crate) fn timed_out(&self, task: &TaskRef, call: &CallState, after: Duration) -> TimedOut {
        let now = (self.now)();
        let history = call.history();
        let (sending, sent_at) = match (history.sent_at, history.may_be_sent) {
            (Some(at), _) => (SendState::Sent { ago: now.since(at) }, at),
            (None, true) => (SendState::Unknown, Moment::EPOCH),
            (None, false) => (SendState::NotSent, now),
        };
        let release = history.release.clone();
        drop(history);
        let place = self.served.as_ref().map(|served| served.place_of(&task.queue));
        TimedOut::new(task.clone(), after, sending)
            .with_subscription(self.subscription(now, sent_at))
            .with_place(place.unwrap_or(QueuePlace::Server))
            .with_release(release)
    }

    fn subscription(&self, now: Moment, sent_at: Moment) -> ResultSubscription {
        let SubscriptionTimes { is_up, lost_at } = *self.lock();
        match lost_at {
            _ if !is_up => ResultSubscription::Down { lost: lost_at.map(|at| now.since(at)) },
            Some(at) if at >= sent_at => ResultSubscription::Renewed { lost: now.since(at) },
            _ => ResultSubscription::Up,
        }
    }

    fn lock(&self) -> MutexGuard<'_, SubscriptionTimes> {
        // No code that can panic runs while the lock is held.
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProducerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProducerStatus")
    }
}

#[cfg(test)]
mod tests {
    use ivy_proto::{QueueName, TaskId, TaskName};

    use super::*;
    use crate::call_progress::{CallProgress, Until};
    use crate::testing::Tokio;

    const SECOND: Duration = Duration::from_secs(1);

    fn known(status: &ProducerStatus, call: &CallState) -> TimedOut {
        let id = TaskId::from_random([7; 16]);
        let (name, queue) = (TaskName::new("t").unwrap(), QueueName::new("q").unwrap());
        status.timed_out(&TaskRef { id, name, queue }, call, SECOND)
    }

    async fn pass(seconds: u32) {
        tokio::time::sleep(SECOND * seconds).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_loss_of_the_subscription_counts_from_when_the_call_was_sent() {
        let clock = Clock::<Tokio>::start();
        let status = ProducerStatus::new(clock, None);
        let (progress, call) = CallProgress::begin(Until::Result, None);
        assert_eq!(known(&status, &call).sending(), SendState::NotSent);
        let never = ResultSubscription::Down { lost: None };
        assert_eq!(known(&status, &call).subscription(), never);

        status.subscribed();
        pass(1).await;
        status.subscription_lost();
        status.subscribed();
        pass(1).await;
        progress.sent(Ok(ivy_proto::MessageId::new("1")), clock.now());
        pass(2).await;
        assert_eq!(known(&status, &call).sending(), SendState::Sent { ago: 2 * SECOND });
        assert_eq!(known(&status, &call).subscription(), ResultSubscription::Up);

        status.subscription_lost();
        pass(1).await;
        // A second failure is no second loss.
        status.subscription_lost();
        let down = ResultSubscription::Down { lost: Some(SECOND) };
        assert_eq!(known(&status, &call).subscription(), down);
        status.subscribed();
        pass(1).await;
        let renewed = ResultSubscription::Renewed { lost: 2 * SECOND };
        assert_eq!(known(&status, &call).subscription(), renewed);
    }
}

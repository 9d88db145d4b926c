//! What is known of a task whose result did not arrive in time.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use crate::event::TaskRef;
use crate::text::Tenths;

use super::TaskReleased;

/// What a caller knows of a task whose result did not arrive in time. The task may be in any state,
/// and its result may still arrive.
///
/// Workers report results and releases only: that a task runs, or is retried, is not known to its
/// caller. The `Display` text begins with the most likely cause.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimedOut {
    task: TaskRef,
    after: Duration,
    sending: SendState,
    subscription: ResultSubscription,
    place: QueuePlace,
    release: Option<Arc<TaskReleased>>,
}

/// Whether a task was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendState {
    /// It is not sent yet.
    NotSent,
    /// It may have been sent: the reply to its post was lost.
    Unknown,
    /// The queue has accepted it.
    Sent {
        /// How long ago.
        ago: Duration,
    },
}

/// The state of the subscription to results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultSubscription {
    /// It has been up since the task was sent.
    Up,
    /// It is up again, after it was lost while the caller waited.
    Renewed {
        /// How long ago it was lost.
        lost: Duration,
    },
    /// It is not up.
    Down {
        /// How long ago it was lost. `None` if it was never up.
        lost: Option<Duration>,
    },
}

/// Where a task's queue is, and whether a worker can reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueuePlace {
    /// On a server. Workers of other processes may serve it.
    Server,
    /// In the memory of one producer and its workers.
    Memory {
        /// Whether any of these workers serves the queue now.
        is_served: bool,
    },
    /// In a memory that producers and workers of one process share by its name.
    SharedMemory {
        /// Whether any worker on that memory serves the queue now.
        is_served: bool,
    },
}

impl TimedOut {
    /// A task that was sent to a server, or not, and that nothing else is known of: its caller waited
    /// for `after`.
    #[must_use]
    pub fn new(task: TaskRef, after: Duration, sending: SendState) -> Self {
        let (subscription, place) = (ResultSubscription::Up, QueuePlace::Server);
        TimedOut { task, after, sending, subscription, place, release: None }
    }

    /// Adds the state of the subscription to results.
    #[must_use]
    pub fn with_subscription(mut self, subscription: ResultSubscription) -> Self {
        self.subscription = subscription;
        self
    }

    /// Adds where the queue is.
    #[must_use]
    pub fn with_place(mut self, place: QueuePlace) -> Self {
        self.place = place;
        self
    }

    /// Adds why a worker released the task's message.
    #[must_use]
    pub fn with_release(mut self, release: Option<Arc<TaskReleased>>) -> Self {
        self.release = release;
        self
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskRef {
        &self.task
    }

    /// How long the caller waited.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.after
    }

    /// Whether the task was sent.
    #[must_use]
    pub fn sending(&self) -> SendState {
        self.sending
    }

    /// The state of the subscription to results.
    #[must_use]
    pub fn subscription(&self) -> ResultSubscription {
        self.subscription
    }

    /// Where the task's queue is.
    #[must_use]
    pub fn place(&self) -> QueuePlace {
        self.place
    }

    /// The latest report of a worker that released the task's message without running it.
    #[must_use]
    pub fn release(&self) -> Option<&TaskReleased> {
        self.release.as_deref()
    }

    /// What happened, if it is known.
    fn known_cause(&self, f: &mut Formatter<'_>) -> Option<fmt::Result> {
        let queue = &self.task.queue;
        Some(match (self.sending, &self.release, self.place, self.subscription) {
            (SendState::NotSent, ..) => f.write_str(
                "it is not sent yet; check that the queue's server responds: the log says which requests fail",
            ),
            (_, Some(release), ..) => write!(f, "{release}"),
            (_, None, QueuePlace::Memory { is_served: false }, _) => write!(
                f,
                "queue {queue} is in the memory of one Ivy, and no worker of it serves that queue; if the worker belongs to another Ivy of this process, use a clone of one Ivy for both, or a shared memory such as memory://app in both"
            ),
            (_, None, QueuePlace::SharedMemory { is_served: false }, _) => write!(
                f,
                "queue {queue} is in a shared memory, and no worker with the same memory://NAME serves that queue here; start one in the same process and runtime, and compare the names of memory and queue"
            ),
            (_, None, _, ResultSubscription::Down { lost: Some(lost) }) => write!(
                f,
                "the subscription to results was lost {} ago and is not renewed yet, and what is published meanwhile does not arrive; check that the notifier runs",
                Tenths(lost)
            ),
            (_, None, _, ResultSubscription::Down { lost: None }) => f.write_str(
                "the subscription to results is not confirmed yet, and what is published meanwhile does not arrive; check that the notifier runs",
            ),
            (_, None, _, ResultSubscription::Renewed { lost }) => write!(
                f,
                "the subscription to results was interrupted {} ago and is renewed: if the task ended meanwhile, its result is lost",
                Tenths(lost)
            ),
            (_, None, _, ResultSubscription::Up) => return None,
        })
    }
}

impl Display for TimedOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let TaskRef { id, queue, .. } = &self.task;
        write!(f, "no result within {:?}; ", self.after)?;
        match self.known_cause(f) {
            Some(written) => written?,
            None => match self.sending {
                SendState::Sent { ago } => write!(
                    f,
                    "it was sent {} ago, and no worker has reported anything of it",
                    Tenths(ago)
                )?,
                _ => {
                    f.write_str("it may have been sent, and no worker has reported anything of it")?
                }
            },
        }
        match (self.sending, self.place) {
            (SendState::NotSent, _)
            | (
                _,
                QueuePlace::Memory { is_served: false }
                | QueuePlace::SharedMemory { is_served: false },
            ) => {}
            (_, QueuePlace::Memory { .. } | QueuePlace::SharedMemory { .. })
                if self.release.is_some() => {}
            (_, QueuePlace::Memory { .. } | QueuePlace::SharedMemory { .. }) => f.write_str(
                "; it may wait for a free handler of its worker, still run, be retried after a failure, or was postponed (`TaskError::later`): the events of its Ivy say which, as do its lines of the log at level debug",
            )?,
            (_, QueuePlace::Server) if self.release.is_some() => {
                write!(f, "; look with `ivy explain {queue} --task {id}`")?;
            }
            (_, QueuePlace::Server) => write!(
                f,
                "; probably no worker serves queue {queue}, all their handlers are busy, or it still runs, is retried, or was postponed (`TaskError::later`): look with `ivy explain {queue} --task {id} --workers`; if it has run, check that its worker uses the same notifier, channel name and keys"
            )?,
        }
        f.write_str(match self.subscription {
            ResultSubscription::Renewed { .. } => "; wait again, in case the task still runs",
            _ => "; the result may still arrive: wait again",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;
    use crate::name::{QueueName, TaskName};

    const FIVE: Duration = Duration::from_secs(5);
    const SENT: SendState = SendState::Sent { ago: Duration::from_millis(4900) };

    fn timed_out(sending: SendState) -> TimedOut {
        let id = TaskId::from_random([7; 16]);
        let (name, queue) = (TaskName::new("shop.pay").unwrap(), QueueName::new("shop").unwrap());
        TimedOut::new(TaskRef { id, name, queue }, FIVE, sending)
    }

    fn release() -> Option<Arc<TaskReleased>> {
        let queue = QueueName::new("shop").unwrap();
        let (kind, message) = ("UnknownTask".to_owned(), "no handler".to_owned());
        Some(Arc::new(TaskReleased { queue, kind, message, attempts: 0 }))
    }

    #[test]
    fn a_task_that_nobody_reported_is_explained_with_the_next_command() {
        assert_eq!(
            timed_out(SENT).to_string(),
            "no result within 5s; it was sent 4.9s ago, and no worker has reported anything of it; probably no worker serves queue shop, all their handlers are busy, or it still runs, is retried, or was postponed (`TaskError::later`): look with `ivy explain shop --task BwcHBwcHBwcHBwcHBwcHBw --workers`; if it has run, check that its worker uses the same notifier, channel name and keys; the result may still arrive: wait again"
        );
    }

    #[test]
    fn a_task_that_is_not_sent_points_to_the_queue_and_to_nothing_else() {
        let error = timed_out(SendState::NotSent).with_release(None);
        let text = error.to_string();
        assert!(
            text.starts_with("no result within 5s; it is not sent yet; check that the queue's"),
            "{text}"
        );
        assert!(!text.contains("ivy explain"), "{text}");
    }

    #[test]
    fn a_released_task_names_the_workers_reason_first() {
        let error = timed_out(SENT).with_release(release());
        assert_eq!(error.release().unwrap().kind, "UnknownTask");
        let text = error.to_string();
        let start = "no result within 5s; a worker of queue shop released the message: UnknownTask: no handler; ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("; look with `ivy explain shop --task BwcH"), "{text}");
    }

    #[test]
    fn a_queue_in_memory_without_a_worker_is_named_as_the_cause() {
        let place = QueuePlace::Memory { is_served: false };
        assert_eq!(
            timed_out(SENT).with_place(place).to_string(),
            "no result within 5s; queue shop is in the memory of one Ivy, and no worker of it serves that queue; if the worker belongs to another Ivy of this process, use a clone of one Ivy for both, or a shared memory such as memory://app in both; the result may still arrive: wait again"
        );
    }

    #[test]
    fn a_queue_in_memory_with_a_worker_names_a_postponement_and_points_to_the_events() {
        let place = QueuePlace::Memory { is_served: true };
        let text = timed_out(SENT).with_place(place).to_string();
        assert!(text.contains("or was postponed (`TaskError::later`)"), "{text}");
        assert!(text.contains("the events of its Ivy") && !text.contains("ivy explain"), "{text}");
    }

    #[test]
    fn a_shared_memory_without_a_worker_is_named_without_the_advice_to_share_it() {
        let place = QueuePlace::SharedMemory { is_served: false };
        let text = timed_out(SENT).with_place(place).to_string();
        assert!(text.contains("no worker with the same memory://NAME serves that queue"), "{text}");
        assert!(!text.contains("clone") && !text.contains("memory://app"), "{text}");
        let place = QueuePlace::SharedMemory { is_served: true };
        let text = timed_out(SENT).with_place(place).to_string();
        assert!(text.contains("the events of its Ivy") && !text.contains("ivy explain"), "{text}");
    }

    #[test]
    fn a_subscription_that_was_lost_comes_before_the_workers() {
        for (subscription, expected) in [
            (ResultSubscription::Down { lost: None }, "is not confirmed yet"),
            (ResultSubscription::Down { lost: Some(FIVE) }, "was lost 5.0s ago and is not renewed"),
            (ResultSubscription::Renewed { lost: FIVE }, "was interrupted 5.0s ago"),
        ] {
            let text = timed_out(SENT).with_subscription(subscription).to_string();
            let (lost, workers) = (text.find(expected), text.find("no worker serves"));
            assert!(lost.is_some() && lost < workers, "{text}");
        }
    }

    #[test]
    fn a_lost_reply_to_the_post_is_no_proof_that_it_was_sent() {
        let text = timed_out(SendState::Unknown).to_string();
        assert!(text.contains("it may have been sent, and no worker"), "{text}");
    }
}

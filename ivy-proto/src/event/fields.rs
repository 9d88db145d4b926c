//! What an event says as fields, so that a log can be searched by task, queue or reason.

use std::time::Duration;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::wire::DeadLetterReason;

use super::{DegradedReason, Event, Part, TaskRef};

/// The fields of an event's line in the log. What the event does not know is absent.
///
/// They never contain arguments, results, message bodies, keys, or an error message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fields<'a> {
    /// `task.id`: the task's id.
    pub task_id: Option<TaskId>,
    /// `task.name`: the task's name.
    pub task_name: Option<&'a TaskName>,
    /// `queue`: the physical queue.
    pub queue: Option<&'a QueueName>,
    /// `message.id`: the message's id on its queue.
    pub message_id: Option<&'a MessageId>,
    /// `attempt`: the number of the attempt, from 1; of a retry, that of the next one; of a dead
    /// letter, that of the last one.
    pub attempt: Option<u32>,
    /// `deliveries`: an upper bound of the number of deliveries so far.
    pub deliveries: Option<u32>,
    /// `reason`: why the message was released or dead-lettered, a notice dropped, or messages
    /// paused.
    pub reason: Option<&'static str>,
    /// `delay_s`: how long the queue withholds the message.
    pub delay: Option<Duration>,
    /// `took_s`: how long the handler ran.
    pub took: Option<Duration>,
    /// `wait_s`: how long the task waited from when it was due until its first attempt started.
    pub wait: Option<Duration>,
    /// `error.kind`: the kind of a failure, such as `Unauthorized` or `Panicked`.
    pub error_kind: Option<&'static str>,
    /// `count`: the number of similar events that the line stands for, if it is not one.
    pub count: Option<u64>,
}

/// Whose events these are: the target of their lines in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogTarget {
    /// `ivy::worker`: reservations, runs, settlements and results.
    Worker,
    /// `ivy::producer`: calls and their results.
    Producer,
    /// `ivy::queue`: the queue's server.
    Queue,
    /// `ivy::notifier`: the notifier, and what it delivers.
    Notifier,
}

impl LogTarget {
    /// The target's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LogTarget::Worker => "ivy::worker",
            LogTarget::Producer => "ivy::producer",
            LogTarget::Queue => "ivy::queue",
            LogTarget::Notifier => "ivy::notifier",
        }
    }
}

impl Event {
    /// The target of its line in the log.
    #[must_use]
    pub fn target(&self) -> LogTarget {
        match self {
            Event::TaskSent { .. }
            | Event::Resent { .. }
            | Event::SendFailed { .. }
            | Event::CallbackEvicted { .. }
            | Event::CallerInformed { .. }
            | Event::CallerResumed { .. } => LogTarget::Producer,
            Event::QueueError { .. }
            | Event::UnexpectedResponse { .. }
            | Event::ShortLease { .. }
            | Event::QueueServerWarning { .. }
            | Event::ServerSideDeadLetter { .. }
            | Event::Degraded { part: Part::Queue(_), .. }
            | Event::Recovered { part: Part::Queue(_) } => LogTarget::Queue,
            Event::NotifierError { .. }
            | Event::NotifierUserIgnored
            | Event::NoticeIgnored
            | Event::PresenceIgnored { .. }
            | Event::Degraded { part: Part::Notifier, .. }
            | Event::Recovered { part: Part::Notifier } => LogTarget::Notifier,
            _ => LogTarget::Worker,
        }
    }

    /// The fields of its line in the log.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ivy_proto::event::{Event, TaskRef};
    /// use ivy_proto::{QueueName, TaskId, TaskName};
    ///
    /// let name = TaskName::new("mail.send")?;
    /// let task = TaskRef { id: TaskId::from_random([7; 16]), name, queue: QueueName::new("mail")? };
    /// let retried = Event::Retried { task, attempt: 2, delay: Duration::from_secs(3) };
    /// let fields = retried.fields();
    /// assert_eq!(fields.queue.map(QueueName::as_str), Some("mail"));
    /// assert_eq!((fields.attempt, fields.delay), (Some(2), Some(Duration::from_secs(3))));
    /// # Ok::<(), ivy_proto::InvalidName>(())
    /// ```
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        match self {
            Event::TaskSent { task, message } => {
                Fields { message_id: Some(message), ..Fields::of(task) }
            }
            Event::Resent { task, .. }
            | Event::Acknowledged { task }
            | Event::Replaced { task, .. }
            | Event::ResultSent { task, .. }
            | Event::ReleaseNoticeSent { task, .. }
            | Event::CallbackEvicted { task, .. }
            | Event::CallerResumed { task, .. } => Fields::of(task),
            Event::SendFailed { task, fault } => {
                Fields { error_kind: Some(fault.kind().name()), ..Fields::of(task) }
            }
            Event::MessageRetrieved { queue, message, deliveries } => {
                Fields { deliveries: Some(*deliveries), ..Fields::of_message(queue, message) }
            }
            Event::TaskExecuted { task, attempt, took, waited, error } => Fields {
                attempt: Some(*attempt),
                took: Some(*took),
                wait: *waited,
                error_kind: error.as_ref().map(|error| error.kind()),
                ..Fields::of(task)
            },
            Event::Retried { task, attempt, delay }
            | Event::Postponed { task, attempt, delay, .. } => {
                Fields { attempt: Some(*attempt), delay: Some(*delay), ..Fields::of(task) }
            }
            Event::DeadLettered { queue, message, task, reason, attempts, .. } => Fields {
                attempt: Some(*attempts).filter(|attempts| *attempts > 0),
                reason: Some(reason.as_str()),
                ..Fields::of_message(queue, message).with(task.as_ref())
            },
            Event::DeadLetterRefused { queue, message, reason, fault } => Fields {
                reason: Some(reason.as_str()),
                error_kind: Some(fault.kind().name()),
                ..Fields::of_message(queue, message)
            },
            Event::Released { queue, message, task, reason, delay, .. } => Fields {
                reason: Some(reason.as_str()),
                delay: Some(*delay),
                ..Fields::of_message(queue, message).with(task.as_ref())
            },
            Event::FirstMessage { queue, message }
            | Event::LeaseLost { queue, message }
            | Event::Replayed { queue, message }
            | Event::PeerFault { queue, message }
            | Event::IdReused { queue, message } => Fields::of_message(queue, message),
            Event::QueueShared { queue, task } => {
                Fields { task_name: Some(task), ..Fields::of_queue(queue) }
            }
            Event::DecryptionsFailed { queue }
            | Event::UnusableMessages { queue, .. }
            | Event::ServerSideDeadLetter { queue } => Fields::of_queue(queue),
            Event::UnexpectedResponse { queue, .. } => {
                Fields { queue: queue.as_ref(), ..Fields::default() }
            }
            Event::NoticeDropped { task, reason } => {
                Fields { reason: Some(reason.as_str()), ..Fields::of(task) }
            }
            Event::CallerInformed { task, release } => {
                // A name that a peer chose is not a field.
                let reason = release.kind.parse().ok().map(DeadLetterReason::as_str);
                Fields { reason, ..Fields::of(task) }
            }
            Event::QueueError { queue, fault } => {
                Fields { error_kind: Some(fault.kind().name()), ..Fields::of_queue(queue) }
            }
            Event::NotifierError { fault } => {
                Fields { error_kind: Some(fault.kind().name()), ..Fields::default() }
            }
            Event::Degraded { part, why } => {
                let (reason, error_kind) = match why {
                    DegradedReason::Queue(fault) => (None, Some(fault.kind().name())),
                    DegradedReason::Notifier(fault) => (None, Some(fault.kind().name())),
                    DegradedReason::NoNotifier => (Some("NoNotifier"), None),
                    DegradedReason::Messages(reason) | DegradedReason::Task { reason, .. } => {
                        (Some(reason.as_str()), None)
                    }
                };
                Fields { reason, error_kind, ..Fields::of_part(part) }
            }
            Event::Recovered { part } => Fields::of_part(part),
            Event::WorkerStarted(_)
            | Event::Draining { .. }
            | Event::WokenLate { .. }
            | Event::SlotsWait { .. }
            | Event::PresenceIgnored { .. }
            | Event::NoticeIgnored
            | Event::NotifierUserIgnored
            | Event::ShortLease { .. }
            | Event::ClockImplausible
            | Event::ClockSet { .. }
            | Event::QueueServerWarning { .. }
            | Event::TooManyLabels => Fields::default(),
        }
    }
}

impl<'a> Fields<'a> {
    fn of(task: &'a TaskRef) -> Self {
        Fields {
            task_id: Some(task.id),
            task_name: Some(&task.name),
            queue: Some(&task.queue),
            ..Fields::default()
        }
    }

    fn of_queue(queue: &'a QueueName) -> Self {
        Fields { queue: Some(queue), ..Fields::default() }
    }

    fn of_message(queue: &'a QueueName, message: &'a MessageId) -> Self {
        Fields { message_id: Some(message), ..Fields::of_queue(queue) }
    }

    fn of_part(part: &'a Part) -> Self {
        match part {
            Part::Queue(queue) | Part::Messages(queue) => Fields::of_queue(queue),
            Part::Task { task, queue } => {
                Fields { task_name: Some(task), ..Fields::of_queue(queue) }
            }
            Part::Notifier => Fields::default(),
        }
    }

    /// Adds the task, if it is known.
    fn with(self, task: Option<&'a TaskRef>) -> Self {
        let Some(task) = task else { return self };
        Fields { task_id: Some(task.id), task_name: Some(&task.name), ..self }
    }

    /// What similar events have in common, for a line that stands for this many.
    pub(super) fn of_many(self, count: u64) -> Self {
        let Fields { queue, reason, error_kind, .. } = self;
        Fields { queue, reason, error_kind, count: Some(count), ..Fields::default() }
    }

    /// Whether the event is about one task or message.
    pub(super) fn name_a_task_or_message(&self) -> bool {
        self.task_name.is_some() || self.message_id.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ReleaseReason;
    use crate::notify::{NotifyFault, NotifyFaultKind};
    use crate::queue::{Fault, FaultKind};
    use crate::task::{TaskError, TaskReleased};

    fn queue() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    fn task() -> TaskRef {
        let id = TaskId::from_random([7; 16]);
        TaskRef { id, name: TaskName::new("mail.send").unwrap(), queue: queue() }
    }

    #[test]
    fn a_release_has_message_task_reason_and_delay() {
        let (queue, message, task) = (queue(), MessageId::new("61"), task());
        let released = Event::Released {
            queue: queue.clone(),
            message: message.clone(),
            task: Some(task.clone()),
            reason: ReleaseReason::Undecided(DeadLetterReason::UnknownTask),
            detail: None,
            delay: Duration::from_secs(5),
        };
        let expected = Fields {
            task_id: Some(task.id),
            task_name: Some(&task.name),
            queue: Some(&queue),
            message_id: Some(&message),
            reason: Some("UnknownTask"),
            delay: Some(Duration::from_secs(5)),
            ..Fields::default()
        };
        assert_eq!(released.fields(), expected);
        assert_eq!(released.target(), LogTarget::Worker);
    }

    #[test]
    fn a_run_has_its_times_and_the_kind_of_its_error() {
        let executed = |error| Event::TaskExecuted {
            task: task(),
            attempt: 2,
            took: Duration::from_secs(3),
            waited: Some(Duration::from_secs(1)),
            error,
        };
        let failed = executed(Some(TaskError::fatal("4111 1111")));
        let fields = failed.fields();
        assert_eq!((fields.attempt, fields.error_kind), (Some(2), Some("Fatal")));
        assert_eq!(fields.took, Some(Duration::from_secs(3)));
        assert_eq!(fields.wait, Some(Duration::from_secs(1)));
        assert_eq!(executed(None).fields().error_kind, None);
    }

    #[test]
    fn what_fails_has_its_target_and_kind() {
        let fault = Fault::new(FaultKind::Unauthorized);
        let why = DegradedReason::Queue(fault.clone());
        let notifier = NotifyFault::new(NotifyFaultKind::ConnectionLost);
        for (event, target, kind) in [
            (
                Event::QueueError { queue: queue(), fault: fault.clone() },
                LogTarget::Queue,
                "Unauthorized",
            ),
            (Event::Degraded { part: Part::Queue(queue()), why }, LogTarget::Queue, "Unauthorized"),
            (Event::SendFailed { task: task(), fault }, LogTarget::Producer, "Unauthorized"),
            (Event::NotifierError { fault: notifier }, LogTarget::Notifier, "ConnectionLost"),
        ] {
            assert_eq!(event.target(), target, "{event}");
            assert_eq!(event.fields().error_kind, Some(kind), "{event}");
        }
    }

    #[test]
    fn a_reason_that_a_peer_invented_is_no_field() {
        let informed = |kind: &str| {
            let (kind, message) = (kind.to_owned(), String::new());
            let release = TaskReleased { queue: queue(), kind, message, attempts: 0 };
            Event::CallerInformed { task: task(), release }.fields().reason
        };
        assert_eq!(informed("NoKey"), Some("NoKey"));
        assert_eq!(informed("x\u{1b}[31m"), None);
    }
}

//! Events: the stream that applications subscribe to and the log is written from.

mod degraded;
mod fields;
mod log_limit;
mod release_reason;
mod text;
mod worker_started;

pub(crate) use degraded::DegradedParts;
pub use fields::{Fields, LogTarget};
pub use log_limit::{LogLimit, LogLine};
pub use release_reason::ReleaseReason;
pub use worker_started::WorkerStarted;

use std::time::Duration;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::notify::NotifyFault;
use crate::presence::BadPresence;
use crate::queue::{Fault, ResponseDeviation};
use crate::task::{TaskError, TaskReleased, TaskStatus};
use crate::text::Escaped;
use crate::wire::DeadLetterReason;

/// A called task, as named in events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRef {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub name: TaskName,
    /// The physical queue.
    pub queue: QueueName,
}

/// An event of a producer or a worker. It contains no payload and no secret, except in the error
/// message of a handler. The `Display` text is the line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The queue accepted a task.
    TaskSent {
        /// The task.
        task: TaskRef,
        /// Its message.
        message: MessageId,
    },
    /// A task is posted again because the reply to its post was lost, so two copies may exist.
    Resent {
        /// The task.
        task: TaskRef,
        /// How often it was posted before.
        tries: u32,
    },
    /// A task could not be sent.
    SendFailed {
        /// The task.
        task: TaskRef,
        /// The cause.
        fault: Fault,
    },
    /// A worker starts: its settings. Reported once, before its first request. On the heap, because
    /// events are moved often and seldom of this kind.
    WorkerStarted(Box<WorkerStarted>),
    /// A worker received its first message. Reported once.
    FirstMessage {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// A worker drains: it reserves no more messages. Reported once.
    Draining {
        /// How many handlers run.
        running: usize,
        /// How long they may continue.
        limit: Duration,
    },
    /// The worker reserved a message.
    MessageRetrieved {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// The number of deliveries so far, including this one. An upper bound, because some queues
        /// count renewals and releases too. 1 if the queue does not report it.
        deliveries: u32,
    },
    /// A handler returned or was stopped. Reported once per run, even if the message was lost
    /// meanwhile and the outcome does not count. A handler that does not stop counts as stopped
    /// when its worker ends.
    TaskExecuted {
        /// The task.
        task: TaskRef,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The duration of the run.
        took: Duration,
        /// How long the task waited from when it was due until this run started: of first attempts
        /// whose message says when it was due, if the worker still holds the message.
        waited: Option<Duration>,
        /// The error, if it failed or [postponed](TaskError::postponed_by) its task.
        error: Option<TaskError>,
    },
    /// A failed task will be retried.
    Retried {
        /// The task.
        task: TaskRef,
        /// The number of the next attempt, from 2.
        attempt: u32,
        /// The delay requested from the queue. A queue that counts whole seconds rounds up.
        delay: Duration,
    },
    /// The handler of a task [postponed](TaskError::later) it, and the queue accepted the message
    /// that replaces it. No attempt was counted.
    Postponed {
        /// The task.
        task: TaskRef,
        /// The number of the attempt, from 1: that of its next run as well.
        attempt: u32,
        /// How often handlers have postponed the task, including this time.
        count: u32,
        /// The delay requested from the queue. A queue that counts whole seconds rounds up.
        delay: Duration,
        /// The handler's message, at most 1 KiB.
        message: String,
    },
    /// A redelivered task is posted anew with the number of its lost deliveries before it runs,
    /// because the queue's own count includes renewals.
    Replaced {
        /// The task.
        task: TaskRef,
        /// The number of lost deliveries of this attempt.
        lost: u32,
    },
    /// A finished task's message was deleted.
    Acknowledged {
        /// The task.
        task: TaskRef,
    },
    /// A message was moved to the dead-letter queue.
    DeadLettered {
        /// The physical queue that the message came from.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// The task, if the message names it.
        task: Option<TaskRef>,
        /// The cause.
        reason: DeadLetterReason,
        /// What went wrong, as reported to the caller. If the handler failed, this is its error
        /// message.
        detail: String,
        /// The number of runs that ended.
        attempts: u32,
        /// The known number of lost deliveries, whose worker crashed or whose lease ended. Renewals
        /// and deliberate releases do not count.
        lost: u32,
    },
    /// A message could not be moved to the dead-letter queue and was released with the longest
    /// delay.
    DeadLetterRefused {
        /// The physical queue that the message came from.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// Why it was to be dead-lettered.
        reason: DeadLetterReason,
        /// Why the queue refused the copy.
        fault: Fault,
    },
    /// A message was released because this worker cannot handle it now.
    Released {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// The task, if the message names it.
        task: Option<TaskRef>,
        /// The cause.
        reason: ReleaseReason,
        /// The part of the message that this worker cannot handle, without its arguments, if that
        /// is the cause.
        detail: Option<String>,
        /// How long the queue withholds the message.
        delay: Duration,
    },
    /// A lease was lost: the message may be running elsewhere.
    LeaseLost {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// The worker was woken so late that leases of its messages may have ended unrenewed: something
    /// blocks its threads. Reported at most once a minute.
    WokenLate {
        /// The lateness.
        late: Duration,
        /// The shortest lease that the worker held.
        lease: Duration,
        /// The number of messages that the worker held.
        held: usize,
    },
    /// Every slot of the worker is occupied by a handler that waits for the result of a task which
    /// only this worker would run, so nothing progresses until a wait ends. Reported after five
    /// seconds, and at most once a minute.
    SlotsWait {
        /// The number of occupied slots.
        slots: usize,
        /// At most three of the waits.
        waits: Vec<NestedWait>,
        /// How long all slots have been occupied.
        lasting: Duration,
    },
    /// A message that this worker already completed was delivered again, and was deleted without
    /// being run.
    Replayed {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// A peer holding the key sent an invalid sealed message. Its program needs a fix.
    PeerFault {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// More unauthenticated frames failed to open than valid peers send. The worker pauses the
    /// queue, so that an attacker cannot use it as a decryption oracle.
    DecryptionsFailed {
        /// The physical queue.
        queue: QueueName,
    },
    /// The queue carries tasks of another program, and had none of this worker's own within the
    /// last minute. Reported once per queue. The worker yields the queue to other workers for a
    /// while whenever it receives such a task.
    QueueShared {
        /// The physical queue.
        queue: QueueName,
        /// A task on it that this worker has no handler for.
        task: TaskName,
    },
    /// Entries in a queue's reply cannot be handled: they have no id or reservation, are not messages
    /// of ivy, are too large, or were not requested.
    UnusableMessages {
        /// The physical queue.
        queue: QueueName,
        /// The number of entries.
        count: usize,
    },
    /// The id of a message was seen before with other bytes: the queue assigned one id to two
    /// messages, or a message was altered in flight. Both are handled independently. The worker
    /// remembers the last 1024 messages.
    IdReused {
        /// The physical queue.
        queue: QueueName,
        /// The id.
        message: MessageId,
    },
    /// The queue's server sent an unexpected response, which was accepted. Appears only in the
    /// events of the whole program, not in those of a worker.
    UnexpectedResponse {
        /// The physical queue, if the request concerned one.
        queue: Option<QueueName>,
        /// What was unexpected.
        deviation: ResponseDeviation,
    },
    /// A notice was published.
    ResultSent {
        /// The task.
        task: TaskRef,
        /// Whether the notice reports a success.
        succeeded: bool,
        /// How many subscribers received it. Zero: the caller has disconnected or listens on
        /// another notifier.
        receivers: u64,
    },
    /// A notice was not published.
    NoticeDropped {
        /// The task.
        task: TaskRef,
        /// The cause.
        reason: NoticeDropReason,
    },
    /// A publication on the presence channel was ignored: it is no record, or cannot be opened here.
    PresenceIgnored {
        /// The cause. On the heap, because events are moved often and seldom of this kind.
        why: Box<BadPresence>,
    },
    /// A notice was ignored because it is invalid or addressed to another producer.
    NoticeIgnored,
    /// The registered callback no longer waits for the result of this task: it was the oldest
    /// result that only a callback waited for, and another call needed the slot.
    CallbackEvicted {
        /// The task.
        task: TaskRef,
        /// The maximum number of pending results.
        limit: usize,
    },
    /// A notice was published that the worker released a task's message because it cannot handle
    /// it.
    ReleaseNoticeSent {
        /// The task.
        task: TaskRef,
        /// How many subscribers received it.
        receivers: u64,
    },
    /// A worker released a task's message because it cannot handle it. The caller continues to
    /// wait.
    CallerInformed {
        /// The task.
        task: TaskRef,
        /// The cause.
        release: TaskReleased,
    },
    /// A result reached its caller.
    CallerResumed {
        /// The task.
        task: TaskRef,
        /// Whether the task succeeded.
        succeeded: bool,
    },
    /// A request to a queue failed.
    QueueError {
        /// The physical queue.
        queue: QueueName,
        /// The cause.
        fault: Fault,
    },
    /// The notifier failed.
    NotifierError {
        /// The cause.
        fault: NotifyFault,
    },
    /// The notifier rejected the user name in its URL and accepted the password alone.
    NotifierUserIgnored,
    /// A part keeps failing. It is retried indefinitely.
    Degraded {
        /// The part that fails.
        part: Part,
        /// The cause of the last failure.
        why: DegradedReason,
    },
    /// A degraded part works again.
    Recovered {
        /// The part that recovered.
        part: Part,
    },
    /// Messages are reserved for a shorter time than the queue's documentation allows.
    ShortLease {
        /// The shortest lease observed.
        lease: Duration,
        /// The shortest lease documented.
        documented: Duration,
    },
    /// The clock of this host shows an implausible time, so no task's deadline is enforced until
    /// the clock is set.
    ClockImplausible,
    /// The clock of this host was set, or the host slept. Deadlines follow the new time.
    /// Leases that ended by it count as lost.
    ClockSet {
        /// Whether it jumped forward.
        forward: bool,
        /// The size of the jump.
        by: Duration,
    },
    /// A problem of the queue's server endangers messages, or has damaged some. Appears only in the
    /// events of the whole program, not in those of a worker.
    QueueServerWarning {
        /// The problem and what to do about it, as the queue's backend describes it. Contains no
        /// secret.
        warning: String,
    },
    /// There are more queues or tasks than metrics have labels for, so some of them count as
    /// [`OTHER`](crate::metrics::OTHER). Reported once per machine.
    TooManyLabels,
    /// The queue's server has its own dead-letter rule, which records no reason.
    ServerSideDeadLetter {
        /// The physical queue.
        queue: QueueName,
    },
}

/// A task whose handler waits for the result of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NestedWait {
    /// The task whose handler waits.
    pub task: TaskRef,
    /// The task it waits for.
    pub waits_for: TaskRef,
}

/// What can be degraded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Requests to this queue fail.
    Queue(QueueName),
    /// Many messages in a row on this queue cannot be handled: the worker may lack a key. It pauses
    /// the queue and dead-letters nothing meanwhile.
    Messages(QueueName),
    /// Many messages in a row of this task cannot be handled: the worker may lack its handler, or
    /// have one of another version. Messages of the task are released with the longest delay, and
    /// none is dead-lettered. Other messages of the queue are handled as usual.
    Task {
        /// The task's name.
        task: TaskName,
        /// The physical queue.
        queue: QueueName,
    },
    /// The notifier is unreachable.
    Notifier,
}

/// Why a part is degraded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DegradedReason {
    /// Requests to the queue fail.
    #[error("{0}")]
    Queue(Fault),
    /// The notifier fails.
    #[error("{0}")]
    Notifier(NotifyFault),
    /// A caller waits for a result, and there is no notifier.
    #[error("a caller waits for a result, and this worker has no notifier; set IVY_NOTIFIER_URL")]
    NoNotifier,
    /// Messages cannot be handled here.
    #[error("many in a row cannot be handled here ({}); {}", .0, what_to_check(*.0))]
    Messages(DeadLetterReason),
    /// Messages of a task cannot be handled here.
    #[error(
        "many in a row cannot be handled here ({reason}): {}; they are released for a worker of a matching version", Escaped(.detail)
    )]
    Task {
        /// The cause.
        reason: DeadLetterReason,
        /// The mismatch.
        detail: String,
    },
}

/// The former name of [`DegradedReason`].
#[deprecated(note = "renamed to `DegradedReason`, after the event that contains it")]
pub type Trouble = DegradedReason;

/// The remedy to suggest when many messages in a row fail for this reason.
fn what_to_check(reason: DeadLetterReason) -> &'static str {
    if reason.follows_from_the_time() {
        "the clock of this host or of the callers may be wrong; check and set them"
    } else {
        "check this worker's handlers and encryption key"
    }
}

/// Why a notice was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeDropReason {
    /// The message names a channel outside this worker's prefix.
    ForeignChannel,
    /// The notifier was unreachable for too long, or refused.
    NotifierFailed,
    /// The buffer of notices was full, and this was the oldest.
    Overflow,
    /// The worker has no notifier.
    NoNotifier,
}

impl NoticeDropReason {
    /// The reason's name, for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NoticeDropReason::ForeignChannel => "ForeignChannel",
            NoticeDropReason::NotifierFailed => "NotifierFailed",
            NoticeDropReason::Overflow => "Overflow",
            NoticeDropReason::NoNotifier => "NoNotifier",
        }
    }
}

/// The log level of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A state change.
    Debug,
    /// A worker starts, receives its first message, or drains.
    Info,
    /// A condition that an operator should look at.
    Warn,
}

impl Event {
    /// The status that the task has after this event, if the event changes it. A subscriber can
    /// track each task's [`TaskStatus`] with it.
    ///
    /// A worker's events cover the worker's side, a producer's events cover the call and its end.
    /// There is no event for the start of a handler: a retrieved task counts as running until it
    /// ends.
    ///
    /// ```
    /// use ivy_proto::event::{Event, TaskRef};
    /// use ivy_proto::task::TaskStatus;
    /// use ivy_proto::{QueueName, TaskId, TaskName};
    ///
    /// let task = TaskRef {
    ///     id: TaskId::from_random([7; 16]),
    ///     name: TaskName::new("testpackage.factorial")?,
    ///     queue: QueueName::new("testpackage")?,
    /// };
    /// let resumed = Event::CallerResumed { task: task.clone(), succeeded: true };
    /// assert_eq!(resumed.status(), Some(TaskStatus::Done));
    /// assert_eq!(Event::Acknowledged { task }.status(), None);
    /// # Ok::<(), ivy_proto::InvalidName>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<TaskStatus> {
        match self {
            Event::TaskSent { .. }
            | Event::Retried { .. }
            | Event::Postponed { .. }
            | Event::Replaced { .. }
            | Event::Released { .. }
            | Event::CallerInformed { .. }
            | Event::LeaseLost { .. } => Some(TaskStatus::Scheduled),
            Event::TaskExecuted { error: Some(error), .. } => {
                error.postponed_by().is_none().then_some(TaskStatus::Errored)
            }
            Event::ResultSent { succeeded: true, .. } => Some(TaskStatus::Successful),
            Event::CallerResumed { succeeded: true, .. } => Some(TaskStatus::Done),
            Event::CallerResumed { succeeded: false, .. } | Event::DeadLettered { .. } => {
                Some(TaskStatus::DeadLettered)
            }
            Event::CallbackEvicted { .. } => Some(TaskStatus::Lost),
            _ => None,
        }
    }

    /// The log level: warn for lasting trouble and for messages that are dead-lettered or wait for
    /// a worker with the right key or handler; info for a worker's start, first message and drain;
    /// debug for everything else. A [`LogLimit`] decides how many similar warnings are written.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Event::Degraded { .. }
            | Event::Recovered { .. }
            | Event::DeadLettered { .. }
            | Event::DeadLetterRefused { .. }
            | Event::Released {
                reason: ReleaseReason::Undecided(_) | ReleaseReason::NoThread,
                ..
            }
            | Event::WokenLate { .. }
            | Event::SlotsWait { .. }
            | Event::ShortLease { .. }
            | Event::ClockImplausible
            | Event::TooManyLabels
            | Event::CallbackEvicted { .. }
            | Event::NoticeDropped { reason: NoticeDropReason::Overflow, .. }
            | Event::NotifierUserIgnored
            | Event::PeerFault { .. }
            | Event::IdReused { .. }
            | Event::DecryptionsFailed { .. }
            | Event::QueueShared { .. }
            | Event::UnusableMessages { .. }
            | Event::QueueServerWarning { .. }
            | Event::ServerSideDeadLetter { .. } => Level::Warn,
            Event::WorkerStarted(_) | Event::FirstMessage { .. } | Event::Draining { .. } => {
                Level::Info
            }
            _ => Level::Debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_a_warning_and_a_retry_is_not() {
        let released = |reason| {
            let queue = QueueName::new("testpackage").unwrap();
            let (message, delay) = (MessageId::new("7"), Duration::from_secs(5));
            Event::Released { queue, message, task: None, reason, detail: None, delay }
        };
        let missing_key = ReleaseReason::Undecided(DeadLetterReason::UnknownKey);
        assert_eq!(released(missing_key).level(), Level::Warn);
        assert_eq!(released(ReleaseReason::Retry).level(), Level::Debug);
        assert_eq!(released(ReleaseReason::Drain).level(), Level::Debug);
    }
}

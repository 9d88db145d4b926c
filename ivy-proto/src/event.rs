//! What happened: the stream that an application can watch, and the log is written from.

mod limit;
mod text;

pub use limit::{LogLimit, LogLine};

use std::time::Duration;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::notify::NotifyFault;
use crate::queue::{Fault, Oddity};
use crate::task::{TaskError, TaskHeld, TaskStatus};
use crate::text::Escaped;
use crate::wire::DeadLetterReason;

/// A scheduled task, as events name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRef {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub name: TaskName,
    /// The physical queue.
    pub queue: QueueName,
}

/// Something that happened in a producer or a worker. Holds no payload and no secret, but for what a
/// handler says of its failure. Its `Display` text is for people, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The queue has accepted a task.
    TaskSent {
        /// The task.
        task: TaskRef,
        /// Its message.
        message: MessageId,
    },
    /// A post whose answer was lost is sent again, so that two copies may exist.
    Resent {
        /// The task.
        task: TaskRef,
        /// How often it was sent before.
        tries: u32,
    },
    /// A task could not be sent.
    SendFailed {
        /// The task.
        task: TaskRef,
        /// Why.
        fault: Fault,
    },
    /// The worker has reserved a message.
    MessageRetrieved {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// How often it was delivered so far, this time included: at most, since some queues count
        /// renewals and releases too. 1 where the queue does not tell.
        deliveries: u32,
    },
    /// A handler has returned, or was stopped. Told once for each run, also if its message was lost
    /// meanwhile, so that its outcome does not count. A handler that does not stop counts as
    /// stopped when its worker ends.
    TaskExecuted {
        /// The task.
        task: TaskRef,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long it took.
        took: Duration,
        /// The error, if it failed.
        error: Option<TaskError>,
    },
    /// A failed task will be tried again.
    Retried {
        /// The task.
        task: TaskRef,
        /// Which attempt comes next, from 2.
        attempt: u32,
        /// How long the queue is asked to hold it back. A queue that counts in whole seconds rounds
        /// up.
        delay: Duration,
    },
    /// A task that is delivered again is posted anew before it is run, with the number of its lost
    /// deliveries, since the queue's count includes renewals.
    Replaced {
        /// The task.
        task: TaskRef,
        /// How many deliveries of this attempt were lost.
        lost: u32,
    },
    /// A finished task's message was deleted.
    Acknowledged {
        /// The task.
        task: TaskRef,
    },
    /// A message was put aside in the dead-letter queue.
    DeadLettered {
        /// The physical queue that it came from.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// The task, where the message told it.
        task: Option<TaskRef>,
        /// Why.
        reason: DeadLetterReason,
        /// What went wrong, in the words that the caller is told: of the handler, if it failed.
        detail: String,
        /// How often the handler was run to an end.
        attempts: u32,
        /// How many of its deliveries were lost, as far as is known: their worker crashed, or their
        /// lease ended. Renewals and releases on purpose do not count.
        lost: u32,
    },
    /// A message could not be put aside, and was given back with the longest delay.
    DeadLetterRefused {
        /// The physical queue that it came from.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// Why it was to be put aside.
        reason: DeadLetterReason,
        /// Why the copy was refused.
        fault: Fault,
    },
    /// A message that this worker cannot handle yet was given back.
    Released {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
        /// The task, where the message told it.
        task: Option<TaskRef>,
        /// Why.
        reason: ReleaseReason,
        /// What of it this worker cannot handle, in words that hold none of its arguments, if that is
        /// why.
        detail: Option<String>,
        /// How long the queue holds it back.
        delay: Duration,
    },
    /// A message's reservation was lost: it may be running elsewhere now.
    LeaseLost {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// The worker was woken so late, while it held messages, that their leases may have ended
    /// unrenewed: something blocks the threads that it runs on. Reported once a minute at most.
    WokenLate {
        /// How late.
        late: Duration,
        /// The shortest lease that it held.
        lease: Duration,
        /// How many messages it held.
        held: usize,
    },
    /// Every slot of the worker is taken by a handler that waits for the result of a task which this
    /// worker would run itself, so nothing moves until a wait ends. Reported after five seconds, and once
    /// a minute at most.
    SlotsWait {
        /// How many slots are taken so.
        slots: usize,
        /// Some of the waits, three at most.
        waits: Vec<NestedWait>,
        /// For how long all slots have been taken so.
        lasting: Duration,
    },
    /// A message that this worker has done already came again, and was deleted without being run.
    Replayed {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// A peer that has the key has sealed something that cannot be: its program is at fault.
    PeerFault {
        /// The physical queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// More frames that are not authenticated have failed to open than honest peers send: the queue
    /// is left alone for a while, so that nobody learns what is inside by trying.
    OpeningsFailed {
        /// The physical queue.
        queue: QueueName,
    },
    /// The queue carries tasks of another program, and none of this worker's own within the last
    /// minute. Told once for each queue. The worker leaves the queue to others for a while whenever
    /// it meets such a task.
    QueueShared {
        /// The physical queue.
        queue: QueueName,
        /// A task on it that this worker has no handler for.
        task: TaskName,
    },
    /// Entries of a queue's answer without id or reservation were passed over.
    UnusableMessages {
        /// The physical queue.
        queue: QueueName,
        /// How many.
        count: usize,
    },
    /// A message's id was seen before, on other bytes: the queue gave one id to two messages, or
    /// somebody has changed one on its way. Both are handled, each for itself. The last 1024
    /// messages are remembered.
    IdReused {
        /// The physical queue.
        queue: QueueName,
        /// The id.
        message: MessageId,
    },
    /// An answer of the queue's server was not quite what it should be, and was believed. Told in
    /// the events of the whole program only, not in those of one worker.
    OddAnswer {
        /// The physical queue, if the request was about one.
        queue: Option<QueueName>,
        /// What is odd about it.
        oddity: Oddity,
    },
    /// A notice was published.
    ResultSent {
        /// The task.
        task: TaskRef,
        /// Whether it tells of a success.
        succeeded: bool,
        /// How many subscribers heard it. Zero: the caller has gone, or listens elsewhere.
        receivers: u64,
    },
    /// A notice was not published.
    NoticeDropped {
        /// The task.
        task: TaskRef,
        /// Why.
        reason: NoticeDropReason,
    },
    /// A notice that is not for this producer, or not readable, was passed over.
    NoticeIgnored,
    /// The registered callback no longer waits for the result of this task: it was the oldest that
    /// only a callback waited for, and another call needed its place.
    ResultGivenUp {
        /// The task.
        task: TaskRef,
        /// The most results that may be waited for.
        limit: usize,
    },
    /// A notice was published that a task's message was given back, since it was not for this worker.
    HeldSent {
        /// The task.
        task: TaskRef,
        /// How many subscribers heard it.
        receivers: u64,
    },
    /// A worker gave a task's message back, since it was not for that worker, and its caller goes on
    /// waiting.
    CallerInformed {
        /// The task.
        task: TaskRef,
        /// Why.
        held: TaskHeld,
    },
    /// A result has reached its caller.
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
        /// Why.
        fault: Fault,
    },
    /// The notifier failed.
    NotifierError {
        /// Why.
        fault: NotifyFault,
    },
    /// The notifier does not know the user in its URL, and accepted the password alone.
    NotifierUserIgnored,
    /// Something has been failing for a while; it is tried again for ever.
    Degraded {
        /// What.
        part: Part,
        /// Why, as far as its last failure tells.
        why: Trouble,
    },
    /// What was failing works again.
    Recovered {
        /// What.
        part: Part,
    },
    /// Messages are reserved for a shorter time than the queue's documentation allows.
    ShortLease {
        /// The shortest time for which they are.
        lease: Duration,
        /// The shortest that is documented.
        documented: Duration,
    },
    /// The clock of this machine shows a time that cannot be right, so that no task's deadline is
    /// taken to have passed; set the clock.
    ClockImplausible,
    /// The clock of this machine was set, or the machine slept. Deadlines are judged by it as it is
    /// now; a lease that it has left behind counts as lost.
    ClockSet {
        /// Whether it leapt forward.
        forward: bool,
        /// How far.
        by: Duration,
    },
    /// Something about the queue's server endangers messages, or has damaged some: what, and what to do
    /// about it, in the words of the queue's backend. Told in the events of the whole program only, not
    /// in those of one worker.
    QueueServerWarning {
        /// The words. They hold no secret.
        warning: String,
    },
    /// The queue's server would move messages by itself, without a reason.
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
    /// The task that it waits for.
    pub waits_for: TaskRef,
}

/// What can be degraded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Requests to this queue fail.
    Queue(QueueName),
    /// One message after the other on this queue cannot be handled: the worker may lack a key. It
    /// rests, and puts nothing aside meanwhile.
    Messages(QueueName),
    /// One message after the other of this task cannot be handled: the worker may lack its handler, or
    /// have one of another version. The others of the queue are handled as before. Messages of the
    /// task are given back for the longest time, and none of them is dead-lettered.
    Task {
        /// The task's name.
        task: TaskName,
        /// The physical queue.
        queue: QueueName,
    },
    /// The notifier cannot be reached.
    Notifier,
}

/// Why something is degraded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// Requests to the queue fail.
    #[error("{0}")]
    Queue(Fault),
    /// The notifier fails.
    #[error("{0}")]
    Notifier(NotifyFault),
    /// There is no notifier, and a caller waits for a result.
    #[error("a caller waits for a result, and this worker has no notifier; set IVY_NOTIFIER_URL")]
    NoNotifier,
    /// Messages cannot be handled here.
    #[error("many of them in a row cannot be handled here ({}); {}", .0, what_to_check(*.0))]
    Messages(DeadLetterReason),
    /// Messages of a task cannot be handled here.
    #[error(
        "many of them in a row cannot be handled here ({reason}): {}; they are given back for a worker of the version that can", Escaped(.detail)
    )]
    Task {
        /// Why.
        reason: DeadLetterReason,
        /// What does not fit.
        detail: String,
    },
}

/// What to look at where one message after the other is not accepted for this reason.
fn what_to_check(reason: DeadLetterReason) -> &'static str {
    if reason.follows_from_the_time() {
        "the clock of this machine may be wrong, or those of the callers; check and set them"
    } else {
        "check this worker's handlers and encryption key"
    }
}

/// Why a message was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseReason {
    /// Another worker may be able to handle it.
    Undecided(DeadLetterReason),
    /// The handler failed, and will be tried again.
    Retry,
    /// The worker is draining.
    Drain,
    /// The worker is paused.
    Paused,
    /// Too little was left of its lease to start its handler.
    LeaseTooShort,
    /// The queue answered with more messages than there is room for.
    NoRoom,
    /// Its successor could not be posted.
    SuccessorRefused,
    /// It could not be put aside.
    DeadLetterRefused,
    /// The system gave no thread to run its handler in. The attempt does not count.
    NoThread,
}

/// Why a notice was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeDropReason {
    /// The message asks for a channel that is not one of this worker's prefix.
    ForeignChannel,
    /// The notifier was unreachable for too long, or refused.
    NotifierFailed,
    /// It was the oldest of more notices than are kept.
    Overflow,
    /// The worker has no notifier.
    NoNotifier,
}

/// How loud an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A state change.
    Debug,
    /// Something that somebody should look at.
    Warn,
}

impl Event {
    /// The status that the task has by this event, where it changes it: so whoever watches can tell
    /// where each task stands, in the words of [`TaskStatus`].
    ///
    /// A worker's events tell of its side, a producer's of the two ends. A handler's start is not
    /// told, as its end is: until then a retrieved task is running.
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
            | Event::Replaced { .. }
            | Event::Released { .. }
            | Event::CallerInformed { .. }
            | Event::LeaseLost { .. } => Some(TaskStatus::Scheduled),
            Event::TaskExecuted { error: Some(_), .. } => Some(TaskStatus::Errored),
            Event::ResultSent { succeeded: true, .. } => Some(TaskStatus::Successful),
            Event::CallerResumed { succeeded: true, .. } => Some(TaskStatus::Done),
            Event::CallerResumed { succeeded: false, .. } | Event::DeadLettered { .. } => {
                Some(TaskStatus::DeadLettered)
            }
            Event::ResultGivenUp { .. } => Some(TaskStatus::Lost),
            _ => None,
        }
    }

    /// How loud the event is in the log: warn for lasting trouble, and for what is put aside or
    /// waits for a worker that has its key or its handler; debug for everything else. How many
    /// warnings that are alike are written is decided by a [`LogLimit`].
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
            | Event::ResultGivenUp { .. }
            | Event::NoticeDropped { reason: NoticeDropReason::Overflow, .. }
            | Event::NotifierUserIgnored
            | Event::PeerFault { .. }
            | Event::IdReused { .. }
            | Event::OpeningsFailed { .. }
            | Event::QueueShared { .. }
            | Event::QueueServerWarning { .. }
            | Event::ServerSideDeadLetter { .. } => Level::Warn,
            _ => Level::Debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_whose_key_is_missing_is_logged_as_a_warning_and_a_retry_is_not() {
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

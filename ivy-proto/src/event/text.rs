//! The texts of events in the log: what happened, to which task and queue, why, and what to do
//! next.

use std::fmt::{self, Display, Formatter};

use crate::id::MessageId;
use crate::metrics::{MOST_QUEUES, MOST_TASKS, OTHER};
use crate::name::QueueName;
use crate::queue::ResponseDeviation;
use crate::text::{Counted, Escaped, Tenths};
use crate::wire::DeadLetterReason;

use super::{Event, NestedWait, NoticeDropReason, Part, ReleaseReason, TaskRef};

impl Display for TaskRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let TaskRef { id, name, queue } = self;
        write!(f, "task {name} ({id} on queue {queue})")
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Event::TaskSent { task, message } => write!(f, "{task} was sent as message {message}"),
            Event::Resent { task, tries } => {
                write!(f, "{task} is sent again after {tries} tries, so two copies may exist")
            }
            Event::SendFailed { task, fault } => write!(f, "{task} could not be sent: {fault}"),
            Event::WorkerStarted(started) => write!(f, "{started}"),
            Event::FirstMessage { queue, message } => write!(
                f,
                "the worker received its first message: {}; from now on it reports problems only",
                MessageInQueue(message, queue)
            ),
            Event::Draining { running: 0, .. } => {
                f.write_str("the worker drains: it reserves no more messages, and no handler runs")
            }
            Event::Draining { running, limit } => {
                let running = Counted(*running, "handler runs", "handlers run");
                write!(f, "the worker drains: it reserves no more messages; {running}, for at most {limit:?} more")
            }
            Event::MessageRetrieved { queue, message, deliveries: 1 } => {
                write!(f, "{} was reserved", MessageInQueue(message, queue))
            }
            Event::MessageRetrieved { queue, message, deliveries } => {
                let message = MessageInQueue(message, queue);
                write!(f, "{message} was reserved again; it was delivered at most {deliveries} times")
            }
            Event::TaskExecuted { task, attempt, took, error: None, .. } => {
                write!(f, "{task} succeeded at attempt {attempt}, after {took:?}")
            }
            Event::TaskExecuted { task, attempt, took, error: Some(error), .. }
                if error.postponed_by().is_some() =>
            {
                write!(f, "{task} was postponed by its handler at attempt {attempt}, after {took:?}: {error}")
            }
            Event::TaskExecuted { task, attempt, took, error: Some(error), .. } => {
                write!(f, "{task} failed at attempt {attempt}, after {took:?}: {error}")
            }
            Event::Retried { task, attempt, delay } => {
                write!(f, "{task} will be retried in {delay:?}, as attempt {attempt}")
            }
            Event::Postponed { task, attempt, count, delay, message } => {
                let times = Counted(*count, "time", "times");
                let message = Escaped(message);
                write!(f, "{task} will run again in {delay:?}, still at attempt {attempt}; it was postponed {times}: {message}")
            }
            Event::Replaced { task, lost } => {
                let lost = Counted(*lost, "delivery was", "deliveries were");
                write!(f, "{task}: {lost} lost; it is posted anew with this number and then run")
            }
            Event::Acknowledged { task } => write!(f, "{task}: its message was deleted"),
            Event::DeadLettered { queue, message, task, reason, detail, attempts, lost } => {
                about(f, task.as_ref(), message, queue)?;
                let past = DeliveryHistory { attempts: *attempts, lost: *lost };
                let detail = Escaped(detail);
                write!(f, " was moved to the dead-letter queue {past} ({reason}): {detail}")
            }
            Event::DeadLetterRefused { queue, message, reason, fault } => {
                let message = MessageInQueue(message, queue);
                write!(f, "{message} could not be moved to the dead-letter queue ({reason}), and was released: {fault}")
            }
            Event::Released { queue, message, task, reason, detail, delay } => {
                match task {
                    Some(task) => write!(f, "{task}, message {}", Escaped(message.as_str()))?,
                    None => write!(f, "{}", MessageInQueue(message, queue))?,
                }
                write!(f, " was released for {delay:?}: {reason}")?;
                match (reason, detail) {
                    (ReleaseReason::Undecided(DeadLetterReason::BadArgs), Some(mismatch)) => {
                        write!(f, ": {}", Escaped(mismatch))
                    }
                    _ => Ok(()),
                }
            }
            Event::LeaseLost { queue, message } => {
                let message = MessageInQueue(message, queue);
                write!(f, "{message}: its lease was lost, and it may be running elsewhere")
            }
            Event::WokenLate { late, lease, held } => write!(
                f,
                "the worker was woken {} late, so the leases of its {held} messages ({lease:?} and more) may have ended, and their tasks may run twice: something blocks its threads; move blocking code to spawn_blocking, give the runtime more threads, or use a longer lease",
                Tenths(*late)
            ),
            Event::SlotsWait { slots, waits, lasting } => {
                write!(
                    f,
                    "handlers that wait for tasks which this worker would run itself have occupied {} for {}: ",
                    Slots(*slots),
                    Tenths(*lasting)
                )?;
                for (index, NestedWait { task, waits_for }) in waits.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{task} waits for {waits_for}")?;
                }
                if *slots > waits.len() {
                    write!(f, ", and {} more", slots - waits.len())?;
                }
                f.write_str(
                    "; give the awaited tasks a queue and a worker of their own, or raise this worker's concurrency",
                )
            }
            Event::Replayed { queue, message } => {
                let message = MessageInQueue(message, queue);
                write!(f, "{message} was already completed here, and is deleted without being run")
            }
            Event::PeerFault { queue, message } => write!(
                f,
                "{}: a peer holding the key sent an invalid sealed message; fix that program",
                MessageInQueue(message, queue)
            ),
            Event::DecryptionsFailed { queue } => write!(
                f,
                "queue {queue} is paused: more frames fail to open than valid peers send; check the keys, and who may post"
            ),
            Event::QueueShared { queue, task } => write!(
                f,
                "queue {queue} carries tasks of another program, such as {task}, so this worker yields it to others at times; give each program a queue of its own, or register the task here"
            ),
            Event::UnusableMessages { queue, count } => {
                write!(
                    f,
                    "queue {queue}: {count} entries cannot be handled: they are not messages of ivy, are too large, or were not requested; find out which program writes to the queue"
                )
            }
            Event::IdReused { queue, message } => {
                let message = MessageInQueue(message, queue);
                write!(f, "{message}: its id was seen before with other bytes; both are handled")
            }
            Event::UnexpectedResponse { queue: Some(queue), deviation } => write!(f, "queue {queue}: {deviation}"),
            Event::UnexpectedResponse { queue: None, deviation } => write!(f, "{deviation}"),
            Event::ResultSent { task, succeeded, receivers } => {
                let what = if *succeeded { "result" } else { "failure" };
                write!(f, "{task}: its {what} was published, and {receivers} received it")
            }
            Event::ReleaseNoticeSent { task, receivers } => write!(
                f,
                "{task}: a notice that it waits for another worker was published, and {receivers} received it"
            ),
            Event::CallerInformed { task, release } => {
                write!(f, "{task} waits for another worker: {release}")
            }
            Event::NoticeDropped { task, reason } => {
                write!(f, "{task}: a notice to its caller was dropped: {reason}")
            }
            Event::PresenceIgnored { why } => {
                write!(f, "a publication on the presence channel was ignored: {why}")
            }
            Event::NoticeIgnored => {
                f.write_str("a notice was ignored, because it is invalid or addressed to another producer")
            }
            Event::CallbackEvicted { task, limit } => write!(
                f,
                "{task}: its result has not arrived, and the registered callback no longer waits for it, because the limit of {limit} pending results is reached; check that a worker serves the queue, and uses the same notifier and channel name"
            ),
            Event::CallerResumed { task, succeeded: true } => {
                write!(f, "{task}: its caller has the result")
            }
            Event::CallerResumed { task, succeeded: false } => {
                write!(f, "{task}: its caller has the failure")
            }
            Event::QueueError { queue, fault } => write!(f, "queue {queue}: {fault}"),
            Event::NotifierError { fault } => write!(f, "{fault}"),
            Event::Degraded { part: part @ (Part::Messages(_) | Part::Task { .. }), why } => {
                write!(f, "{part} are paused: {why}")
            }
            Event::Degraded { part, why } => {
                write!(f, "{part} keeps failing, and is retried indefinitely: {why}")
            }
            Event::Recovered { part: part @ (Part::Messages(_) | Part::Task { .. }) } => {
                write!(f, "{part} can be handled again")
            }
            Event::Recovered { part } => write!(f, "{part} works again"),
            Event::ShortLease { lease, documented } => write!(
                f,
                "messages are reserved for {lease:?}, but the queue's documentation requires at least {documented:?}"
            ),
            Event::NotifierUserIgnored => f.write_str(
                "the notifier rejected the user name in its URL, and accepted the password alone; remove the user name from the URL",
            ),
            Event::ClockImplausible => f.write_str(
                "the clock of this host shows an implausible time, so no task's deadline is enforced; set the clock",
            ),
            Event::ClockSet { forward, by } => {
                let way = if *forward { "forward" } else { "back" };
                write!(f, "the clock of this host jumped {way} by {by:?}; deadlines follow it")
            }
            Event::QueueServerWarning { warning } => {
                write!(f, "the queue's server: {}", Escaped(warning))
            }
            Event::TooManyLabels => write!(
                f,
                "metrics name at most {MOST_QUEUES} queues and {MOST_TASKS} tasks, so the others count as {OTHER:?}; use several programs to see each of them"
            ),
            Event::ServerSideDeadLetter { queue } => write!(
                f,
                "queue {queue}: the server has its own dead-letter rule, which records no reason; remove it"
            ),
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Part::Queue(queue) => write!(f, "queue {queue}"),
            Part::Messages(queue) => write!(f, "the messages of queue {queue}"),
            Part::Task { task, queue } => write!(f, "the messages of task {task} on queue {queue}"),
            Part::Notifier => f.write_str("the notifier"),
        }
    }
}

impl Display for ReleaseReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReleaseReason::Undecided(reason) => return undecided(f, *reason),
            ReleaseReason::Retry => "it failed, and will be retried",
            ReleaseReason::Drain => "the worker is draining",
            ReleaseReason::Paused => "the worker is paused",
            ReleaseReason::LeaseTooShort => "its remaining lease was too short to start its handler",
            ReleaseReason::NoRoom => "the queue returned more messages than there was room for",
            ReleaseReason::SuccessorRefused => "the queue refused the message of its next attempt",
            ReleaseReason::DeadLetterRefused => "the queue refused its dead-letter copy",
            ReleaseReason::NoThread => {
                "the system provided no thread to run its handler; raise the system's thread limit, or lower the worker's concurrency"
            }
        })
    }
}

impl Display for NoticeDropReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoticeDropReason::ForeignChannel => {
                "its channel has another prefix than this worker's; set IVY_NOTIFICATION_CHANNEL_NAME to the same value on both sides"
            }
            NoticeDropReason::NotifierFailed => "the notifier was unreachable for too long, or refused",
            NoticeDropReason::Overflow => {
                "too many notices wait to be published; check that the notifier is up and responds"
            }
            NoticeDropReason::NoNotifier => "this worker has no notifier; set IVY_NOTIFIER_URL",
        })
    }
}

impl Display for ResponseDeviation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseDeviation::ContentType => "accepted a response whose Content-Type is not JSON",
            ResponseDeviation::NoMessages => {
                "accepted a response without a list of messages as an empty one"
            }
        })
    }
}

/// A message in its queue.
struct MessageInQueue<'a>(&'a MessageId, &'a QueueName);

impl Display for MessageInQueue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let MessageInQueue(message, queue) = self;
        write!(f, "message {message} of queue {queue}")
    }
}

/// All slots of a worker.
struct Slots(usize);

impl Display for Slots {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("the only slot"),
            all => write!(f, "all {all} slots"),
        }
    }
}

/// The history of a message that moved to the dead-letter queue.
struct DeliveryHistory {
    attempts: u32,
    lost: u32,
}

impl Display for DeliveryHistory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let attempts = Counted(self.attempts, "attempt", "attempts");
        let lost = Counted(self.lost, "lost delivery", "lost deliveries");
        match (self.attempts, self.lost) {
            (0, 0) => f.write_str("without an attempt"),
            (0, _) => write!(f, "after {lost}"),
            (_, 0) => write!(f, "after {attempts}"),
            _ => write!(f, "after {attempts} and {lost}"),
        }
    }
}

/// Writes the task, or the message if its task is unknown.
fn about(
    f: &mut Formatter<'_>,
    task: Option<&TaskRef>,
    message: &MessageId,
    queue: &QueueName,
) -> fmt::Result {
    match task {
        Some(task) => write!(f, "{task}"),
        None => write!(f, "{}", MessageInQueue(message, queue)),
    }
}

/// Why another worker, or a later time, may handle it, and what to do.
fn undecided(f: &mut Formatter<'_>, reason: DeadLetterReason) -> fmt::Result {
    let (why, help) = match reason {
        DeadLetterReason::UnknownTask => {
            ("this worker has no handler of that name", "register one, or serve another queue")
        }
        DeadLetterReason::BadArgs => {
            return f.write_str("its arguments are not what this worker's handler accepts (BadArgs); it waits for a worker whose version accepts them");
        }
        DeadLetterReason::NoKey => {
            ("it is encrypted", "set IVY_KEYSET or MESSAGES_ENCRYPTION_KEY to its sender's value")
        }
        DeadLetterReason::UnknownKey => {
            ("its key is not in this worker's keyset", "give all programs the newest keyset")
        }
        DeadLetterReason::Undecryptable => {
            ("this worker's key does not open it", "check that its sender has the same key")
        }
        DeadLetterReason::BadTag => (
            "it was altered, or sealed with another key of the same name",
            "check that all programs have the same keyset",
        ),
        DeadLetterReason::CalledInFuture => {
            ("by this host's clock it was called in the future", "check the clocks")
        }
        DeadLetterReason::Deadline | DeadLetterReason::Expired => {
            ("by this host's clock it is too late to start it", "check the clocks")
        }
        DeadLetterReason::UnsupportedVersion => {
            ("its message version is not supported here", "upgrade this worker")
        }
        DeadLetterReason::UnsupportedFormat => (
            "its format is not supported by this build of the worker",
            "serve its queue with a worker that reads MessagePack and Protocol Buffers",
        ),
        other => return write!(f, "it cannot be handled here ({other}); check this worker's keys"),
    };
    write!(f, "{why} ({reason}); {help}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::DegradedReason;
    use crate::id::TaskId;
    use crate::name::TaskName;
    use crate::queue::{Fault, FaultKind};

    fn queue() -> QueueName {
        QueueName::new("shop").unwrap()
    }

    fn task() -> TaskRef {
        let id = TaskId::from_random([7; 16]);
        TaskRef { id, name: TaskName::new("shop.pay").unwrap(), queue: queue() }
    }

    #[test]
    fn a_released_message_reports_why_and_what_to_do() {
        let event = Event::Released {
            queue: queue(),
            message: MessageId::new("61"),
            task: Some(task()),
            reason: ReleaseReason::Undecided(DeadLetterReason::UnknownTask),
            detail: None,
            delay: Duration::from_secs(5),
        };
        assert_eq!(
            event.to_string(),
            "task shop.pay (BwcHBwcHBwcHBwcHBwcHBw on queue shop), message 61 was released for 5s: this worker has no handler of that name (UnknownTask); register one, or serve another queue"
        );
    }

    #[test]
    fn a_message_of_an_unknown_task_is_named_by_its_id() {
        let event = Event::DeadLettered {
            queue: queue(),
            message: MessageId::new("61"),
            task: None,
            reason: DeadLetterReason::BadJson,
            detail: "not\nJSON".to_owned(),
            attempts: 0,
            lost: 0,
        };
        assert_eq!(
            event.to_string(),
            "message 61 of queue shop was moved to the dead-letter queue without an attempt (BadJson): not\\nJSON"
        );
    }

    #[test]
    fn lasting_trouble_reports_what_to_do() {
        let why = DegradedReason::Queue(Fault::new(FaultKind::Unauthorized));
        let event = Event::Degraded { part: Part::Queue(queue()), why };
        let text = event.to_string();
        let start = "queue shop keeps failing, and is retried indefinitely: the queue's server refused the credentials; ";
        assert!(text.starts_with(start), "{text}");
    }
}

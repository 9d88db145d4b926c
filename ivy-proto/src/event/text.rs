//! Events in words, for the log: what happened, to which task and queue, why, and what to do next.

use std::fmt::{self, Display, Formatter};

use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::Oddity;
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
                write!(f, "{task} is sent again after {tries} tries, so there may be two copies")
            }
            Event::SendFailed { task, fault } => write!(f, "{task} could not be sent: {fault}"),
            Event::MessageRetrieved { queue, message, deliveries: 1 } => {
                write!(f, "{} was reserved", MessageInQueue(message, queue))
            }
            Event::MessageRetrieved { queue, message, deliveries } => {
                let mail = MessageInQueue(message, queue);
                write!(f, "{mail} was reserved again; it was delivered at most {deliveries} times")
            }
            Event::TaskExecuted { task, attempt, took, error: None } => {
                write!(f, "{task} succeeded at attempt {attempt}, after {took:?}")
            }
            Event::TaskExecuted { task, attempt, took, error: Some(error) } => {
                write!(f, "{task} failed at attempt {attempt}, after {took:?}: {error}")
            }
            Event::Retried { task, attempt, delay } => {
                write!(f, "{task} will be tried again in {delay:?}, as attempt {attempt}")
            }
            Event::Replaced { task, lost } => {
                let lost = Counted(*lost, "delivery was", "deliveries were");
                write!(f, "{task}: {lost} lost; it is posted anew with this number, to be run then")
            }
            Event::Acknowledged { task } => write!(f, "{task}: its message was deleted"),
            Event::DeadLettered { queue, message, task, reason, detail, attempts, lost } => {
                about(f, task.as_ref(), message, queue)?;
                let past = DeliveryHistory { attempts: *attempts, lost: *lost };
                let detail = Escaped(detail);
                write!(f, " was moved to the dead-letter queue {past} ({reason}): {detail}")
            }
            Event::DeadLetterRefused { queue, message, reason, fault } => {
                let mail = MessageInQueue(message, queue);
                write!(f, "{mail} could not be put aside ({reason}), and was given back: {fault}")
            }
            Event::Released { queue, message, task, reason, detail, delay } => {
                about(f, task.as_ref(), message, queue)?;
                write!(f, " was given back for {delay:?}: {reason}")?;
                match (reason, detail) {
                    (ReleaseReason::Undecided(DeadLetterReason::BadArgs), Some(misfit)) => {
                        write!(f, ": {}", Escaped(misfit))
                    }
                    _ => Ok(()),
                }
            }
            Event::LeaseLost { queue, message } => {
                let mail = MessageInQueue(message, queue);
                write!(f, "{mail}: its reservation was lost, and it may be running elsewhere now")
            }
            Event::WokenLate { late, lease, held } => write!(
                f,
                "the worker was woken {} late, so the leases of the {held} messages that it holds ({lease:?} and more) may have ended, and their tasks may run twice: something blocks its threads; move what blocks to spawn_blocking, give the runtime more threads, or use a longer lease",
                Tenths(*late)
            ),
            Event::SlotsWait { slots, waits, lasting } => {
                write!(
                    f,
                    "handlers that wait for tasks which this worker would run itself have taken {} for {}: ",
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
                    "; give the tasks that are waited for a queue and a worker of their own, or raise this worker's concurrency",
                )
            }
            Event::Replayed { queue, message } => {
                let mail = MessageInQueue(message, queue);
                write!(f, "{mail} was done here already, and is deleted without being run")
            }
            Event::PeerFault { queue, message } => write!(
                f,
                "{}: a program that has the key has sealed what cannot be; it is at fault",
                MessageInQueue(message, queue)
            ),
            Event::OpeningsFailed { queue } => write!(
                f,
                "queue {queue} is left alone for a while: more frames fail to open than honest peers send; check the keys, and who may post"
            ),
            Event::QueueShared { queue, task } => write!(
                f,
                "queue {queue} carries tasks of another program, such as {task}, and this worker leaves it to others now and then; give each program a queue of its own, or register the task here"
            ),
            Event::UnusableMessages { queue, count } => {
                write!(f, "queue {queue}: {count} messages without id or reservation passed over")
            }
            Event::IdReused { queue, message } => {
                let mail = MessageInQueue(message, queue);
                write!(f, "{mail}: its id was seen before, on other bytes; both are handled")
            }
            Event::OddAnswer { queue: Some(queue), oddity } => write!(f, "queue {queue}: {oddity}"),
            Event::OddAnswer { queue: None, oddity } => write!(f, "{oddity}"),
            Event::ResultSent { task, succeeded, receivers } => {
                let what = if *succeeded { "result" } else { "failure" };
                write!(f, "{task}: its {what} was published, and {receivers} heard it")
            }
            Event::HeldSent { task, receivers } => write!(
                f,
                "{task}: that it waits for another worker was published, and {receivers} heard it"
            ),
            Event::CallerInformed { task, held } => {
                write!(f, "{task} waits for another worker: {held}")
            }
            Event::NoticeDropped { task, reason } => {
                write!(f, "{task}: a notice to its caller was not published: {reason}")
            }
            Event::NoticeIgnored => {
                f.write_str("a notice that is not for this producer, or not readable, passed over")
            }
            Event::ResultGivenUp { task, limit } => write!(
                f,
                "{task}: its result has not arrived, and the registered callback no longer waits for it, since the results of {limit} calls are waited for; check that a worker serves the queue, and uses the same notifier and channel name"
            ),
            Event::CallerResumed { task, succeeded: true } => {
                write!(f, "{task}: its caller has the result")
            }
            Event::CallerResumed { task, succeeded: false } => {
                write!(f, "{task}: its caller knows that it failed")
            }
            Event::QueueError { queue, fault } => write!(f, "queue {queue}: {fault}"),
            Event::NotifierError { fault } => write!(f, "{fault}"),
            Event::Degraded { part: part @ (Part::Messages(_) | Part::Task { .. }), why } => {
                write!(f, "{part} rest for a while: {why}")
            }
            Event::Degraded { part, why } => {
                write!(f, "{part} has been failing, and is tried again for ever: {why}")
            }
            Event::Recovered { part: part @ (Part::Messages(_) | Part::Task { .. }) } => {
                write!(f, "{part} can be handled again")
            }
            Event::Recovered { part } => write!(f, "{part} works again"),
            Event::ShortLease { lease, documented } => write!(
                f,
                "messages are reserved for {lease:?}, and the queue's documentation asks for at least {documented:?}"
            ),
            Event::NotifierUserIgnored => f.write_str(
                "the notifier does not accept the user name in its URL, and accepted the password alone; remove the user name from the URL",
            ),
            Event::ClockImplausible => f.write_str(
                "the clock of this machine cannot be right, so no task's deadline is taken to have passed; set the clock",
            ),
            Event::ClockSet { forward, by } => {
                let way = if *forward { "forward" } else { "back" };
                write!(f, "the clock of this machine has leapt {way} by {by:?}, and is followed")
            }
            Event::QueueServerWarning { warning } => {
                write!(f, "the queue's server: {}", Escaped(warning))
            }
            Event::ServerSideDeadLetter { queue } => write!(
                f,
                "queue {queue}: its server would move messages by itself, without a reason; take its dead-letter setting away"
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
            ReleaseReason::Retry => "it failed, and will be tried again",
            ReleaseReason::Drain => "the worker is draining",
            ReleaseReason::Paused => "the worker is paused",
            ReleaseReason::LeaseTooShort => "too little was left of its lease to start its handler",
            ReleaseReason::NoRoom => "the queue gave more messages than there is room for",
            ReleaseReason::SuccessorRefused => "the queue refused the message of its next attempt",
            ReleaseReason::DeadLetterRefused => "the queue refused its copy for the dead letters",
            ReleaseReason::NoThread => {
                "the system gave no thread to run its handler in; raise its limit of threads, or lower the worker's concurrency"
            }
        })
    }
}

impl Display for NoticeDropReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoticeDropReason::ForeignChannel => {
                "it waits on a channel that does not begin as this worker's; set IVY_NOTIFICATION_CHANNEL_NAME alike on both sides"
            }
            NoticeDropReason::NotifierFailed => "the notifier was unreachable for too long, or refused",
            NoticeDropReason::Overflow => {
                "too many notices wait to be published; check that the notifier is up and answers"
            }
            NoticeDropReason::NoNotifier => "this worker has no notifier; set IVY_NOTIFIER_URL",
        })
    }
}

impl Display for Oddity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Oddity::ContentType => "an answer was believed that is not told to be JSON",
            Oddity::NoMessages => "an answer without a list of messages was taken for an empty one",
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

/// What a message has behind it when it is moved to the dead-letter queue.
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

/// Names the task, or only the message of one that is not known.
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

/// Why it may be handled elsewhere, or later, and what would help.
fn undecided(f: &mut Formatter<'_>, reason: DeadLetterReason) -> fmt::Result {
    let (why, help) = match reason {
        DeadLetterReason::UnknownTask => {
            ("this worker has no handler of that name", "register one, or serve another queue")
        }
        DeadLetterReason::BadArgs => {
            return f.write_str("its arguments are not what this worker's handler takes (BadArgs), and it waits for a version that takes them");
        }
        DeadLetterReason::NoKey => {
            ("it is encrypted", "set IVY_KEYSET or MESSAGES_ENCRYPTION_KEY, as its sender has it")
        }
        DeadLetterReason::UnknownKey => {
            ("its key is not in this worker's keyset", "hand the newest keyset to all programs")
        }
        DeadLetterReason::Undecryptable => {
            ("this worker's key does not open it", "check that its sender has the same")
        }
        DeadLetterReason::BadTag => (
            "it was altered, or sealed with another key of the same name",
            "check that all programs have the same keyset",
        ),
        DeadLetterReason::CalledInFuture => {
            ("by this machine's clock it is yet to be called", "check the clocks")
        }
        DeadLetterReason::Deadline | DeadLetterReason::Expired => {
            ("by this machine's clock it is too late to start it", "check the clocks")
        }
        DeadLetterReason::UnsupportedVersion => {
            ("it is of a version that is not known here", "upgrade this worker")
        }
        DeadLetterReason::UnsupportedFormat => (
            "it is in a format that this worker was not built with",
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
    use crate::event::Trouble;
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
    fn a_message_that_was_released_tells_why_and_what_to_do() {
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
            "task shop.pay (BwcHBwcHBwcHBwcHBwcHBw on queue shop) was given back for 5s: this worker has no handler of that name (UnknownTask); register one, or serve another queue"
        );
    }

    #[test]
    fn a_message_whose_task_is_not_known_is_named_by_itself() {
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
    fn lasting_trouble_tells_what_to_do() {
        let why = Trouble::Queue(Fault::new(FaultKind::Unauthorized));
        let event = Event::Degraded { part: Part::Queue(queue()), why };
        let text = event.to_string();
        let start = "queue shop has been failing, and is tried again for ever: the queue's server refused the credentials; ";
        assert!(text.starts_with(start), "{text}");
    }
}

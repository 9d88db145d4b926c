//! The queue's server, and one of its queues.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ivy_proto::inspect::Span;
use ivy_proto::queue::{Batch, Body, Fault, FaultKind, NewMessage, QueueOp, QueueReply};
use ivy_proto::text::Counted;
use ivy_proto::wire::Content;
use ivy_proto::{QueueName, TaskName};
use ivy_tokio::Ivy;

use super::clocks;
use super::report::Checks;
use super::workers::Waiting;
use crate::commands::queue_not_found;
use crate::commands::time::now;
use crate::exit::fault_kind;

/// How many messages are opened.
const OPENED: usize = 20;
/// The queue of the check that writes. No worker serves it.
const QUEUE: &str = "ivy.doctor";
/// The lease and the delay of that check: what every server grants.
const LEASE: Duration = Duration::from_secs(60);

/// Returns what waits in the queue.
pub(super) async fn check(ivy: &Ivy, queue: Option<&QueueName>, checks: &mut Checks) -> Waiting {
    let begin = Instant::now();
    let names = match ivy.admin().list("").await {
        Ok(names) => names,
        Err(error) => {
            checks.wrong("queue_server", error.to_string());
            return Waiting::default();
        }
    };
    let time = Span(begin.elapsed());
    let listed = Counted(names.len() as u64, "queue", "queues");
    checks.ok("queue_server", format!("it lists {listed}, in {time}"));
    let first = names.iter().find(|name| name.of_dead_letters().is_none());
    let Some(queue) = queue.or(first) else {
        let text = "the server has no queue";
        checks.not_checked("queue", text, "a queue is created by its first message");
        return Waiting::default();
    };
    let size = check_settings(ivy, queue, checks).await;
    let tasks = check_contents(ivy, queue, size, checks).await;
    Waiting { queue: Some(queue.clone()), tasks }
}

/// Returns the number of messages, if it is known.
async fn check_settings(ivy: &Ivy, queue: &QueueName, checks: &mut Checks) -> Option<u64> {
    let info = match ivy.admin().info(queue.as_str()).await {
        Ok(info) => info,
        Err(error) if fault_kind(&error) == Some(FaultKind::NoQueue) => {
            let failure = queue_not_found::no_queue(ivy, queue.as_str()).await;
            checks.queue_missing("queue", &failure);
            return None;
        }
        Err(error) => {
            checks.wrong("queue", error.to_string());
            return None;
        }
    };
    let messages = |size| Counted(size, "message", "messages").to_string();
    let size = info.size.map_or_else(|| "an unknown number of messages".to_owned(), messages);
    checks.ok("queue", format!("{queue} has {size}"));
    match info.server_time {
        Some(time) => {
            let apart = time.abs_diff(Duration::from_millis(now()));
            clocks::check("server_clock", "the queue's server", apart, checks);
        }
        None => {
            let next = "run NTP on it and on all hosts with workers";
            checks.not_checked("server_clock", "the queue's server does not report its time", next);
        }
    }
    if info.settings.reservable == Some(false) {
        let text = format!(
            "the server delivers the messages of queue {queue} to subscribers itself, so no worker \
             receives them; use another queue"
        );
        checks.wrong("queue_settings", text);
    } else if info.settings.dead_letter.is_some() {
        checks.warning(
            "queue_settings",
            format!("the server moves messages of queue {queue} after a number of reservations"),
            "remove that rule: workers dead-letter messages themselves, with the reason",
        );
    } else {
        checks.ok("queue_settings", "the server neither pushes nor moves its messages");
    }
    info.size
}

/// Returns the tasks that wait.
async fn check_contents(
    ivy: &Ivy,
    queue: &QueueName,
    size: Option<u64>,
    checks: &mut Checks,
) -> BTreeSet<TaskName> {
    let peeked = match ivy.admin().peek(queue.as_str(), OPENED).await {
        Ok(peeked) => peeked,
        // That was reported.
        Err(error) if fault_kind(&error) == Some(FaultKind::NoQueue) => return BTreeSet::new(),
        Err(error) => {
            checks.wrong("contents", error.to_string());
            return BTreeSet::new();
        }
    };
    if peeked.is_empty() {
        let (text, next) = match size {
            Some(0) => {
                (format!("queue {queue} is empty"), "check it while messages wait".to_owned())
            }
            size => {
                let none = "is ready: they are reserved, delayed, or too large";
                let text = match size {
                    Some(size) => format!("none of the {size} messages {none}"),
                    None => format!("no message {none}"),
                };
                (text, format!("`ivy explain {queue} --workers` shows what workers do with them"))
            }
        };
        checks.not_checked("contents", text, next);
        return BTreeSet::new();
    }
    let is_readable = |content: &Content| {
        matches!(content, Content::Task(_) | Content::DeadLetter { task: Ok(_), .. })
    };
    let readable = peeked.iter().filter(|peeked| is_readable(&peeked.content)).count();
    let seen = Counted(peeked.len() as u64, "message", "messages");
    let text = format!("{readable} of {seen} can be read here");
    if readable == peeked.len() {
        checks.ok("contents", text);
    } else {
        checks.warning("contents", text, format!("`ivy peek {queue}` shows why"));
    }
    let task = |content: Content| match content {
        Content::Task(envelope) => Some(envelope.name.clone()),
        _ => None,
    };
    peeked.into_iter().filter_map(|peeked| task(peeked.content)).collect()
}

/// Posts a message, reserves it, and deletes it. A queue that did not exist is deleted as well.
pub(super) async fn check_writing(ivy: &Ivy, checks: &mut Checks) {
    let existed = ivy.admin().info(QUEUE).await.is_ok();
    let written = write(ivy).await;
    if !existed {
        // Without effect on the check: at worst an empty queue stays.
        let _ = ivy.admin().delete(QUEUE).await;
    }
    match written {
        Ok(()) => checks.ok("writing", format!("a message of {QUEUE} was posted and deleted")),
        Err(fault) => checks.wrong("writing", format!("queue {QUEUE}: {fault}")),
    }
}

async fn write(ivy: &Ivy) -> Result<(), Fault> {
    let queue = || QueueName::new(QUEUE).map_err(|_| Fault::new(FaultKind::Refused));
    let server = ivy.queue();
    let message = NewMessage { body: Body::new("{}"), delay: Duration::ZERO };
    server.execute(QueueOp::Post { queue: queue()?, messages: Batch::one(message) }).await?;
    let reserve =
        QueueOp::Reserve { queue: queue()?, count: 1, lease: LEASE, wait: Duration::ZERO };
    let QueueReply::Reserved(mut reserved) = server.execute(reserve).await? else {
        return Err(Fault::new(FaultKind::BadReply));
    };
    let message = reserved.messages.pop().ok_or_else(|| Fault::new(FaultKind::NoMessage))?;
    server.execute(QueueOp::Delete { queue: queue()?, receipt: message.receipt }).await?;
    Ok(())
}

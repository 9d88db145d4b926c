//! The message of a task, in its queue and among the dead letters of that.

use ivy_proto::admin::Peeked;
use ivy_proto::inspect::Evidence;
use ivy_proto::text::Counted;
use ivy_proto::wire::Content;
use ivy_proto::{QueueName, TaskId};
use ivy_tokio::{FaultKind, Ivy};

use super::{SEEN, evidence, visibility};
use crate::commands::queue_not_found;
use crate::exit::{Exit, Failure, fault_kind};

/// What was found of a task.
pub(super) struct Found {
    /// The message in its queue; else the dead letter.
    pub(super) evidence: Evidence,
    /// Where else it was looked for, and what was found there.
    pub(super) elsewhere: String,
    /// What to do because of that.
    pub(super) next: Option<String>,
}

/// The messages of a queue that were looked at.
struct Looked {
    queue: QueueName,
    size: u64,
    seen: usize,
    found: Option<(usize, Peeked)>,
}

/// Looks for the message of a task. Both places may have one: a dead letter stays if it is not known
/// whether its task was requeued.
pub(super) async fn find(ivy: &Ivy, queue: &QueueName, task: TaskId) -> Result<Found, Failure> {
    let live = queue.of_dead_letters().unwrap_or_else(|| queue.clone());
    let dead = live.dead_letter_queue().map_err(Failure::usage)?;
    let (in_live, in_dead) = (look(ivy, &live, task).await?, look(ivy, &dead, task).await?);
    let (Some(mut in_live), Some(mut in_dead)) = (in_live, in_dead) else {
        return Err(queue_not_found::no_queue(ivy, queue.as_str()).await);
    };
    match (in_live.found.take(), in_dead.found.take()) {
        (Some(found), letter) => {
            let (elsewhere, next) = match letter {
                Some((_, letter)) => {
                    let id = letter.message;
                    let text = format!("it is dead letter {id} of {dead} as well: it was requeued");
                    (text, Some(format!("to discard the letter: ivy dead delete {live} --id {id}")))
                }
                None => (format!("it is not {}", in_dead.text()), None),
            };
            Ok(Found { evidence: in_live.evidence(ivy, found).await?, elsewhere, next })
        }
        (None, Some(letter)) => {
            let elsewhere = format!("it is not {}", in_live.text());
            let unseen = in_live.size > in_live.seen as u64;
            let next = unseen.then(|| {
                "before you requeue it, be sure that its task does not run and does not wait in its \
                 queue: not all messages of that can be looked at"
                    .to_owned()
            });
            Ok(Found { evidence: in_dead.evidence(ivy, letter).await?, elsewhere, next })
        }
        (None, None) => {
            let text = format!(
                "task {task} is not {}, and not {}; it may be reserved, delayed, behind these messages, \
                 or done; all dead letters are looked at by: ivy dead ls {live} --list --id={task}",
                in_live.text(),
                in_dead.text()
            );
            Err(Failure::new(Exit::NothingFound, text))
        }
    }
}

/// Looks at the first ready messages of a queue. A queue that does not exist has none, except one of
/// tasks without dead letters: `None`.
async fn look(ivy: &Ivy, queue: &QueueName, task: TaskId) -> Result<Option<Looked>, Failure> {
    let size = match ivy.admin().info(queue.as_str()).await {
        Ok(info) => info.size.unwrap_or(0),
        Err(error) if fault_kind(&error) == Some(FaultKind::NoQueue) => {
            let has_dead_letters = match queue.dead_letter_queue() {
                Ok(dead) if queue.of_dead_letters().is_none() => {
                    ivy.admin().info(dead.as_str()).await.is_ok()
                }
                _ => true,
            };
            let none = Looked { queue: queue.clone(), size: 0, seen: 0, found: None };
            return Ok(has_dead_letters.then_some(none));
        }
        Err(error) => return Err(error.into()),
    };
    let ready = ivy.admin().peek(queue.as_str(), SEEN).await?;
    let seen = ready.len();
    let is_searched = |(_, peeked): &(usize, Peeked)| task_id(peeked) == Some(task);
    let found = ready.into_iter().enumerate().find(is_searched);
    Ok(Some(Looked { queue: queue.clone(), size, seen, found }))
}

impl Looked {
    /// Among which messages it was looked for.
    fn text(&self) -> String {
        let Looked { queue, size, seen, .. } = self;
        let size = Counted(*size, "message", "messages");
        format!("among the first {seen} ready of {size} of queue {queue}")
    }

    async fn evidence(
        &self,
        ivy: &Ivy,
        (place, found): (usize, Peeked),
    ) -> Result<Evidence, Failure> {
        evidence(ivy, &self.queue, found, visibility(Some(place), self.seen)).await
    }
}

fn task_id(peeked: &Peeked) -> Option<TaskId> {
    match &peeked.content {
        Content::Task(envelope) | Content::DeadLetter { task: Ok(envelope), .. } => {
            envelope.options.ivy().map(|ivy| ivy.id)
        }
        _ => None,
    }
}

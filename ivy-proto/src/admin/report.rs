//! What a sweep did, and what it did not do.

use std::fmt;
use std::time::Duration;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::queue::Fault;
use crate::text::Counted;

use super::rewrite::Obstacle;

/// What a sweep did. Complete also if the sweep was interrupted or its backend failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The queue that was swept.
    pub queue: QueueName,
    /// How the sweep ended.
    pub end: Ended,
    /// How many messages were looked at.
    pub looked_at: usize,
    /// How many messages the queue had when the sweep began, if the backend reports it.
    pub size: Option<u64>,
    /// How many of them the filter selected, counting copies of one message once.
    pub matched: usize,
    /// How many of them could not be read, so that the filter could not be compared with them.
    pub not_compared: usize,
    /// How many of them are larger than the backend returns, so that nothing is known of them, and
    /// were not selected.
    pub too_large: usize,
    /// How many were posted: requeued or moved.
    pub posted: usize,
    /// How many messages were deleted from the queue, counting each copy.
    pub deleted: usize,
    /// How many were not posted, because the queue refused them or they have an [`Obstacle`].
    pub refused: usize,
    /// How many may have been posted: the reply was lost.
    pub unknown: usize,
    /// How many were skipped because a lease ended before their turn.
    pub leases_lost: usize,
    /// How many messages were posted and may still be in the swept queue as well, counting each
    /// copy; or were to be deleted, and may not be.
    pub remaining: usize,
    /// How many were to be deleted from the queue, and were not there any more, counting each copy:
    /// its server has lost them, or somebody else has deleted them. Those of a requeue were posted.
    pub gone: usize,
    /// How many were left because another dead letter of the same task was posted.
    pub others_of_task: usize,
    /// How many matched and were not tried, because the sweep ended early.
    pub not_tried: usize,
    /// How many messages were released.
    pub released: usize,
    /// How many messages were neither deleted nor released, and return when their leases end: none,
    /// unless the sweep was interrupted twice, its backend failed or did not reply, or many are left
    /// and the backend releases one at a time.
    pub left_to_expire: usize,
    /// When the last of those leases ends, from now on. `None` if there are none.
    pub leases_end_within: Option<Duration>,
    /// How many messages at most are hidden until their leases end because the reply to their
    /// reserve was lost.
    pub hidden: usize,
    /// Why not all messages were looked at.
    pub truncated: Option<Truncated>,
    /// How many messages the queue had when the sweep began and were not looked at: they are
    /// reserved or delayed, another one has processed them, or a limit was reached. Zero if as many
    /// as the operator [requested](super::SweepConfig::with_limit) were looked at, or the sweep was
    /// interrupted before.
    pub not_looked_at: u64,
    /// How many requests were sent.
    pub requests: u64,
}

/// How a sweep ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It did what it was started for.
    Done,
    /// The operator did not agree to the plan. Nothing was changed.
    Cancelled,
    /// The operator did not answer in time. Nothing was changed.
    NotConfirmed,
    /// The operator interrupted it.
    Interrupted,
    /// Its backend failed repeatedly, or refused a request.
    Failed(Fault),
}

/// Why a sweep did not look at all messages of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Truncated {
    /// It reached its limit of messages.
    Limit,
    /// It sent as many requests as it may.
    Requests,
    /// The selected messages need as much memory as it may use.
    Memory,
    /// Looking took so long that the first leases would end before the work is done.
    Time,
}

/// A message that was not processed, or possibly not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The message's id in the swept queue.
    pub message: MessageId,
    /// The queue and the id that it was dead-lettered from, if it is a dead letter.
    pub origin: Option<(QueueName, MessageId)>,
    /// Its task, if that could be read.
    pub task: Option<TaskName>,
    /// The task's id, if it has one and that could be read.
    pub task_id: Option<TaskId>,
    /// What happened.
    pub kind: ProblemKind,
}

/// Why a message was not processed, or possibly not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// It cannot be posted. It stays in the queue.
    #[error("not requeued: {0}")]
    Obstacle(Obstacle),
    /// The queue refused it. It stays in the swept queue.
    #[error("not requeued: {0}")]
    Refused(Fault),
    /// It may have been posted. It stays in the swept queue.
    #[error("may have been requeued: {}", .0.without_advice())]
    Unknown(Fault),
    /// Its lease ended before its turn. Another operator may have it.
    #[error("skipped: its lease ended; repeat the command")]
    LeaseLost,
    /// It was posted, or was to be deleted, and may still be in the swept queue as well.
    #[error("may still be in the queue although it is done: {0}; look for it there")]
    Remains(Fault),
    /// It was not in the swept queue any more when it was to be deleted. If it was to be posted, it
    /// was.
    #[error(
        "gone before it was deleted: its server has lost it, or somebody else has deleted it; check the server and the queue"
    )]
    Gone,
    /// Another dead letter of the same task was posted. It stays in the queue.
    #[error("not requeued: another dead letter of the same task was")]
    OtherOfTask,
}

impl Report {
    pub(super) fn new(queue: QueueName) -> Self {
        Report {
            queue,
            end: Ended::Done,
            looked_at: 0,
            size: None,
            matched: 0,
            not_compared: 0,
            too_large: 0,
            posted: 0,
            deleted: 0,
            refused: 0,
            unknown: 0,
            leases_lost: 0,
            remaining: 0,
            gone: 0,
            others_of_task: 0,
            not_tried: 0,
            released: 0,
            left_to_expire: 0,
            leases_end_within: None,
            hidden: 0,
            truncated: None,
            not_looked_at: 0,
            requests: 0,
        }
    }

    /// Whether something that the operator agreed to was not done, or possibly not; or messages
    /// that the filter may select were not looked at.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        let problems = self.refused + self.unknown + self.leases_lost + self.remaining;
        problems + self.gone + self.not_tried > 0 || self.not_looked_at > 0
    }

    pub(super) fn count(&mut self, problem: &ProblemKind) {
        *match problem {
            ProblemKind::Obstacle(_) | ProblemKind::Refused(_) => &mut self.refused,
            ProblemKind::Unknown(_) => &mut self.unknown,
            ProblemKind::LeaseLost => &mut self.leases_lost,
            ProblemKind::Remains(_) => &mut self.remaining,
            ProblemKind::Gone => &mut self.gone,
            ProblemKind::OtherOfTask => &mut self.others_of_task,
        } += 1;
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Done => f.write_str("done"),
            Ended::Cancelled => f.write_str("cancelled; nothing was changed"),
            Ended::NotConfirmed => f.write_str("not confirmed in time; nothing was changed"),
            Ended::Interrupted => f.write_str("interrupted"),
            Ended::Failed(fault) => write!(f, "stopped: {fault}"),
        }
    }
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Truncated::Limit => "the limit of messages was reached",
            Truncated::Requests => "the limit of requests was reached",
            Truncated::Memory => "the limit of memory was reached",
            Truncated::Time => "looking took too long",
        })
    }
}

/// A summary in one line, for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match &self.end {
            Ended::Done if self.is_partial() => "done in part".to_owned(),
            end => end.to_string(),
        };
        write!(
            f,
            "queue {}: {end}: {} looked at, {} matched, {} posted, {} deleted",
            self.queue,
            Counted(self.looked_at as u64, "message", "messages"),
            self.matched,
            self.posted,
            self.deleted
        )?;
        let others = [
            (self.refused, "refused"),
            (self.unknown, "possibly posted"),
            (self.leases_lost, "skipped because their leases ended"),
            (self.remaining, "done and possibly still in the queue"),
            (self.gone, "gone before they were deleted"),
            (self.others_of_task, "left because another letter of their task was posted"),
            (self.not_tried, "not tried"),
            (self.not_compared, "not compared because they could not be read"),
            (self.too_large, "not read because they are larger than their queue returns"),
            (self.left_to_expire + self.hidden, "hidden until their leases end"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        match (self.truncated, self.not_looked_at) {
            (Some(why), _) => write!(f, "; not all messages were looked at, because {why}"),
            (None, 0) => Ok(()),
            (None, count) => {
                write!(f, "; {count} more were not looked at, because they are reserved or delayed")
            }
        }
    }
}

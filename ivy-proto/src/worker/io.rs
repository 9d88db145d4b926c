//! The inputs and outputs of a worker.

use std::time::Duration;

use crate::event::{Event, TaskRef};
use crate::id::{JobId, MessageId, OpId, Receipt, TaskId};
use crate::name::{QueueName, TaskName};
use crate::notify::{NotifyFault, Publication};
use crate::queue::{Fault, QueueOp, QueueReply};
use crate::task::TaskError;
use crate::time::{Deadline, Moment, WallClock};
use crate::wire::crypto::MessageKey;
use crate::wire::{RawJson, TraceParent, TraceState};

use super::trace_relation::Relation;

/// An input of a worker.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The wall clock was set, or monotonic time stood still while the host slept: see
    /// [`WallClock::follow`]. Deadlines and timestamps follow the new wall clock, timers do not. A
    /// lease ends by whichever clock is first: if the wall clock leaps past the end of a lease, the
    /// lease counts as lost, because the queue may have delivered the message to another worker
    /// meanwhile.
    Clock(WallClock),
    /// The reply to an [`Output::Queue`].
    Queue(OpId, Result<QueueReply, Fault>),
    /// The reply to an [`Output::Publish`]: the number of subscribers that received it.
    Published(OpId, Result<u64, NotifyFault>),
    /// The handler of an [`Output::Run`] has ended, by itself or after an [`Output::Cancel`].
    Job(JobId, JobOutcome),
    /// The handler of this job waits for the result of this task. Replaces an earlier wait of the
    /// job. Ignored if the job has ended.
    Waits(JobId, TaskRef),
    /// The handler of this job no longer waits for a result.
    Resumes(JobId),
    /// There may be new messages in this physical queue: a task was sent from this process, or the
    /// backend reported it. If the queue is paused because it was empty, it is polled immediately;
    /// the pause after a failure is not shortened.
    Nudge(QueueName),
    /// The leases of these receipts have ended, for instance because the backend lost the
    /// connection that they were bound to. Their handlers are cancelled, and the receipts are no
    /// longer used.
    LeasesLost(Vec<Receipt>),
    /// Reserve no more messages. Held messages continue.
    Pause,
    /// Reserve messages again.
    Resume,
    /// Stop publishing notices, and retain them.
    PauseNotifier,
    /// Publish the retained notices, and new ones.
    ResumeNotifier,
    /// Drain: reserve no more, let running handlers end, release all other messages. After `limit`
    /// the running handlers are cancelled and their messages are released as well.
    Drain {
        /// How long running handlers may take.
        limit: Duration,
    },
}

/// How a handler ended.
#[derive(Debug)]
pub enum JobOutcome {
    /// It returned this value.
    Done(RawJson),
    /// It returned a value nested deeper than [`MAX_DEPTH`](crate::wire::MAX_DEPTH). The task is
    /// done, and the caller receives the reason instead of a result.
    ResultTooDeep,
    /// It returned an error.
    Failed(TaskError),
    /// It panicked.
    Panicked(String),
    /// The handler does not accept the arguments, so it was not run.
    BadArgs(String),
    /// The system could not start a thread, so it was not run. The message is released, and the
    /// attempt does not count.
    NotRun,
    /// It was cancelled by an [`Output::Cancel`].
    Cancelled,
}

/// An output of a worker, to be executed by the driver.
#[derive(Debug)]
pub enum Output {
    /// Send this request to the queue, and feed the reply back as [`Input::Queue`].
    Queue(OpId, QueueOp),
    /// Cancel this request. Feed back a fault of kind
    /// [`ReplyLost`](crate::queue::FaultKind::ReplyLost), or the reply if it arrived first.
    CancelQueue(OpId),
    /// Publish a notice or a presence record, and feed the reply back as [`Input::Published`].
    Publish(OpId, Publication),
    /// Run the handler of this task, and feed its outcome back as [`Input::Job`].
    Run(Run),
    /// Cancel the handler of this job. Its outcome must still be fed back as [`Input::Job`].
    Cancel(JobId, CancelReason),
    /// End the wait of this job's handler for a result, and all its later ones, with an error,
    /// because the worker drains. If the handler then fails, its message is released, and the
    /// attempt does not count.
    Interrupt(JobId),
    /// An event for the application.
    Event(Event),
    /// Nothing to do before this deadline or the next input.
    Wait(Option<Deadline<Timer>>),
    /// The worker has drained. It holds no message and produces no further output.
    Finished,
}

/// A handler to run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Identifies this run.
    pub job: JobId,
    /// The task.
    pub task: TaskName,
    /// The task's id.
    pub id: TaskId,
    /// The physical queue of its message.
    pub queue: QueueName,
    /// The id of its message.
    pub message: MessageId,
    /// Identifies the message across deliveries, if it is authenticated.
    pub message_key: Option<MessageKey>,
    /// The arguments: a JSON array.
    pub args: RawJson,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The maximum number of attempts.
    pub max_attempts: u32,
    /// When the handler will be cancelled, if the task has a time limit.
    pub deadline: Option<Moment>,
    /// The caller's trace context (W3C `traceparent`).
    pub trace: Option<TraceParent>,
    /// The `tracestate` that belongs to it.
    pub tracestate: Option<TraceState>,
    /// How the span of the handler is related to that context.
    pub relation: Relation,
    /// How long the task has waited since it was due, if it is the first run and the time is known.
    pub waited: Option<Duration>,
}

/// Why a handler is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// Its lease was lost; another worker may be running the message.
    LeaseLost,
    /// It exceeded the task's time limit.
    TimeLimit,
    /// The drain limit of the worker has passed.
    Drain,
    /// The queue limits how long a message may be held, even if its lease is renewed.
    LeaseLimit,
}

/// What a worker's timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// Start the worker: immediately.
    Start,
    /// Renew the lease of a message.
    Touch(JobId),
    /// The lease of a message ends.
    LeaseEnds(JobId),
    /// A handler reaches its task's time limit.
    TimeLimit(JobId),
    /// Cancel the handler of a message whose maximum hold time is almost over.
    HoldLimit(JobId),
    /// Retry the settlement of a message.
    Settle(JobId),
    /// Send the batch of deletes of a queue.
    SendDeletes(QueueName),
    /// Poll a queue again.
    Poll(QueueName),
    /// Reserve for slots that were held back.
    Reserve,
    /// Publish notices again.
    Publish,
    /// Publish what the worker does, or stop waiting for the last publication of it.
    Presence,
    /// Report that all slots wait for tasks of this worker.
    Standstill,
    /// Cancel the polls in flight while draining.
    DrainCancelPolls,
    /// Cancel the running handlers while draining.
    DrainCancelHandlers,
    /// End the drain even if the queue does not reply.
    DrainAbandon,
}

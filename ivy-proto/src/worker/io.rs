//! What goes into a worker, and what comes out.

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

/// What can happen to a worker.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The clock on the wall was set, or moments stood still while the machine slept: see
    /// [`WallClock::follow`]. Deadlines and stamps follow it from now on, and timers do not. But a
    /// lease ends by whichever of the two clocks says so first: where the wall clock leaps forward
    /// beyond a lease's end, the lease counts as lost, since while the machine slept the queue may have
    /// handed the message to another worker.
    Clock(WallClock),
    /// The answer to an [`Output::Queue`].
    Queue(OpId, Result<QueueReply, Fault>),
    /// The answer to an [`Output::Publish`]: how many subscribers heard it.
    Published(OpId, Result<u64, NotifyFault>),
    /// The handler of an [`Output::Run`] has ended, by itself or after an [`Output::Cancel`].
    Job(JobId, JobOutcome),
    /// The handler of this job waits for the result of this task; of several, for that of this one. What
    /// it waited for before no longer counts. A job that has ended is ignored.
    Waits(JobId, TaskRef),
    /// The handler of this job waits for no result any more.
    Resumes(JobId),
    /// Something hints at new messages in this physical queue: a task was sent from this process, or
    /// the backend reports it. If the queue rests since it was empty, it is asked at once; one that
    /// failed rests as long as before.
    Nudge(QueueName),
    /// The leases of these receipts have ended: the backend has lost the connection that they were
    /// bound to, for instance. Their handlers are told to stop, and nothing is asked with these
    /// receipts any more.
    LeasesLost(Vec<Receipt>),
    /// Reserve no more messages. What is held goes on.
    Pause,
    /// Reserve messages again.
    Resume,
    /// Hold notices back.
    PauseNotifier,
    /// Publish the notices that were held back, and new ones again.
    ResumeNotifier,
    /// Finish: reserve no more, let running handlers end, give back the rest. After `limit` the
    /// running ones are cancelled and given back as well.
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
    /// It returned a value that is nested deeper than [`MAX_DEPTH`](crate::wire::MAX_DEPTH). Its task
    /// is done, and its caller is told why there is no result.
    ResultTooDeep,
    /// It returned an error.
    Failed(TaskError),
    /// It panicked.
    Panicked(String),
    /// The arguments are not what it takes, so it was not run.
    BadArgs(String),
    /// The system gave no thread for it, so it was not run. Its message is given back, and the
    /// attempt does not count.
    NotRun,
    /// It was stopped because of an [`Output::Cancel`].
    Cancelled,
}

/// What a worker wants done.
#[derive(Debug)]
pub enum Output {
    /// Ask the queue, and feed the answer back as [`Input::Queue`].
    Queue(OpId, QueueOp),
    /// Stop waiting for this operation, and feed back a fault of kind
    /// [`AnswerLost`](crate::queue::FaultKind::AnswerLost) in its place, or its answer if that was
    /// quicker.
    CancelQueue(OpId),
    /// Publish a notice, and feed the answer back as [`Input::Published`].
    Publish(OpId, Publication),
    /// Run the handler registered under this task's name, and feed its end back as
    /// [`Input::Job`].
    Run(Run),
    /// Tell the handler of this job to stop. Its end must still be fed back as [`Input::Job`].
    Cancel(JobId, CancelReason),
    /// End what the handler of this job waits for, and each later wait of it, with an error: the worker
    /// drains. If the handler fails then, its message is given back, and the attempt does not count.
    Interrupt(JobId),
    /// Something happened that an application may want to know.
    Event(Event),
    /// Nothing is left to be done before this deadline or the next input.
    Wait(Option<Deadline<Timer>>),
    /// The worker has drained: it holds no message and will do nothing any more.
    Finished,
}

/// A handler to be run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Names this run.
    pub job: JobId,
    /// The task.
    pub task: TaskName,
    /// The scheduled task's id.
    pub id: TaskId,
    /// The physical queue that it came from.
    pub queue: QueueName,
    /// The message that carried it.
    pub message: MessageId,
    /// Tells this message from all others, where it is authenticated: the same at each delivery.
    pub message_key: Option<MessageKey>,
    /// The arguments: a JSON array.
    pub args: RawJson,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many attempts there may be.
    pub max_attempts: u32,
    /// When the handler will be told to stop, if the task has a time limit.
    pub deadline: Option<Moment>,
    /// The caller's trace context.
    pub trace: Option<TraceParent>,
    /// What tracing systems have added to it.
    pub tracestate: Option<TraceState>,
}

/// Why a handler is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The message may be running elsewhere now.
    LeaseLost,
    /// It took longer than the task's time limit.
    TimeLimit,
    /// The worker is draining, and the limit for that has passed.
    Drain,
    /// The queue lets no message be held for longer, however often its lease is renewed.
    LeaseLimit,
}

/// When a worker wants to be called again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// When to begin: at once.
    Start,
    /// When to renew the lease of a message.
    Touch(JobId),
    /// When a message's lease ends.
    LeaseEnds(JobId),
    /// When a handler has used up its task's time limit.
    TimeLimit(JobId),
    /// When to stop the handler of a message that can be held for little longer.
    HoldEnds(JobId),
    /// When to repeat a request that settles a message.
    Settle(JobId),
    /// When to send the deletes that have gathered for a queue.
    AckLinger(QueueName),
    /// When to reserve from a queue again.
    Poll(QueueName),
    /// When to reserve for the slots that have gathered.
    Coalesced,
    /// When to publish notices again.
    Publish,
    /// When to report that all slots wait for tasks of this worker.
    Standstill,
    /// When to cancel the polls that are in flight while draining.
    DrainPolls,
    /// When to cancel the handlers that still run while draining.
    DrainLimit,
    /// When to end a drain even if the queue does not answer.
    DrainEnd,
}

//! What goes into a producer, and what comes out.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::id::{MessageId, OpId, TaskId};
use crate::name::{ChannelName, QueueName, TaskName};
use crate::notify::NotifyFault;
use crate::queue::{Fault, NameNotForBackend, QueueOp, QueueReply};
use crate::task::{ForbiddenName, TaskHeld, TaskOutcome};
use crate::time::{Deadline, WallClock};
use crate::wire::{MAX_DEPTH, Options, RawJson};

/// A task to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// The scheduled task's id: sixteen random bytes, never used before.
    pub id: TaskId,
    /// The task.
    pub task: TaskName,
    /// The physical queue: route or queue, with the priority's suffix.
    pub queue: QueueName,
    /// The arguments: a JSON array.
    pub args: RawJson,
    /// What the message says about itself: only what differs from the defaults. The producer adds the id,
    /// the reply channel and the times.
    pub options: Options,
    /// How long after the call the task is not to be started any more, but for a minute's tolerance
    /// between clocks.
    pub expires_after: Option<Duration>,
    /// How long the queue holds the message back.
    pub delay: Duration,
    /// Who waits for the result.
    pub reply: ReplyTo,
}

/// Who waits for a task's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// Nobody: fire and forget.
    None,
    /// A result handle, until [`Input::Forget`].
    Handle,
    /// A registered callback, which is given the arguments too.
    Callback,
    /// Both.
    HandleAndCallback,
}

impl ReplyTo {
    /// Whether a handle waits for the result, until it is dropped.
    #[must_use]
    pub fn has_handle(self) -> bool {
        matches!(self, ReplyTo::Handle | ReplyTo::HandleAndCallback)
    }

    /// Whether a callback waits for the result.
    #[must_use]
    pub fn has_callback(self) -> bool {
        matches!(self, ReplyTo::Callback | ReplyTo::HandleAndCallback)
    }
}

/// What can happen to a producer.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The clock on the wall was set, or moments stood still while the machine slept: see
    /// [`WallClock::follow`]. Stamps of calls follow it from now on; timers do not.
    Clock(WallClock),
    /// Send these. Calls that come together travel together.
    Calls(Vec<Call>),
    /// The answer to an [`Output::Queue`].
    Queue(OpId, Result<QueueReply, Fault>),
    /// The subscription of an [`Output::Subscribe`] stands.
    Subscribed,
    /// The subscription could not be made, or has ended. Notices published before the next
    /// [`Input::Subscribed`] are lost.
    SubscriptionLost(NotifyFault),
    /// A notice arrived.
    Notice {
        /// The channel that it arrived on.
        channel: ChannelName,
        /// What it says, not yet looked at.
        payload: Vec<u8>,
    },
    /// The caller has dropped the handle. A registered callback still hears of the result.
    Forget(TaskId),
    /// Finish: send what waits to be sent, accept nothing more.
    Drain {
        /// How long that may take.
        limit: Duration,
    },
}

/// What a producer wants done.
#[derive(Debug)]
pub enum Output {
    /// Ask the queue, and feed the answer back as [`Input::Queue`].
    Queue(OpId, QueueOp),
    /// Drop whatever subscription there is, subscribe to these channels, and feed back
    /// [`Input::Subscribed`] when all are acknowledged, then each notice.
    Subscribe(Vec<ChannelName>),
    /// A call was sent, or was not: exactly one for each call, before its result.
    Sent(TaskId, Result<MessageId, SendError>),
    /// A result has arrived: at most one for each call.
    Resumed {
        /// The task's id.
        id: TaskId,
        /// The task.
        task: TaskName,
        /// How it ended.
        outcome: TaskOutcome,
        /// The arguments, for the callback if there is one.
        args: Option<RawJson>,
    },
    /// A worker gave the task's message back, since it was not for that worker. Another one may still
    /// run it: the wait goes on.
    Held {
        /// The task's id.
        id: TaskId,
        /// Why.
        held: Arc<TaskHeld>,
    },
    /// Something happened that an application may want to know.
    Event(Event),
    /// Nothing is left to be done before this deadline or the next input.
    Wait(Option<Deadline<Timer>>),
    /// The producer has drained, and will do nothing any more.
    Finished,
}

/// Why a call was not sent, or not surely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It was surely not stored: it may be called again.
    #[error("the task was not sent, after {tries} tries: {fault}")]
    NotSent {
        /// The last failure.
        fault: Fault,
        /// How often it was tried.
        tries: u32,
    },
    /// It may have been stored: the answer was lost, and the task does not allow a second copy.
    /// The result, if one comes, still arrives.
    #[error("the task may or may not have been sent: {fault}")]
    Unknown {
        /// The last failure.
        fault: Fault,
        /// How often it was tried.
        tries: u32,
    },
    /// The queue refused it.
    #[error("the queue refused the task: {fault}")]
    Refused {
        /// Why.
        fault: Fault,
    },
    /// The message would be too large.
    #[error(
        "the task's message has {size} {unit} as it would be posted, and the limit is {limit}; send less, or send a reference to the data"
    )]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
        /// What is counted.
        unit: SizeUnit,
    },
    /// The queue does not hold messages back for so long.
    #[error(
        "the task is to be delayed by {delay:?}, and the queue's limit is {limit:?}; call it later"
    )]
    DelayTooLong {
        /// The delay.
        delay: Duration,
        /// The longest.
        limit: Duration,
    },
    /// The backend cannot have the task's queue.
    #[error(transparent)]
    NameNotForBackend(#[from] NameNotForBackend),
    /// The arguments are not a JSON array.
    #[error("the arguments of a task must be a JSON array")]
    ArgsNotAnArray,
    /// No worker could read the arguments.
    #[error(
        "an argument of the task is nested more than {MAX_DEPTH} levels deep, which is the limit; send flatter data, or a reference to it"
    )]
    TooDeep,
    /// Too many calls wait to be sent. Here is the call, to be tried later.
    #[error("too many calls wait to be sent (limit {limit}); wait for some of them and call again")]
    Full {
        /// The limit.
        limit: usize,
        /// The call.
        call: Box<Call>,
    },
    /// Too many handles wait for results. Here is the call, to be tried later.
    #[error(
        "the results of too many calls are waited for (limit {limit}); drop the handles of those that are no longer needed and call again"
    )]
    TooManyHandles {
        /// The limit.
        limit: usize,
        /// The call.
        call: Box<Call>,
    },
    /// A result is wanted, and there is no notifier to bring it.
    #[error(
        "results need a notifier, and none is configured; set IVY_NOTIFIER_URL, or send without waiting"
    )]
    NoNotifier,
    /// A result is wanted, and the notifier cannot be reached. Nothing was sent.
    #[error(
        "nothing was sent, since the result could not come back: {}",
        .fault.as_ref().map_or_else(
            || "the notifier has not answered in time; check its address, and that it runs".to_owned(),
            ToString::to_string,
        )
    )]
    NotifierUnavailable {
        /// The last failure, if there was one.
        fault: Option<NotifyFault>,
    },
    /// No task may have this name.
    #[error("the task's name is forbidden: {0}")]
    ForbiddenName(#[from] ForbiddenName),
    /// An id was used twice.
    #[error("the task id is in use; make a new one for each call")]
    IdInUse,
    /// The producer is draining.
    #[error("the producer is shutting down and accepts no more calls")]
    Draining,
}

/// What a limit of size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeUnit {
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 units of the posted JSON, as the original counts.
    Utf16Units,
}

impl std::fmt::Display for SizeUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SizeUnit::Bytes => "bytes",
            SizeUnit::Utf16Units => "UTF-16 units",
        })
    }
}

/// When a producer wants to be called again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// When to send a queue's waiting calls again.
    Resend(QueueName),
    /// When to send calls to a queue that have waited for others to travel with.
    Merge(QueueName),
    /// When the call that has waited longest for the subscription has waited long enough.
    SubscriptionLimit(TaskId),
    /// When to subscribe again.
    Subscribe,
    /// When to stop trying to send while draining.
    DrainLimit,
}

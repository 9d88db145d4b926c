//! The inputs and outputs of a producer.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::id::{MessageId, OpId, TaskId};
use crate::name::{ChannelName, QueueName, TaskName};
use crate::notify::NotifyFault;
use crate::queue::{Fault, NameNotForBackend, QueueOp, QueueReply};
use crate::task::{ReservedName, TaskOutcome, TaskReleased};
use crate::time::{Deadline, WallClock};
use crate::wire::{IvyOptions, MAX_DEPTH, Options, RawJson, TraceContext};

/// A call: a task to send.
#[derive(Clone, Debug)]
pub struct Call {
    /// The call's id: sixteen fresh random bytes. It is that of its task as well, unless the caller
    /// chose one.
    pub id: TaskId,
    /// The task's id, if the caller chose it. Calls that choose the same one share one message
    /// while the first of them is pending.
    pub chosen_id: Option<TaskId>,
    /// The task.
    pub task: TaskName,
    /// The physical queue: the route or queue, with the suffix of the priority.
    pub queue: QueueName,
    /// The arguments: a JSON array.
    pub args: RawJson,
    /// The message's options that differ from the defaults. The producer adds the id, the reply
    /// channel and the timestamps.
    pub options: Options,
    /// How long after the call the task may still start, plus a minute's tolerance between clocks.
    pub expires_after: Option<Duration>,
    /// How long the queue delays the message.
    pub delay: Duration,
    /// How long the call may wait to be sent, if not as long as the [`ProducerConfig`] says.
    ///
    /// [`ProducerConfig`]: super::ProducerConfig
    pub within: Option<Duration>,
    /// Who waits for the result.
    pub reply: ReplyTo,
}

impl Call {
    /// The id of its task.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.chosen_id.unwrap_or(self.id)
    }

    /// Whether the call contains a trace context.
    #[must_use]
    pub fn has_trace(&self) -> bool {
        self.options.ivy().is_some_and(|ivy| ivy.trace.is_some())
    }

    /// Adds a trace context, unless the caller has chosen one.
    pub fn add_trace(&mut self, context: &TraceContext) {
        if self.has_trace() {
            return;
        }
        let mut ivy =
            self.options.ivy().cloned().unwrap_or_else(|| IvyOptions::new(self.task_id()));
        ivy.trace = Some(context.parent.clone());
        ivy.tracestate.clone_from(&context.state);
        self.options = std::mem::take(&mut self.options).with_ivy(ivy);
    }
}

/// Who waits for a task's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// No one: fire and forget.
    None,
    /// A result handle, until [`Input::Forget`].
    Handle,
    /// A registered callback, which also receives the arguments.
    Callback,
    /// Both.
    HandleAndCallback,
}

impl ReplyTo {
    /// Whether a handle waits for the result.
    #[must_use]
    pub fn has_handle(self) -> bool {
        matches!(self, ReplyTo::Handle | ReplyTo::HandleAndCallback)
    }

    /// Whether a callback waits for the result.
    #[must_use]
    pub fn has_callback(self) -> bool {
        matches!(self, ReplyTo::Callback | ReplyTo::HandleAndCallback)
    }

    /// Whether anyone waits for the result.
    #[must_use]
    pub fn wants_result(self) -> bool {
        self != ReplyTo::None
    }

    /// The same without the callback.
    pub(super) fn without_callback(self) -> Self {
        if self.has_handle() { ReplyTo::Handle } else { ReplyTo::None }
    }
}

/// An input of a producer.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The wall clock was set, or monotonic time stood still while the host slept: see
    /// [`WallClock::follow`]. Timestamps of calls follow the new wall clock, timers do not.
    Clock(WallClock),
    /// Send these calls. Calls of one input are batched.
    Calls(Vec<Call>),
    /// Send these calls as soon as there is room for them, in the order in which they came: none
    /// fails with [`SendError::Full`]. They fill at most half of the outbox, so that
    /// [`Input::Calls`] find room beside them. Their limits count from this input, their delays from
    /// when they are accepted.
    ///
    /// The driver bounds how many wait: it feeds more as those before are sent.
    WaitingCalls(Vec<Call>),
    /// The reply to an [`Output::Queue`].
    Queue(OpId, Result<QueueReply, Fault>),
    /// The subscription of an [`Output::Subscribe`] is up.
    Subscribed,
    /// The subscription failed or has ended. Notices published before the next
    /// [`Input::Subscribed`] are lost.
    SubscriptionLost(NotifyFault),
    /// A notice arrived.
    Notice {
        /// The channel that it arrived on.
        channel: ChannelName,
        /// The unparsed payload.
        payload: Vec<u8>,
    },
    /// The caller dropped the handle of this call. A registered callback still receives the result.
    Forget(TaskId),
    /// Drain: send the waiting calls, and accept no more.
    Drain {
        /// How long that may take.
        limit: Duration,
    },
}

/// An output of a producer, to be executed by the driver.
#[derive(Debug)]
pub enum Output {
    /// Send this request to the queue, and feed the reply back as [`Input::Queue`].
    Queue(OpId, QueueOp),
    /// End the current subscription, if any, and subscribe to these channels. Feed back
    /// [`Input::Subscribed`] when all are acknowledged, then each notice.
    Subscribe(Vec<ChannelName>),
    /// Whether a call, by its id, was sent: exactly one for each call, before its result.
    Sent(TaskId, Result<MessageId, SendError>),
    /// The result of a call: at most one for each call.
    Result {
        /// The call's id.
        id: TaskId,
        /// The task.
        task: TaskName,
        /// The result.
        outcome: TaskOutcome,
        /// The arguments, if there is a callback.
        args: Option<RawJson>,
    },
    /// A worker released the task's message because it could not decide on it. Another worker may
    /// still run it, so the caller continues to wait.
    Released {
        /// The call's id.
        id: TaskId,
        /// Why.
        release: Arc<TaskReleased>,
    },
    /// An event for the application.
    Event(Event),
    /// Nothing to do before this deadline or the next input.
    Wait(Option<Deadline<Timer>>),
    /// The producer has drained and produces no further output.
    Finished,
}

/// Why a call was not sent, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It was not stored, so it can safely be called again.
    #[error("the task was not sent, after {tries} tries: {fault}")]
    NotSent {
        /// The last failure.
        fault: Fault,
        /// How often it was tried.
        tries: u32,
    },
    /// It may have been stored: the reply was lost, and the task does not allow a duplicate. If a
    /// result arrives, it is still delivered.
    #[error("the task may or may not have been sent: {fault}")]
    Unknown {
        /// The last failure.
        fault: Fault,
        /// How often it was tried.
        tries: u32,
    },
    /// Its time limit ended while a request with it was under way, so it may have been stored. It
    /// is not sent again. If a result arrives, it is still delivered.
    #[error(
        "the task may or may not have been sent: the queue did not reply within {within:?}; wait for the result with the handle of this error"
    )]
    NoReply {
        /// The call's time limit.
        within: Duration,
    },
    /// Its time limit ended before it was given to the queue. It was withdrawn: it was not stored
    /// and never will be, so it can safely be called again.
    #[error(
        "the task was not sent within {within:?}, and was withdrawn: {waited_for}; call it again, or allow more time"
    )]
    Withdrawn {
        /// The call's time limit.
        within: Duration,
        /// What it waited for.
        waited_for: WaitedFor,
    },
    /// The queue refused it.
    #[error("the queue refused the task: {fault}")]
    Refused {
        /// Why.
        fault: Fault,
    },
    /// The message is too large.
    #[error(
        "the encoded task message has {size} {unit}, which exceeds the limit of {limit}; send less data, or a reference to it"
    )]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
        /// What is counted.
        unit: SizeUnit,
    },
    /// The delay exceeds the queue's limit.
    #[error("the task's delay of {delay:?} exceeds the queue's limit of {limit:?}; call it later")]
    DelayTooLong {
        /// The delay.
        delay: Duration,
        /// The longest delay.
        limit: Duration,
    },
    /// The backend cannot represent the name of the task's queue.
    #[error(transparent)]
    NameNotForBackend(#[from] NameNotForBackend),
    /// The arguments are not a JSON array.
    #[error("the arguments of a task must be a JSON array")]
    ArgsNotAnArray,
    /// No worker could parse the arguments.
    #[error(
        "an argument of the task is nested more than {MAX_DEPTH} levels deep; send flatter data, or a reference to it"
    )]
    TooDeep,
    /// Too many calls wait to be sent. Contains the call, to be tried later. Calls that came as
    /// [`Input::WaitingCalls`] do not fail with this.
    #[error("too many calls wait to be sent (limit {limit}); wait for some of them and call again")]
    Full {
        /// The limit.
        limit: usize,
        /// The call.
        call: Box<Call>,
    },
    /// Too many handles wait for results. Contains the call, to be tried later.
    #[error(
        "too many calls wait for their results (limit {limit}); drop the handles that are no longer needed and call again"
    )]
    TooManyHandles {
        /// The limit.
        limit: usize,
        /// The call.
        call: Box<Call>,
    },
    /// The call wants a result, but no notifier is configured.
    #[error(
        "results need a notifier, but none is configured; set IVY_NOTIFIER_URL, or send without waiting"
    )]
    NoNotifier,
    /// The call wants a result, but the notifier is unavailable. The call was not sent.
    #[error(
        "the task was not sent because its result could not be received: {}",
        .fault.as_ref().map_or_else(
            || "the notifier did not respond in time; check its address, and that it is running".to_owned(),
            ToString::to_string,
        )
    )]
    NotifierUnavailable {
        /// The last failure, if there was one.
        fault: Option<NotifyFault>,
    },
    /// The task's name is reserved.
    #[error("the task's name is reserved: {0}")]
    ReservedName(#[from] ReservedName),
    /// The call's id was used before.
    #[error("the task id is in use; generate a new one for each call")]
    IdInUse,
    /// The caller chose an id that is in use in this process for something else.
    #[error(
        "the task id {id} is in use by task {task}, {conflict}; choose another id, or wait until that task has ended"
    )]
    IdConflict {
        /// The id.
        id: TaskId,
        /// The task that uses it.
        task: TaskName,
        /// Why the calls cannot share their result.
        conflict: IdConflict,
    },
    /// The producer is draining.
    #[error("the producer is shutting down and accepts no more calls")]
    Draining,
}

impl SendError {
    /// Whether the message may be stored all the same. Then the result is still delivered if it
    /// arrives.
    #[must_use]
    pub fn may_be_sent(&self) -> bool {
        matches!(self, SendError::Unknown { .. } | SendError::NoReply { .. })
    }
}

/// What a withdrawn call waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitedFor {
    /// The subscription to results.
    Subscription {
        /// Its last failure, if there was one.
        fault: Option<NotifyFault>,
    },
    /// Its turn at the queue.
    Queue {
        /// The last failure of a request to the queue, unless one has succeeded since.
        fault: Option<Fault>,
    },
}

impl std::fmt::Display for WaitedFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WaitedFor::Subscription { fault: None } => f.write_str(
                "the notifier did not respond in time; check its address, and that it is running",
            ),
            WaitedFor::Subscription { fault: Some(fault) } => {
                write!(f, "its result could not be received: {fault}")
            }
            WaitedFor::Queue { fault: None } => f.write_str(
                "the queue has not replied to earlier requests; check that its server responds",
            ),
            WaitedFor::Queue { fault: Some(fault) } => {
                write!(f, "the last request to the queue failed: {fault}")
            }
        }
    }
}

/// Why a call cannot share the result of the pending task whose id it chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdConflict {
    /// It is a call of another task.
    #[error("which is another one")]
    OtherTask,
    /// It is sent to another queue, or with another priority.
    #[error("on another queue")]
    OtherQueue,
    /// It has other arguments.
    #[error("with other arguments")]
    OtherArgs,
    /// It wants a result, and the message that is not sent yet asks for none.
    #[error("without a result")]
    NoResult,
    /// The id was generated for a call that chose none.
    #[error("for which it was generated")]
    Generated,
}

/// The unit of a size limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeUnit {
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 code units of the posted JSON, as the Node package counts.
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

/// What a producer's timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// Send a queue's waiting calls again.
    Resend(QueueName),
    /// Send the calls of a queue that have waited to be batched.
    Merge(QueueName),
    /// Fail this call, which has waited longest for the subscription.
    SubscriptionLimit(TaskId),
    /// End this call, whose time limit is the first to pass.
    CallLimit(TaskId),
    /// Subscribe again.
    Subscribe,
    /// Stop sending while draining.
    DrainLimit,
}

//! The producer: sends calls, and delivers each result to its caller.
//!
//! Report what happened with [`Producer::handle_input`], and execute what [`Producer::poll_output`]
//! returns until it returns [`Output::Wait`]. Several inputs may precede a poll; polling late
//! neither loses nor reorders outputs. When the deadline of a wait has passed, feed
//! [`Input::Tick`]; the next deadline is strictly later.
//!
//! ```text
//!  Input::Calls ─▶ encoded, measured ─▶ outbox, per queue, ──────▶ Output::Queue
//!                     │      │          merged into batches            │
//!                     │      │               ▲       ▲                 │
//!                     │      │ wants a       │       │ to be sent      ▼
//!                     │      │ result        │       │ again       Input::Queue
//!                     │      ▼               │       │                 │
//!                     │   waits until the ───╯       ╰─ paused ◀───────┤
//!                     │   subscription is up                           │
//!                     ▼                                                ▼
//!              Output::Sent(Err)                               Output::Sent(Ok or Err)
//!                                                                      │
//!  Output::Result  ◀─ first Input::Notice with its id ◀─ pending ◀─────╯
//! ```
//!
//! The queue's reply decides what happens to a post. A message that was not stored is sent again
//! with growing delays. A message that may have been stored is sent again, under the same id, only
//! if the task allows retries. A refused message fails; a refused batch is split in halves until
//! the invalid message is isolated. Everything is bounded: a call beyond a limit is returned in the
//! error, or waits for room if it came as [`Input::WaitingCalls`].
//!
//! A call may have a time limit. If it was not given to the queue by then, it is withdrawn, and
//! certainly not sent. If a request with it is under way, its error says that it may be stored;
//! it is not sent again, and its result is still delivered.
//!
//! Calls whose callers chose the same id share one message and its result, while the first of them
//! is pending.
//!
//! The driver limits how long a caller waits for its result; the wait changes nothing here. When a
//! caller stops waiting, feed [`Input::Forget`].
//!
//! ```
//! use std::time::Duration;
//!
//! use ivy_proto::producer::{Call, Input, Output, Producer, ProducerConfig, ReplyTo};
//! use ivy_proto::queue::{Capabilities, QueueOp, QueueReply};
//! use ivy_proto::wire::{Codec, Options, RawJson};
//! use ivy_proto::{MessageId, Moment, QueueName, TaskId, TaskName, WallClock};
//!
//! let config = ProducerConfig::new(Capabilities::broker(), Codec::plain());
//! let mut producer = Producer::new(config, [7; 32], WallClock::default());
//!
//! let call = Call {
//!     id: TaskId::from_random([1; 16]),
//!     chosen_id: None,
//!     task: TaskName::new("testpackage.factorial")?,
//!     queue: QueueName::new("testpackage")?,
//!     args: RawJson::parse("[5]")?,
//!     options: Options::new(),
//!     expires_after: None,
//!     delay: Duration::ZERO,
//!     within: None,
//!     reply: ReplyTo::None,
//! };
//! producer.handle_input(Input::Calls(vec![call]), Moment::EPOCH)?;
//!
//! let mut sent = 0;
//! loop {
//!     match producer.poll_output() {
//!         // A real driver sends the request to its queue. Here the queue accepts everything.
//!         Output::Queue(op, QueueOp::Post { messages, .. }) => {
//!             let ids = messages.items().iter().map(|_| MessageId::new("61"));
//!             let reply = Ok(QueueReply::all_posted(ids));
//!             producer.handle_input(Input::Queue(op, reply), Moment::EPOCH)?;
//!         }
//!         Output::Sent(_, result) => {
//!             result?;
//!             sent += 1;
//!         }
//!         // A real driver waits for the deadline or for the next input.
//!         Output::Wait(_) => break,
//!         _ => {}
//!     }
//! }
//! assert_eq!(sent, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accepting;
mod backlog;
mod chosen_ids;
mod config;
mod io;
mod message;
mod metrics;
mod outbox;
mod pending;
mod results;
mod sending;
mod subscription;
#[cfg(test)]
mod tests;
mod withdrawing;

pub use config::ProducerConfig;
pub use io::{Call, IdConflict, Input, Output, ReplyTo, SendError, SizeUnit, Timer, WaitedFor};

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{DegradedParts, DegradedReason, Event, Part, TaskRef};
use crate::id::{IdGenerator, MessageId, TaskId};
use crate::metrics::{CallMeter, RequestMeter, SendOutcome};
use crate::misuse::Misuse;
use crate::planted::{Bug, planted};
use crate::queue::{Fault, FaultKind, QueueReply};
use crate::rng::Rng;
use crate::task::{TaskReleased, TaskStatus};
use crate::time::{Deadline, Moment, WallClock};
use crate::timers::Timers;
use crate::wire::crypto::EntropyPool;

use backlog::Backlog;
use outbox::{Outbox, PostLimits};
use pending::Pending;
use subscription::Subscription;
pub(crate) use subscription::reply_channel;

/// The former name of [`ReplyTo`].
#[deprecated(note = "renamed to `ReplyTo`: a queue's reply is `QueueReply`")]
pub type Reply = ReplyTo;

/// The producer's state machine. See the [module documentation](self) for how to drive it.
#[derive(Debug)]
pub struct Producer {
    config: ProducerConfig,
    wall: WallClock,
    rng: Rng,
    entropy: EntropyPool,
    now: Moment,
    ops: IdGenerator,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    pending: Pending,
    backlog: Backlog,
    outbox: Outbox,
    subscription: Option<Subscription>,
    meter: CallMeter,
    requests: RequestMeter,
    degraded: DegradedParts,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Accepts no more calls, and sends nothing after this moment.
    Draining(Moment),
    Finished,
}

impl Producer {
    /// Creates a producer at [`Moment::EPOCH`], with `wall` as the current wall clock.
    ///
    /// `seed` must be 32 fresh bytes from a cryptographic random number generator. The reply
    /// channel's name, jitter and sealing derive from it.
    #[must_use]
    pub fn new(config: ProducerConfig, seed: [u8; 32], wall: WallClock) -> Self {
        let (mut rng, entropy) = EntropyPool::split(seed);
        let random = rng.sixteen_bytes();
        let subscription = config.notifier.clone().map(|shared| {
            let reply = reply_channel(&shared, random)
                .expect("all reply channels are equally long, and the configuration tried one");
            Subscription::new(Some(shared).filter(|_| config.node_peers), reply)
        });
        let outbox = Outbox::new(PostLimits {
            messages: config.capabilities.batch.post,
            bytes: config.capabilities.max_request,
            in_flight: config.posts_in_flight,
        });
        Producer {
            config,
            wall,
            rng,
            entropy,
            now: Moment::EPOCH,
            ops: IdGenerator::default(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            pending: Pending::new(),
            backlog: Backlog::new(),
            outbox,
            subscription,
            meter: CallMeter::default(),
            requests: RequestMeter::default(),
            degraded: DegradedParts::default(),
            phase: Phase::Running,
        }
    }

    /// Handles an input that happened at `now`, after the timers that are due by then. A `now` that
    /// goes backwards is raised to the latest one seen.
    ///
    /// # Errors
    /// Returns an error if the driver breaks the contract, for instance by replying to an operation
    /// twice. The producer is then unchanged.
    pub fn handle_input(&mut self, input: Input, now: Moment) -> Result<(), Misuse> {
        self.check(&input)?;
        self.now = self.now.max(now);
        self.end_overdue_calls();
        while let Some(why) = self.timers.pop_due(self.now) {
            self.act(why);
        }
        match input {
            Input::Tick => {}
            Input::Clock(wall) => self.set_clock(wall),
            Input::Calls(calls) => self.on_calls(calls),
            Input::WaitingCalls(calls) => self.on_waiting_calls(calls),
            Input::Queue(op, result) => self.on_reply(op, result),
            Input::Subscribed => self.on_subscribed(),
            Input::SubscriptionLost(fault) => self.on_subscription_lost(fault),
            Input::Notice { channel, payload } => self.on_notice(&channel, &payload),
            Input::Forget(id) => self.on_forget(id),
            Input::Drain { limit } => self.on_drain(limit),
        }
        self.admit_waiting();
        self.finish_if_drained();
        Ok(())
    }

    /// Returns the next thing to do. [`Output::Wait`] means that there is nothing to do before the
    /// next input or the deadline.
    #[must_use = "an output that is not executed is lost"]
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.next_deadline()))
    }

    fn next_deadline(&self) -> Option<Deadline<Timer>> {
        let limits = self.pending.next_limit().into_iter().chain(self.backlog.next_limit());
        let deadlines = self.timers.next().into_iter().chain(limits);
        deadlines.min_by_key(|deadline| deadline.at)
    }

    /// The status of a task whose caller waits for the result. `None` before the queue has accepted
    /// it, and after its result has arrived or it was forgotten.
    #[must_use]
    pub fn status(&self, id: TaskId) -> Option<TaskStatus> {
        self.pending.status(id)
    }

    /// Why a worker last released the message of a task whose caller waits for the result. The task
    /// is still scheduled, and another worker may run it.
    #[must_use]
    pub fn released(&self, id: TaskId) -> Option<&TaskReleased> {
        self.pending.released(id)
    }

    /// The former name of [`released`](Producer::released).
    #[must_use]
    #[deprecated(note = "renamed to `released`: a message is held only while its lease lasts")]
    pub fn held(&self, id: TaskId) -> Option<&TaskReleased> {
        self.released(id)
    }

    fn check(&self, input: &Input) -> Result<(), Misuse> {
        if self.phase == Phase::Finished {
            return Err(Misuse::Finished);
        }
        match input {
            Input::Queue(op, _) if !self.outbox.is_in_flight(*op) => Err(Misuse::UnknownOp(*op)),
            Input::Queue(_, Ok(QueueReply::Posted(_)) | Err(_)) => Ok(()),
            Input::Queue(op, Ok(_)) => Err(Misuse::WrongReply(*op)),
            _ => Ok(()),
        }
    }

    /// Handles a due timer.
    fn act(&mut self, why: Timer) {
        match why {
            Timer::Resend(queue) => self.on_pause_ended(&queue),
            Timer::Merge(queue) => self.on_merged(&queue),
            Timer::SubscriptionLimit(_) => self.on_subscription_limit(),
            Timer::Subscribe => self.subscribe_again(),
            Timer::DrainLimit => self.on_drain_limit(),
            // Kept apart, by `Pending`.
            Timer::CallLimit(_) => {}
        }
    }

    fn set_clock(&mut self, wall: WallClock) {
        if !planted(Bug::IgnoreClock) {
            self.wall = wall;
        }
    }

    /// The queue accepted the message of a task.
    fn sent(&mut self, task: TaskId, message: MessageId) {
        let sharing = self.pending.sharing(task);
        if sharing.is_empty() {
            return self.call_is_sent(task, message);
        }
        self.pending.shared_is_sent(task, &message);
        for call in sharing {
            self.call_is_sent(call, message.clone());
        }
    }

    fn call_is_sent(&mut self, call: TaskId, message: MessageId) {
        if let Some((task, row)) = self.pending.sent(call) {
            self.meter.sent(row, SendOutcome::Sent);
            self.outputs.push_back(Output::Sent(call, Ok(message.clone())));
            self.event(Event::TaskSent { task, message });
        }
    }

    /// The message of a task will not be sent (again). Returns the task, unless its message is
    /// already known to be sent.
    fn not_sent(&mut self, task: TaskId, error: &SendError) -> Option<TaskRef> {
        let sharing = self.pending.sharing(task);
        if sharing.is_empty() {
            return self.call_is_not_sent(task, error.clone());
        }
        let mut known = None;
        for call in sharing {
            known = self.call_is_not_sent(call, error.clone()).or(known);
        }
        known
    }

    fn call_is_not_sent(&mut self, call: TaskId, error: SendError) -> Option<TaskRef> {
        let (task, row) = self.pending.not_sent(call, error.may_be_sent())?;
        self.meter.sent(row, outcome(&error));
        self.outputs.push_back(Output::Sent(call, Err(error)));
        Some(task)
    }

    fn on_drain(&mut self, limit: Duration) {
        let limit = match self.phase {
            // The earlier limit applies.
            Phase::Draining(earlier) => earlier.min(self.now + limit),
            Phase::Running | Phase::Finished => self.now + limit,
        };
        self.phase = Phase::Draining(limit);
        self.set_timer(Timer::DrainLimit, limit);
    }

    fn on_drain_limit(&mut self) {
        let (waiting, in_flight) = self.outbox.clear();
        let subscription = self.subscription.as_mut();
        let unposted = subscription.map(Subscription::take_waiting).unwrap_or_default();
        for call in unposted {
            self.not_sent(call.outgoing.id, &SendError::Draining);
        }
        let lost = Fault::new(FaultKind::ReplyLost)
            .with_detail("the producer was shut down before the queue replied");
        for outgoing in waiting {
            if outgoing.may_be_stored {
                self.fail_message(&outgoing, &lost);
            } else {
                self.not_sent(outgoing.id, &SendError::Draining);
            }
        }
        for mut outgoing in in_flight {
            outgoing.tries += 1;
            outgoing.may_be_stored = true;
            self.fail_message(&outgoing, &lost);
        }
        let waiting = self.backlog.take(usize::MAX).into_iter().map(|(call, _)| call);
        self.refuse_all(waiting, || SendError::Draining);
    }

    fn finish_if_drained(&mut self) {
        let is_sent = self.pending.unsent() == 0 && self.backlog.is_empty();
        if matches!(self.phase, Phase::Draining(_)) && is_sent {
            self.phase = Phase::Finished;
            self.timers.clear();
            self.pending.clear();
            self.outbox.clear();
            self.outputs.push_back(Output::Finished);
        }
    }

    /// Sets a timer, always in the future, so that handling a timer never makes another due
    /// immediately.
    fn set_timer(&mut self, why: Timer, at: Moment) {
        let at = self.in_the_future(at);
        if at > self.now {
            self.timers.set(why, at);
        }
    }

    fn in_the_future(&self, at: Moment) -> Moment {
        at.max(self.now + Duration::from_nanos(1))
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Reports that a part keeps failing.
    fn report_degraded(&mut self, part: Part, why: DegradedReason) {
        self.degraded.add(&part, &why);
        self.event(Event::Degraded { part, why });
    }

    /// Reports that a part works again.
    fn report_recovered(&mut self, part: Part) {
        self.degraded.remove(&part);
        self.event(Event::Recovered { part });
    }
}

/// How a call that failed with this error counts.
fn outcome(error: &SendError) -> SendOutcome {
    match error {
        SendError::Unknown { .. } | SendError::NoReply { .. } => SendOutcome::Unknown,
        SendError::Refused { .. } => SendOutcome::Refused,
        _ => SendOutcome::NotSent,
    }
}

//! Drives the producer: sends calls, and delivers results to their callers.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::mpsc::{self, UnboundedSender};
use futures_util::stream::{BoxStream, StreamExt};
use ivy_proto::backend::{Notifier, Queue, SubscriptionEvent};
use ivy_proto::event::TaskRef;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::producer::{Call, Input, Output, ReplyTo, SendError};
use ivy_proto::task::{Callbacks, TaskOutcome, TaskReleased, TimedOut};
use ivy_proto::wire::RawJson;
use ivy_proto::{ChannelName, MessageId, Moment, TaskId, TaskName, WallClock, producer};
use rustc_hash::FxHashMap;

use crate::call_progress::{CallProgress, CallState};
use crate::clock::Clock;
use crate::events::EventSink;
use crate::fork_check::Process;
use crate::metrics::{Metered, Meters};
use crate::producer_status::ProducerStatus;
use crate::pump::{Next, Operations, Role, check_accepted, pump};
use crate::runtime::{Callbacks as _, Runtime};
use crate::served_queues::ServedQueues;

/// How long a producer without callers may take to send its pending calls.
const LAST_SENDS: Duration = Duration::from_secs(10);

/// The maximum number of calls that the machine is passed together. They fill whole batches of
/// every queue, and stay in the processor's caches.
pub(crate) const CALLS_TOGETHER: usize = 1_000;

/// The mailbox of a running producer. When the last one is dropped, the producer sends its pending
/// calls and ends.
pub(crate) struct Producer {
    mailbox: UnboundedSender<ProducerCommand>,
    status: Arc<ProducerStatus>,
    process: Process,
}

/// A command to the producer.
#[derive(Debug)]
pub(crate) enum ProducerCommand {
    Input(Input),
    /// Calls, each with the progress that its listeners watch.
    Calls(Vec<(Call, CallProgress)>),
    /// The same, for calls that wait for room instead of being refused.
    WaitingCalls(Vec<(Call, CallProgress)>),
    /// The listener of this call was dropped.
    Dropped(TaskId),
}

impl Producer {
    /// Starts a producer.
    pub(crate) fn start<R: Runtime>(
        machine: producer::Producer,
        resources: ProducerResources<R>,
    ) -> Self {
        let (mailbox, receiver) = mpsc::unbounded();
        let ProducerResources { queue, notifier, callbacks, events, meters, served, clock } =
            resources;
        let status = Arc::new(ProducerStatus::new(clock, served));
        let role = ProducerRole::<R> {
            machine: meters.add(machine, clock),
            operations: Operations::new(queue),
            notifier,
            subscription: None,
            calls: Vec::new(),
            listeners: FxHashMap::default(),
            callbacks,
            callback_runner: R::Callbacks::default(),
            events,
            status: Arc::clone(&status),
            now: Moment::EPOCH,
            _open: mailbox.clone(),
        };
        if let Err(error) = R::spawn("ivy-producer", pump(role, receiver, clock)) {
            // Every call fails as stopped.
            tracing::error!(%error, "cannot start the producer");
        }
        Producer { mailbox, status, process: Process::current() }
    }

    /// What is known of a call whose result did not arrive within `after`.
    pub(crate) fn timed_out(&self, task: &TaskRef, call: &CallState, after: Duration) -> TimedOut {
        self.status.timed_out(task, call, after)
    }

    /// Whether it runs in this process.
    pub(crate) fn is_in_this_process(&self) -> bool {
        self.process.is_current()
    }

    /// Passes calls that wait for room.
    pub(crate) fn post_waiting(&self, calls: Vec<(Call, CallProgress)>) {
        if !calls.is_empty() {
            self.post(ProducerCommand::WaitingCalls(calls));
        }
    }

    /// Sends a command. If the producer has ended, the command is lost, and so is everything that
    /// waits for it.
    pub(crate) fn post(&self, command: ProducerCommand) {
        let _ = self.mailbox.unbounded_send(command);
    }
}

/// What a producer works with.
pub(crate) struct ProducerResources<R> {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) notifier: Option<Arc<dyn Notifier>>,
    pub(crate) callbacks: Callbacks,
    pub(crate) events: EventSink,
    pub(crate) meters: Meters,
    /// Who serves the queues, if they are in memory.
    pub(crate) served: Option<ServedQueues>,
    pub(crate) clock: Clock<R>,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Producer")
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.post(ProducerCommand::Input(Input::Drain { limit: LAST_SENDS }));
    }
}

struct ProducerRole<R: Runtime> {
    machine: Metered<R, producer::Producer>,
    operations: Operations,
    notifier: Option<Arc<dyn Notifier>>,
    subscription: Option<BoxStream<'static, SubscriptionEvent>>,
    /// Calls in sequence, to be passed to the machine together.
    calls: Vec<Call>,
    listeners: FxHashMap<TaskId, Listener>,
    callbacks: Callbacks,
    callback_runner: R::Callbacks,
    events: EventSink,
    status: Arc<ProducerStatus>,
    /// The time of the last input.
    now: Moment,
    /// Keeps the mailbox open until all calls are sent.
    _open: UnboundedSender<ProducerCommand>,
}

/// The listener of a call.
struct Listener {
    progress: CallProgress,
    reply: ReplyTo,
}

impl<R: Runtime> ProducerRole<R> {
    /// Passes the pending calls to the machine, and then an input.
    fn feed(&mut self, input: Input, now: Moment) {
        self.now = now;
        if !self.calls.is_empty() {
            self.feed_calls(now);
        }
        check_accepted("producer", self.machine.handle_input(input, now));
    }

    /// Passes the pending calls to the machine.
    fn feed_calls(&mut self, now: Moment) {
        self.now = now;
        // As many may follow.
        let room = Vec::with_capacity(self.calls.len());
        let calls = Input::Calls(std::mem::replace(&mut self.calls, room));
        check_accepted("producer", self.machine.handle_input(calls, now));
    }

    fn listen(&mut self, call: &Call, progress: CallProgress) {
        self.listeners.insert(call.id, Listener { progress, reply: call.reply });
    }

    fn sent(&mut self, id: TaskId, result: Result<MessageId, SendError>) {
        let Some(listener) = self.listeners.get(&id) else { return };
        if listener.progress.sent(result, self.now) {
            self.listeners.remove(&id);
        }
    }

    fn deliver_result(&mut self, id: TaskId, outcome: TaskOutcome) {
        let Some(listener) = self.listeners.get(&id) else { return };
        if listener.progress.result_received(outcome) {
            self.listeners.remove(&id);
        }
    }

    fn released(&self, id: TaskId, release: Arc<TaskReleased>) {
        if let Some(listener) = self.listeners.get(&id) {
            listener.progress.released(release);
        }
    }

    fn run_callback(&self, task: &TaskName, args: Option<RawJson>, outcome: &TaskOutcome) {
        let Some(callback) = args.and_then(|args| self.callbacks.prepare(task, args, outcome))
        else {
            return;
        };
        let task = task.clone();
        self.callback_runner.run(move || {
            if let Err(error) = callback() {
                tracing::warn!(task.name = %task, %error, "the arguments of a call cannot be deserialized, so its callback is not called");
            }
        });
    }

    fn subscribe(&mut self, channels: Vec<ChannelName>) {
        self.subscription = self.notifier.as_ref().map(|notifier| notifier.subscribe(channels));
    }
}

impl<R: Runtime> Role for ProducerRole<R> {
    type Command = ProducerCommand;

    fn set_clock(&mut self, wall: WallClock, now: Moment) {
        self.feed(Input::Clock(wall), now);
    }

    fn handle(&mut self, command: ProducerCommand, now: Moment) {
        match command {
            ProducerCommand::Input(input) => self.feed(input, now),
            ProducerCommand::Calls(calls) => {
                self.listeners.reserve(calls.len());
                for (call, progress) in calls {
                    self.listen(&call, progress);
                    self.calls.push(call);
                    if self.calls.len() == CALLS_TOGETHER {
                        self.feed_calls(now);
                    }
                }
            }
            ProducerCommand::WaitingCalls(calls) => {
                self.listeners.reserve(calls.len());
                let calls = calls.into_iter().map(|(call, progress)| {
                    self.listen(&call, progress);
                    call
                });
                let calls = calls.collect();
                self.feed(Input::WaitingCalls(calls), now);
            }
            ProducerCommand::Dropped(id) => {
                let listener = self.listeners.remove(&id);
                if listener.is_some_and(|listener| listener.reply.has_handle()) {
                    self.feed(Input::Forget(id), now);
                }
            }
        }
    }

    fn size(command: &ProducerCommand) -> usize {
        match command {
            ProducerCommand::Input(Input::Notice { payload, .. }) => payload.len(),
            _ => 0,
        }
    }

    fn tick(&mut self, now: Moment) {
        self.events.tick(now);
        self.feed(Input::Tick, now);
    }

    fn execute_outputs(&mut self) -> Next {
        loop {
            match self.machine.poll_output() {
                Output::Queue(id, op) => self.operations.start(id, op),
                Output::Subscribe(channels) => self.subscribe(channels),
                Output::Sent(id, result) => self.sent(id, result),
                Output::Result { id, task, outcome, args } => {
                    self.run_callback(&task, args, &outcome);
                    self.deliver_result(id, outcome);
                }
                Output::Released { id, release } => self.released(id, release),
                Output::Event(event) => self.events.emit(event),
                Output::Wait(deadline) => {
                    let deadline = deadline.map(|deadline| deadline.at);
                    return Next::Wait(self.events.next_wake(deadline));
                }
                Output::Finished => {
                    self.events.end();
                    return Next::Finished;
                }
            }
        }
    }

    fn answer_questions(&mut self, context: &mut Context<'_>) {
        self.machine.answer_questions(context);
    }

    fn poll_in_flight(&mut self, context: &mut Context<'_>) -> Poll<ProducerCommand> {
        if let Poll::Ready((id, result)) = self.operations.poll_reply(context) {
            return Poll::Ready(ProducerCommand::Input(Input::Queue(id, result)));
        }
        let Some(subscription) = &mut self.subscription else { return Poll::Pending };
        subscription.poll_next_unpin(context).map(|event| {
            let fault = NotifyFault::new(NotifyFaultKind::ConnectionLost);
            ProducerCommand::Input(match event.unwrap_or(SubscriptionEvent::Lost(fault)) {
                SubscriptionEvent::Subscribed => {
                    self.status.subscribed();
                    Input::Subscribed
                }
                SubscriptionEvent::Notice { channel, payload } => {
                    Input::Notice { channel, payload }
                }
                SubscriptionEvent::Lost(fault) => {
                    self.status.subscription_lost();
                    self.subscription = None;
                    Input::SubscriptionLost(fault)
                }
            })
        })
    }
}

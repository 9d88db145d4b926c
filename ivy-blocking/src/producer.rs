//! The producer's role: sends calls, and brings results back.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use ivy_proto::producer::{Call, Input, Output, Reply};
use ivy_proto::task::{Callbacks, TaskOutcome};
use ivy_proto::wire::RawJson;
use ivy_proto::{ChannelName, Moment, TaskId, TaskName, producer};

use crate::backend::{Heard, Notifier, Queue, Subscription};
use crate::clock::Clock;
use crate::driver::{Next, Operations, Role, pump, taken};
use crate::events::EventSink;
use crate::handle::Progress;
use crate::threads::{Threads, spawn};

/// How long a producer that nobody holds any more may take to send what waits.
const LAST_SENDS: Duration = Duration::from_secs(10);
/// How many callbacks run at a time.
const MOST_CALLBACKS: usize = 16;

/// The way to a running producer. When the last one is dropped, what waits is still sent, and then
/// it ends.
pub(crate) struct Producer {
    mailbox: Sender<Mail>,
}

/// What is sent to a producer.
#[derive(Debug)]
pub(crate) enum Mail {
    Input(Input),
    /// Calls, each with those who follow it.
    Calls(Vec<(Call, Progress)>),
    /// Nobody follows this call any more.
    Dropped(TaskId),
    /// The subscription has heard one more thing.
    News,
}

impl Producer {
    /// Starts a producer in a thread of its own.
    pub(crate) fn start(machine: producer::Producer, world: World) -> Self {
        let (mailbox, receiver) = mpsc::channel();
        let clock = world.clock;
        let role = ProducerRole {
            machine,
            operations: Operations::new(world.queue),
            notifier: world.notifier,
            subscription: None,
            followed: HashMap::new(),
            callbacks: world.callbacks,
            callback_threads: Threads::new("ivy-callback", MOST_CALLBACKS),
            events: world.events,
            mailbox: mailbox.clone(),
        };
        if let Err(error) = spawn("ivy-producer", move || pump(role, &receiver, clock)) {
            // Every call will be told that ivy has stopped.
            tracing::error!(%error, "the producer's thread cannot be started");
        }
        Producer { mailbox }
    }

    /// Sends mail. It is lost if the producer has ended, and with it all that waits for an answer.
    pub(crate) fn post(&self, mail: Mail) {
        let _ = self.mailbox.send(mail);
    }
}

/// What a producer works with.
pub(crate) struct World {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) notifier: Option<Arc<dyn Notifier>>,
    pub(crate) callbacks: Callbacks,
    pub(crate) events: EventSink,
    pub(crate) clock: Clock,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Producer")
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.post(Mail::Input(Input::Drain { limit: LAST_SENDS }));
    }
}

struct ProducerRole {
    machine: producer::Producer,
    operations: Operations,
    notifier: Option<Arc<dyn Notifier>>,
    subscription: Option<Subscription>,
    followed: HashMap<TaskId, Follower>,
    callbacks: Callbacks,
    callback_threads: Threads,
    events: EventSink,
    mailbox: Sender<Mail>,
}

/// Who follows a call.
struct Follower {
    progress: Progress,
    reply: Reply,
}

impl ProducerRole {
    fn feed(&mut self, input: Input, now: Moment) {
        taken("producer", self.machine.handle_input(input, now));
    }

    fn tell(&self, id: TaskId, tell: impl FnOnce(&Progress)) {
        if let Some(follower) = self.followed.get(&id) {
            tell(&follower.progress);
        }
    }

    fn resume(&self, task: &TaskName, args: Option<RawJson>, outcome: &TaskOutcome) {
        let Some(callback) = args.and_then(|args| self.callbacks.ready(task, args, outcome)) else {
            return;
        };
        let task = task.clone();
        // In another thread, since it may take long, or panic.
        self.callback_threads.run(move || {
            if let Err(error) = callback() {
                tracing::warn!(task.name = %task, %error, "the arguments of a call cannot be read back, so its callback is not called");
            }
        });
    }

    fn subscribe(&mut self, channels: Vec<ChannelName>) {
        self.subscription = self.notifier.as_ref().map(|notifier| {
            let mailbox = self.mailbox.clone();
            let news = move || {
                let _ = mailbox.send(Mail::News);
            };
            notifier.subscribe(channels, Box::new(news))
        });
    }

    fn listen(&mut self, now: Moment) {
        // Mail of an earlier subscription may find nothing here.
        let heard = self.subscription.as_ref().and_then(Subscription::next);
        let Some(heard) = heard else { return };
        let input = match heard {
            Heard::Subscribed => Input::Subscribed,
            Heard::Notice { channel, payload } => Input::Notice { channel, payload },
            Heard::Lost(fault) => {
                self.subscription = None;
                Input::SubscriptionLost(fault)
            }
        };
        self.feed(input, now);
    }
}

impl Role for ProducerRole {
    type Mail = Mail;

    fn handle(&mut self, mail: Mail, now: Moment) {
        match mail {
            Mail::Input(input) => {
                if let Input::Queue(id, _) = &input {
                    self.operations.ended(*id);
                }
                self.feed(input, now);
            }
            Mail::Calls(calls) => {
                let (calls, followers): (Vec<_>, Vec<_>) = calls
                    .into_iter()
                    .map(|(call, progress)| {
                        let follower = Follower { progress, reply: call.reply };
                        let id = call.id;
                        (call, (id, follower))
                    })
                    .unzip();
                self.followed.extend(followers);
                self.feed(Input::Calls(calls), now);
            }
            Mail::Dropped(id) => {
                // The result of a call with a callback is wanted with or without its handle.
                let follower = self.followed.remove(&id);
                if follower.is_some_and(|follower| follower.reply == Reply::Handle) {
                    self.feed(Input::Forget(id), now);
                }
            }
            Mail::News => self.listen(now),
        }
    }

    fn tick(&mut self, now: Moment) {
        self.feed(Input::Tick, now);
    }

    fn carry_out(&mut self) -> Next {
        loop {
            match self.machine.poll_output() {
                Output::Queue(id, op) => {
                    let mailbox = self.mailbox.clone();
                    self.operations.start(id, op, move |answer| {
                        let _ = mailbox.send(Mail::Input(Input::Queue(id, answer)));
                    });
                }
                Output::Subscribe(channels) => self.subscribe(channels),
                Output::Sent(id, result) => self.tell(id, |call| call.sent(result.map(|_| ()))),
                Output::Resumed { id, task, outcome, args } => {
                    self.resume(&task, args, &outcome);
                    self.tell(id, |call| call.resumed(outcome));
                }
                // Who waits has a clock too.
                Output::TimedOut(_) => {}
                Output::Event(event) => self.events.emit(event),
                Output::Wait(deadline) => return Next::Wait(deadline.map(|deadline| deadline.at)),
                Output::Finished => return Next::Finished,
            }
        }
    }
}

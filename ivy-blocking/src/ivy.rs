//! The entrance: calls, workers, administration and events over one queue and one notifier.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ivy_proto::event::TaskRef;
use ivy_proto::producer::{self, Call, ProducerConfig, Reply};
use ivy_proto::task::{CallOptions, Callbacks, FromArgs, Task, ToArgs};
use ivy_proto::wire::Codec;
use ivy_proto::worker::WorkerConfig;
use ivy_proto::{Cause, ChannelName, TaskId};
use serde::de::DeserializeOwned;

use crate::admin::Admin;
use crate::backend::{Notifier, Queue};
use crate::builder::IvyBuilder;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::events::{EventSink, Events};
use crate::handle::{Handle, Listener};
use crate::producer::{Mail, Producer, World};
use crate::random::random;
use crate::worker_builder::WorkerBuilder;

/// A queue and a notifier, to call tasks and to run them. Cheap to clone.
///
/// It is made without starting a thread and without opening a connection. What it needs is started
/// by the first call or worker, and ends when nobody holds the [`Ivy`], a clone of it, a handle or a
/// worker any more and what was called is sent.
#[derive(Clone)]
pub struct Ivy {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    producer_config: ProducerConfig,
    seed: [u8; 32],
    events: EventSink,
    callbacks: Callbacks,
    producer: OnceLock<Arc<Producer>>,
}

/// What an [`Ivy`] is made of.
pub(crate) struct Parts {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) notifier: Option<Arc<dyn Notifier>>,
    pub(crate) codec: Codec,
    pub(crate) channel: ChannelName,
    pub(crate) node_compatible: bool,
    pub(crate) clock: Clock,
}

impl Ivy {
    /// Uses the queue at this URL (see [`IvyBuilder::queue_url`]), and takes everything else from
    /// the environment.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the URL or something in the environment cannot be
    /// used.
    pub fn connect(queue_url: &str) -> Result<Self> {
        Ivy::builder().queue_url(queue_url).build()
    }

    /// Takes everything from the environment:
    ///
    /// * the queue from `IVY_QUEUE_URL`, or a token and project from where IronMQ's clients look
    ///   for them: `IRON_MQ_TOKEN` and the like, `iron.json`, `~/.iron.json`;
    /// * the notifier from `IVY_NOTIFIER_URL` or `REDIS_URL`;
    /// * the channel from `IVY_NOTIFICATION_CHANNEL_NAME`;
    /// * the encryption password from `MESSAGES_ENCRYPTION_KEY`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if something cannot be used, or there is no queue.
    pub fn from_env() -> Result<Self> {
        Ivy::builder().build()
    }

    /// Says in parts what is to be used.
    pub fn builder() -> IvyBuilder {
        IvyBuilder::default()
    }

    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let Parts { queue, notifier, codec, channel, node_compatible, .. } = &parts;
        let mut producer_config = ProducerConfig::new(queue.capabilities(), codec.clone())
            .with_node_compatible(*node_compatible);
        if notifier.is_some() {
            let with = producer_config.with_notifier(channel.clone());
            producer_config = with.map_err(Error::config)?;
        }
        let shared = Shared {
            parts,
            producer_config,
            seed: random()?,
            events: EventSink::new(),
            callbacks: Callbacks::default(),
            producer: OnceLock::new(),
        };
        Ok(Ivy { shared: Arc::new(shared) })
    }

    /// Calls a task, and gives a handle that waits for its result. Returns when the queue has
    /// accepted the task.
    ///
    /// # Errors
    /// Whatever keeps the task from being sent: see [`ErrorKind`](crate::ErrorKind).
    pub fn call<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Handle<Output>> {
        self.call_with(task, args, CallOptions::new())
    }

    /// Calls a task, as [`call`](Ivy::call) does it, in a way of its own.
    ///
    /// # Errors
    /// As [`call`](Ivy::call); also if an option is out of its range.
    pub fn call_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<Handle<Output>> {
        let call = self.prepare(task, &args, &options, Reply::Handle)?;
        drop(args);
        Ok(Handle::new(self.sent(call)?))
    }

    /// Calls a task once for each of these arguments. The calls travel together, so this is much
    /// faster than one after the other. The results are in the order of the arguments.
    pub fn call_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<Handle<Output>>> {
        let options = CallOptions::new();
        let (mut calls, mut prepared) = (Vec::new(), Vec::new());
        for args in args {
            let call = self.prepare(task, &args, &options, Reply::Handle);
            prepared.push(call.map(|call| calls.push(call)));
        }
        let mut listeners = self.schedule(calls).into_iter();
        let mut handles = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            handles.push(match prepared.map(|()| listeners.next()) {
                Ok(Some(listener)) => listener.sent().map(Handle::new),
                Ok(None) => Err(Error::from(Cause::Stopped)),
                Err(error) => Err(error),
            });
        }
        handles
    }

    /// Sends a task and forgets it: no result comes back, except to a callback of
    /// [`on_result`](Ivy::on_result). Returns when the queue has accepted the task.
    ///
    /// # Errors
    /// Whatever keeps the task from being sent: see [`ErrorKind`](crate::ErrorKind).
    pub fn send<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<TaskId> {
        self.send_with(task, args, CallOptions::new())
    }

    /// Sends a task, as [`send`](Ivy::send) does it, in a way of its own.
    ///
    /// # Errors
    /// As [`send`](Ivy::send); also if an option is out of its range.
    pub fn send_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<TaskId> {
        let call = self.prepare(task, &args, &options, Reply::None)?;
        Ok(self.sent(call)?.task().id)
    }

    /// Calls this function with the arguments and the result of every task of this name that is
    /// called or sent from now on, by this [`Ivy`] and its clones. A later function of the same
    /// task takes the place of an earlier one.
    ///
    /// The functions run in threads of their own, in no promised order.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the task cannot be used as it is written.
    pub fn on_result<Args, Output>(
        &self,
        task: &Task<Args, Output>,
        callback: impl Fn(Args, Result<Output>) + Send + Sync + 'static,
    ) -> Result<()>
    where
        Args: FromArgs + 'static,
        Output: DeserializeOwned + 'static,
    {
        let callback = move |args, result: Result<_, Cause>| {
            callback(args, result.map_err(Error::from));
        };
        self.shared.callbacks.insert(task, callback).map_err(Error::config)
    }

    /// Says what a worker serves, and starts it.
    pub fn worker(&self) -> WorkerBuilder {
        let Parts { queue, notifier, codec, channel, .. } = &self.shared.parts;
        let mut config = WorkerConfig::new(queue.capabilities(), codec.clone());
        if notifier.is_some() {
            config = config.with_notifier(channel.clone());
        }
        WorkerBuilder::new(self.clone(), config)
    }

    /// Looks at queues, and empties them.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.queue(), self.shared.parts.codec.clone())
    }

    /// What happens from now on, here and in the workers of this [`Ivy`] and its clones.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.events.watch()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.parts.clock
    }

    pub(crate) fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.shared.parts.queue)
    }

    pub(crate) fn notifier(&self) -> Option<Arc<dyn Notifier>> {
        self.shared.parts.notifier.clone()
    }

    pub(crate) fn sink(&self) -> &EventSink {
        &self.shared.events
    }

    /// Turns a call into what the producer takes.
    fn prepare<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: &Args,
        options: &CallOptions,
        reply: Reply,
    ) -> Result<Call> {
        let id = TaskId::from_random(random()?);
        let mut call = task.to_call(id, args, options, reply).map_err(Cause::from)?;
        if self.shared.callbacks.handles(&call.task) {
            call.reply = Reply::Callback;
        }
        Ok(call)
    }

    /// Hands calls to the producer.
    fn schedule(&self, calls: Vec<Call>) -> Vec<Listener> {
        let producer = self.producer();
        let (listeners, calls) = calls
            .into_iter()
            .map(|call| {
                let (id, name, queue) = (call.id, call.task.clone(), call.queue.clone());
                let task = TaskRef { id, name, queue };
                let (listener, progress) = Listener::new(task, Arc::clone(producer));
                (listener, (call, progress))
            })
            .unzip();
        producer.post(Mail::Calls(calls));
        listeners
    }

    fn sent(&self, call: Call) -> Result<Listener> {
        match self.schedule(vec![call]).pop() {
            Some(listener) => listener.sent(),
            None => Err(Error::from(Cause::Stopped)),
        }
    }

    /// The producer, which the first call starts.
    fn producer(&self) -> &Arc<Producer> {
        self.shared.producer.get_or_init(|| {
            let Shared { seed, callbacks, events, .. } = &*self.shared;
            let config = self.shared.producer_config.clone();
            let machine = producer::Producer::new(config, *seed, self.clock().wall());
            Arc::new(Producer::start(
                machine,
                World {
                    queue: self.queue(),
                    notifier: self.notifier(),
                    callbacks: callbacks.clone(),
                    events: events.clone(),
                    clock: self.clock(),
                },
            ))
        })
    }
}

impl fmt::Debug for Ivy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { queue, notifier, .. } = &self.shared.parts;
        f.debug_struct("Ivy").field("queue", queue).field("notifier", notifier).finish()
    }
}

#[cfg(test)]
mod tests;

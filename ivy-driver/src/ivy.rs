//! [`Ivy`]: calls, workers, administration and events over one queue and one notifier.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ivy_proto::backend::{Notifier, Queue};
use ivy_proto::config::{KeysetFile, Sources};
use ivy_proto::event::TaskRef;
use ivy_proto::metrics::Backends;
use ivy_proto::producer::{self, Call, ProducerConfig, ReplyTo};
use ivy_proto::queue::Capabilities;
use ivy_proto::task::{CallOptions, Callbacks, FromArgs, InvalidCall, NamedTask, Task, ToArgs};
use ivy_proto::wire::{Codec, RawJson};
use ivy_proto::worker::WorkerConfig;
use ivy_proto::{Cause, ChannelName, TaskId};
use serde::de::DeserializeOwned;

use crate::admin::Admin;
use crate::call_changes::CallWatch;
use crate::call_listener::CallListener;
use crate::call_progress::{CallProgress, Until};
use crate::clock::Clock;
use crate::environment::environment;
use crate::error::Error;
use crate::events::{EventSink, Events};
use crate::fork_check::ForkCheck;
use crate::handler_waits::HandlerWaits;
use crate::identity::identity;
use crate::memory::Memory;
use crate::metrics::Meters;
use crate::nudge::{Nudges, NudgingQueue};
use crate::producer::{Producer, ProducerCommand, ProducerResources};
use crate::random::{TaskIds, random};
use crate::runtime::Runtime;
use crate::sending::Sending;
use crate::served_queues::ServedQueues;
use crate::trace::Tracer;

/// Calls and runs tasks over a queue and a notifier. Cheap to clone.
///
/// Creating one opens no connection and starts nothing. The first call or worker starts what it
/// needs: in the current tokio runtime, for as long as that runtime lives; on async-std's threads,
/// whichever executor the caller uses; or in threads of its own. It stops when all clones of the
/// [`Ivy`], all its handles and all its workers are dropped and all calls are sent.
///
/// An `Ivy` belongs to the process that first uses it. A process may create one and fork before
/// that: each child then has a producer, a reply channel and connections of its own. In a child
/// forked after the first use, calls fail with [`Stopped`](crate::ErrorKind::Stopped).
pub struct Ivy<R> {
    shared: Arc<Shared<R>>,
    /// The waits of the handler that this [`Ivy`] was passed to.
    waits: Option<HandlerWaits>,
}

struct Shared<R> {
    parts: Parts<R>,
    capabilities: Capabilities,
    producer_config: ProducerConfig,
    fork_check: Arc<ForkCheck>,
    ids: TaskIds,
    callbacks: Callbacks,
    nudges: Nudges,
    meters: Meters,
    producer: OnceLock<Arc<Producer>>,
}

/// The parts of an [`Ivy`].
pub(crate) struct Parts<R> {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) notifier: Option<Arc<dyn Notifier>>,
    pub(crate) codec: Codec,
    pub(crate) keyset_file: Option<KeysetFile>,
    pub(crate) channel: ChannelName,
    pub(crate) node_compatible: bool,
    pub(crate) node_peers: bool,
    /// How long a call may wait to be sent, unless it sets a limit itself.
    pub(crate) within: Option<Duration>,
    /// The names of the backends.
    pub(crate) backends: Backends,
    pub(crate) addresses: Addresses,
    pub(crate) tracer: Tracer,
    /// The memory of the queue, if it is in memory.
    pub(crate) memory: Option<Memory<R>>,
    pub(crate) clock: Clock<R>,
    pub(crate) events: EventSink,
    pub(crate) sources: Sources,
}

/// Where the servers are: URLs without credentials, as far as the backends say so.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) queue: Option<String>,
    pub(crate) notifier: Option<String>,
}

impl<R: Runtime> Ivy<R> {
    pub(crate) fn new(mut parts: Parts<R>) -> Result<Self, Error<R>> {
        let nudges = Nudges::default();
        let capabilities = parts.queue.capabilities();
        capabilities.check().map_err(Error::config)?;
        if capabilities.long_poll.is_zero() {
            parts.queue = Arc::new(NudgingQueue::new(parts.queue, nudges.clone()));
        }
        let Parts { notifier, codec, channel, node_compatible, node_peers, within, .. } = &parts;
        let mut producer_config = ProducerConfig::new(capabilities.clone(), codec.clone())
            .with_node_compatible(*node_compatible)
            .with_node_peers(*node_peers)
            .with_within(*within);
        if notifier.is_some() {
            let configured = producer_config.with_notifier(channel.clone());
            producer_config = configured.map_err(Error::config)?;
        }
        let meters = Meters::new(parts.backends);
        let shared = Shared {
            parts,
            capabilities,
            producer_config,
            fork_check: Arc::default(),
            ids: TaskIds::default(),
            callbacks: Callbacks::default(),
            nudges,
            meters,
            producer: OnceLock::new(),
        };
        Ok(Ivy { shared: Arc::new(shared), waits: None })
    }

    /// Calls a task and returns the listener of the call.
    ///
    /// The listener does not keep the arguments: a caller may wait for many calls at once.
    pub(crate) fn begin<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: &Args,
        options: &CallOptions,
        until: Until,
    ) -> Result<Sending<R>, Error<R>> {
        let producer = self.producer()?;
        let call = self.prepare(task, args, options, until)?;
        Ok(self.post(producer, call, until))
    }

    /// Calls a task by name, as [`begin`](Ivy::begin) does.
    pub(crate) fn begin_by_name(
        &self,
        task: &NamedTask,
        args: RawJson,
        options: &CallOptions,
        until: Until,
    ) -> Result<Sending<R>, Error<R>> {
        let producer = self.producer()?;
        let id = self.shared.ids.next()?;
        let call = task.to_call(id, args, options, until.reply());
        let call = self.with_callback(call.map_err(|why| invalid_call(id, options, why))?, until);
        Ok(self.post(producer, call, until))
    }

    /// Passes a call to the producer.
    fn post(&self, producer: &Arc<Producer>, mut call: Call, until: Until) -> Sending<R> {
        let span = self.tracer().send(&mut call);
        let (listener, call) = listen(producer, self.waits(), call, until, None);
        producer.post(ProducerCommand::Calls(vec![call]));
        Sending::new(listener, span)
    }

    /// Calls `function` with the arguments and the result of every task of this name that is called
    /// or sent from now on by this [`Ivy`] and its clones. A later callback for the same task
    /// replaces an earlier one.
    ///
    /// Callbacks run concurrently and in no particular order: as tasks of their own, or in threads
    /// of their own.
    ///
    /// A result may be lost. If results of more than 100,000 tasks are pending, the oldest one
    /// without a waiting handle is dropped and an [event](ivy_proto::event::Event::CallbackEvicted)
    /// reports it.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the definition of the task is invalid.
    pub fn on_result<Args, Output>(
        &self,
        task: &Task<Args, Output>,
        callback: impl Fn(Args, Result<Output, Error<R>>) + Send + Sync + 'static,
    ) -> Result<(), Error<R>>
    where
        Args: FromArgs + 'static,
        Output: DeserializeOwned + 'static,
    {
        let callback = move |args, result: Result<_, Cause>| {
            callback(args, result.map_err(Error::from));
        };
        self.shared.callbacks.insert(task, callback).map_err(Error::config)
    }

    /// Peeks into queues, lists, creates, clears and sweeps them.
    #[must_use]
    pub fn admin(&self) -> Admin<R> {
        let Shared { parts, fork_check, .. } = &*self.shared;
        Admin::new(self.queue(), parts.codec.clone(), Arc::clone(fork_check), self.clock())
    }

    /// The events from now on, of this [`Ivy`], its clones and their workers.
    #[must_use]
    pub fn events(&self) -> Events<R> {
        self.shared.parts.events.watch()
    }

    /// Reads the keyset file named by `IVY_KEYSET` again and applies its keys to this [`Ivy`], all
    /// clones and workers, from the next message on. It reads one file and blocks on nothing else.
    ///
    /// A program that passed its own [`Keyring`](ivy_proto::wire::crypto::Keyring) replaces the
    /// keys there.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the keyset did not come from a file, or the file is
    /// invalid. The old keys then remain in use.
    pub fn reload_keyset(&self) -> Result<(), Error<R>> {
        let Some(file) = &self.shared.parts.keyset_file else {
            let error = "no keyset file to reload: IVY_KEYSET does not name one";
            return Err(Error::config(error));
        };
        environment(|environment| file.reload(environment)).map_err(Error::config)
    }

    /// Where the parts of its configuration come from.
    #[must_use]
    pub fn sources(&self) -> Sources {
        self.shared.parts.sources
    }

    /// Where the queue's server is, for display: a URL without credentials. `None` if the backend does
    /// not say so.
    #[must_use]
    pub fn queue_address(&self) -> Option<&str> {
        self.shared.parts.addresses.queue.as_deref()
    }

    /// Where the notifier's server is, for display: a URL without credentials. `None` if the backend
    /// does not say so, or there is no notifier.
    #[must_use]
    pub fn notifier_address(&self) -> Option<&str> {
        self.shared.parts.addresses.notifier.as_deref()
    }

    /// The notification channel that all producers share, and the prefix of the reply channels.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.shared.parts.channel
    }

    /// The initial configuration of its workers.
    pub(crate) fn worker_config(&self) -> WorkerConfig {
        let Shared { parts, capabilities, .. } = &*self.shared;
        let Parts { notifier, codec, channel, backends, addresses, tracer, .. } = parts;
        let config = WorkerConfig::new(capabilities.clone(), codec.clone())
            .with_queue_server(addresses.queue.as_deref().unwrap_or(backends.queue))
            .with_trace_relation(tracer.relation());
        match notifier {
            Some(_) => config.with_notifier(channel.clone()).with_presence(identity::<R>()),
            None => config,
        }
    }

    /// The queue, for operations that ivy itself does not offer, and for tests of a backend.
    #[must_use]
    pub fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.shared.parts.queue)
    }

    /// The notifier, if there is one.
    #[must_use]
    pub fn notifier(&self) -> Option<Arc<dyn Notifier>> {
        self.shared.parts.notifier.clone()
    }

    /// The same [`Ivy`] for a handler, whose worker tracks what the handler waits for.
    pub(crate) fn of_handler(self, waits: HandlerWaits) -> Self {
        Ivy { waits: Some(waits), ..self }
    }

    /// Claims it for this process.
    pub(crate) fn check_process(&self) -> Result<(), Cause> {
        self.shared.fork_check.claim()
    }

    pub(crate) fn clock(&self) -> Clock<R> {
        self.shared.parts.clock
    }

    pub(crate) fn codec(&self) -> &Codec {
        &self.shared.parts.codec
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.shared.parts.tracer
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    pub(crate) fn nudges(&self) -> &Nudges {
        &self.shared.nudges
    }

    /// Who serves the queues, if they are in memory. Call it in the runtime that uses this
    /// [`Ivy`].
    pub(crate) fn served(&self) -> Option<ServedQueues> {
        self.shared.parts.memory.as_ref().map(Memory::served)
    }

    pub(crate) fn sink(&self) -> &EventSink {
        &self.shared.parts.events
    }

    /// Converts a call into the producer's form.
    pub(crate) fn prepare<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: &Args,
        options: &CallOptions,
        until: Until,
    ) -> Result<Call, Error<R>> {
        let id = self.shared.ids.next()?;
        let call = task.to_call(id, args, options, until.reply());
        Ok(self.with_callback(call.map_err(|why| invalid_call(id, options, why))?, until))
    }

    /// Passes the result of a call to the callback of its task as well, if there is one.
    fn with_callback(&self, mut call: Call, until: Until) -> Call {
        if self.shared.callbacks.handles(&call.task) {
            call.reply = match until {
                Until::Sent => ReplyTo::Callback,
                Until::Result => ReplyTo::HandleAndCallback,
            };
        }
        call
    }

    /// The waits of the calling handler, if the caller is one.
    pub(crate) fn waits(&self) -> Option<HandlerWaits> {
        self.waits.clone().or_else(HandlerWaits::current)
    }

    /// The producer, started by the first call.
    pub(crate) fn producer(&self) -> Result<&Arc<Producer>, Cause> {
        let Shared { parts, producer_config, fork_check, callbacks, producer, .. } = &*self.shared;
        fork_check.claim()?;
        if let Some(producer) = producer.get() {
            return Ok(producer);
        }
        // Seeded per process, so that processes forked before have different reply channels.
        let seed = random()?;
        Ok(producer.get_or_init(|| {
            let wall = self.clock().wall();
            let machine = producer::Producer::new(producer_config.clone(), seed, wall);
            Arc::new(Producer::start(
                machine,
                ProducerResources {
                    queue: self.queue(),
                    notifier: self.notifier(),
                    callbacks: callbacks.clone(),
                    events: parts.events.clone(),
                    meters: self.shared.meters.clone(),
                    served: self.served(),
                    clock: self.clock(),
                },
            ))
        }))
    }
}

/// Creates the listener of a call.
pub(crate) fn listen<R: Runtime>(
    producer: &Arc<Producer>,
    waits: Option<HandlerWaits>,
    call: Call,
    until: Until,
    watch: Option<CallWatch>,
) -> (CallListener<R>, (Call, CallProgress)) {
    let (id, name, queue) = (call.task_id(), call.task.clone(), call.queue.clone());
    let task = TaskRef { id, name, queue };
    let (call_listener, progress) =
        CallListener::new(call.id, task, Arc::clone(producer), waits, until, watch);
    (call_listener, (call, progress))
}

impl<R> Clone for Ivy<R> {
    fn clone(&self) -> Self {
        Ivy { shared: Arc::clone(&self.shared), waits: self.waits.clone() }
    }
}

impl<R> fmt::Debug for Ivy<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { queue, notifier, .. } = &self.shared.parts;
        f.debug_struct("Ivy").field("queue", queue).field("notifier", notifier).finish()
    }
}

/// The error of a call that is invalid.
fn invalid_call<R: Runtime>(id: TaskId, options: &CallOptions, why: InvalidCall) -> Error<R> {
    let id = options.chosen_id().unwrap_or(id);
    match why {
        InvalidCall::Args { task: name, queue, why } => {
            Error::from(Cause::from(why)).about(&TaskRef { id, name, queue })
        }
        other => Error::from(Cause::from(other)),
    }
}

#[cfg(test)]
mod tests;

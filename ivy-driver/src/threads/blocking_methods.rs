//! The blocking counterparts of the asynchronous methods.

use std::time::{Duration, Instant};

use event_listener::Listener;
use ivy_proto::admin::Peeked;
use ivy_proto::check::CheckReport;
use ivy_proto::event::Event;
use ivy_proto::health::WorkerHealth;
use ivy_proto::metrics::Snapshot;
use ivy_proto::presence::Heard;
use ivy_proto::queue::{QueueInfo, QueueSettings};
use ivy_proto::task::{
    BlockingHandler, BlockingNext, CallOptions, Done, FromArgs, NamedTask, Task, TaskSpec, ToArgs,
};
use ivy_proto::wire::RawJson;
use ivy_proto::{MessageId, QueueName, TaskError, TaskId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Threads, block_on};
use crate::admin::Admin;
use crate::call_progress::Until;
use crate::context::Ctx;
use crate::error::Error;
use crate::events::Events;
use crate::handle::Handle;
use crate::ivy::Ivy;
use crate::runtime::Clients;
use crate::sweep::{RunningSweep, SweepStep};
use crate::test_worker::{TestFailure, TestWorker};
use crate::worker::Worker;
use crate::worker_builder::WorkerBuilder;
use crate::worker_watch::WorkerWatch;

impl<C: Clients> Ivy<Threads<C>> {
    /// Calls a task and returns a handle that waits for its result. Returns when the queue has
    /// accepted the task.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind) for what can prevent a task from being sent.
    pub fn call<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Handle<Threads<C>, Output>, Error<Threads<C>>> {
        self.call_with(task, args, CallOptions::new())
    }

    /// Calls a task as [`call`](Ivy::call) does, with options.
    ///
    /// # Errors
    /// As [`call`](Ivy::call); also if an option is invalid.
    pub fn call_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<Handle<Threads<C>, Output>, Error<Threads<C>>> {
        let sending = self.begin(task, &args, &options, Until::Result)?;
        drop((args, options));
        Ok(Handle::new(block_on(sending.sent())?))
    }

    /// Sends a task without waiting for its result: only callbacks of [`on_result`](Ivy::on_result)
    /// receive it. Returns when the queue has accepted the task.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind) for what can prevent a task from being sent.
    pub fn send<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<TaskId, Error<Threads<C>>> {
        self.send_with(task, args, CallOptions::new())
    }

    /// Sends a task as [`send`](Ivy::send) does, with options.
    ///
    /// # Errors
    /// As [`send`](Ivy::send); also if an option is invalid.
    pub fn send_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<TaskId, Error<Threads<C>>> {
        let sending = self.begin(task, &args, &options, Until::Sent)?;
        drop((args, options));
        Ok(block_on(sending.sent())?.task().id)
    }

    /// Calls a task of which only the name is known, as [`call_with`](Ivy::call_with) does.
    ///
    /// # Errors
    /// As [`call_with`](Ivy::call_with); also if the arguments are not an array.
    pub fn call_by_name(
        &self,
        task: &NamedTask,
        args: RawJson,
        options: &CallOptions,
    ) -> Result<Handle<Threads<C>, RawJson>, Error<Threads<C>>> {
        let sending = self.begin_by_name(task, args, options, Until::Result)?;
        Ok(Handle::new(block_on(sending.sent())?))
    }

    /// Sends a task of which only the name is known, as [`send_with`](Ivy::send_with) does. Returns
    /// the ids of the task and of its message.
    ///
    /// # Errors
    /// As [`send_with`](Ivy::send_with); also if the arguments are not an array.
    pub fn send_by_name(
        &self,
        task: &NamedTask,
        args: RawJson,
        options: &CallOptions,
    ) -> Result<(TaskId, MessageId), Error<Threads<C>>> {
        let sending = self.begin_by_name(task, args, options, Until::Sent)?;
        let (listener, message) = block_on(sending.posted())?;
        Ok((listener.task().id, message))
    }
}

impl<C: Clients> Ivy<Threads<C>> {
    /// What this [`Ivy`], its clones and all their workers have counted so far, including workers that
    /// have ended. Write it for Prometheus with
    /// [`write_openmetrics`](Snapshot::write_openmetrics).
    ///
    /// A worker whose thread is blocked for a second is represented by its last known state.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        block_on(self.meters().read::<Threads<C>>())
    }

    /// Checks that the queue's server and the notifier are reached and accept the credentials, and that
    /// what the keys seal can be opened: for a readiness probe, and for the start of a program.
    /// Queue and notifier have `limit` each, at the same time.
    ///
    /// It is cheap and changes nothing. The queue is asked for one that need not exist, and no message
    /// is posted or reserved. The notifier carries one small publication to a channel that nobody else
    /// listens to. What cannot be checked, such as a queue of a kind that answers no such request, is
    /// reported as [`NotChecked`](ivy_proto::check::Checked::NotChecked) and is no error.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue), [`NotifierUnavailable`](crate::ErrorKind::NotifierUnavailable)
    /// or, for keys, [`Config`](crate::ErrorKind::Config), by the first part that fails. The text
    /// names all parts that fail, and [`check_report`](Error::check_report) returns what was found.
    pub fn check(&self, limit: Duration) -> Result<CheckReport, Error<Threads<C>>> {
        block_on(self.check_parts(limit))
    }

    /// Listens for this long and returns the workers that were heard: all those of this notification
    /// channel that publish their presence, wherever they run. A worker publishes at most 15 s after
    /// the listening began, so 16 s or more hear all of them.
    ///
    /// Hearing nobody is not an error, and does not mean that there is no worker: see
    /// [`WorkerWatch`].
    ///
    /// # Errors
    /// [`NoNotifier`](crate::ErrorKind::NoNotifier) without a notifier;
    /// [`NotifierUnavailable`](crate::ErrorKind::NotifierUnavailable) if it could not be reached in
    /// that time.
    pub fn workers(&self, duration: Duration) -> Result<Heard, Error<Threads<C>>> {
        block_on(self.worker_watch()?.hear(duration))
    }

    /// Prepares to listen for workers repeatedly. What was heard is remembered, so that rates are
    /// known from the second record of each worker on.
    ///
    /// # Errors
    /// [`NoNotifier`](crate::ErrorKind::NoNotifier) without a notifier.
    pub fn watch_workers(&self) -> Result<WorkerWatch<Threads<C>>, Error<Threads<C>>> {
        self.worker_watch()
    }
}

impl<C: Clients> WorkerWatch<Threads<C>> {
    /// Listens for this long, and returns what was heard since the watch was created. Workers that
    /// were silent for ten minutes are forgotten. Between two calls the subscription stays; as many
    /// as 1,024 records may wait to be read.
    ///
    /// # Errors
    /// [`NotifierUnavailable`](crate::ErrorKind::NotifierUnavailable) if the notifier could not be
    /// reached so far.
    pub fn listen(&mut self, duration: Duration) -> Result<Heard, Error<Threads<C>>> {
        block_on(self.hear(duration))
    }
}

impl<C: Clients, Output: DeserializeOwned> Handle<Threads<C>, Output> {
    /// Waits for the task's result, for `timeout` at most, in any thread. Several threads may wait
    /// at the same time; each receives the result.
    ///
    /// The result can be waited for again, also after [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); in a handler,
    /// [`Draining`](crate::ErrorKind::Draining) once its worker drains; and if the task
    /// [`Failed`](crate::ErrorKind::Failed) permanently, its result is [too
    /// large](crate::ErrorKind::ResultTooLarge) or [not of type
    /// `Output`](crate::ErrorKind::BadResult), or the producer's thread [has
    /// ended](crate::ErrorKind::Stopped).
    pub fn result(&self, timeout: Duration) -> Result<Output, Error<Threads<C>>> {
        block_on(self.wait(timeout))
    }
}

impl<C: Clients> WorkerBuilder<Threads<C>> {
    /// Registers the handler of a task, given as a [`Task`] or by name alone. A task registered by
    /// name is reserved from this worker's [`queue`](WorkerBuilder::queue).
    ///
    /// The handler is a function or closure that takes the task's arguments as owned values,
    /// preceded by a [`Ctx`] if it wants one, and before that by up to four
    /// [`State`](ivy_proto::task::State)s of the worker. It runs in a thread of the worker and may block. If a
    /// handler panics, the attempt fails, and the error contains the panic's text.
    pub fn register<Args, Output, Marker>(
        self,
        task: impl TaskSpec<Args, Output>,
        handler: impl BlockingHandler<Ctx<Threads<C>>, Args, Output, Marker>,
    ) -> Self
    where
        Args: FromArgs,
        Output: Serialize,
    {
        self.handler(|handlers| handlers.registry.register(task, handler))
    }

    /// Adds a layer around the handlers of all tasks: code that runs before and after them, in
    /// their thread, their span and within their time limit. The first layer is the outermost.
    ///
    /// A layer is a closure that calls [`BlockingNext::run`], or returns an error instead, and the
    /// handler does not run. It receives the [`Ctx`] of the handler, which is cheap to clone. If a
    /// layer panics, the attempt fails as if the handler had panicked.
    pub fn layer(
        self,
        layer: impl Fn(BlockingNext<Ctx<Threads<C>>>, Ctx<Threads<C>>) -> Result<Done, TaskError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.handler(|handlers| {
            handlers.registry.layer(layer);
            Ok(())
        })
    }

    /// Starts the worker in threads of its own.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a name or number is invalid, a task is registered
    /// twice or by name without a queue, no task is registered, a handler takes a
    /// [`State`](ivy_proto::task::State) that the worker does not have, or no thread can be started.
    pub fn start(self) -> Result<Worker<Threads<C>>, Error<Threads<C>>> {
        self.run()
    }
}

impl<C: Clients> TestWorker<Threads<C>> {
    /// Registers the handler of a task, as [`WorkerBuilder::register`] does.
    #[must_use]
    pub fn register<Args, Output, Marker>(
        self,
        task: impl TaskSpec<Args, Output>,
        handler: impl BlockingHandler<Ctx<Threads<C>>, Args, Output, Marker>,
    ) -> Self
    where
        Args: FromArgs,
        Output: Serialize,
    {
        self.with(|worker| worker.register(task, handler))
    }

    /// Runs the handler of this task once, with these arguments, and returns its result.
    ///
    /// # Errors
    /// A [`TestFailure`] with what the handler returned instead, and what a worker does next.
    pub fn run<Args: ToArgs, Output: DeserializeOwned>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Output, TestFailure> {
        block_on(self.deliver(task, &args))
    }
}

impl<C: Clients> Worker<Threads<C>> {
    /// Stops the worker gracefully: it reserves no more messages, waits until its handlers have
    /// returned, settles their messages, publishes their results and releases the messages it has
    /// not started. After `limit`, the remaining handlers are cancelled and their messages released
    /// too; handlers that do not check whether they are [cancelled](Ctx::cancelled) run on without
    /// effect.
    ///
    /// Several threads may call it, and it may be called again.
    pub fn drain(&self, limit: Duration) {
        if let Some(ended) = self.begin_drain(limit) {
            ended.wait_deadline(None);
        }
    }

    /// How the worker is: what it does, how its queues answer, and what fails. Its text is for
    /// people; [`is_live`](WorkerHealth::is_live) and [`is_ready`](WorkerHealth::is_ready) are what
    /// probes ask, for a program that serves them itself. [`WorkerBuilder::health`] serves them over
    /// HTTP.
    ///
    /// A worker whose loop does not answer within half a second is represented by its last answer.
    #[must_use]
    pub fn health(&self) -> WorkerHealth {
        block_on(self.read_health())
    }
}

impl<C: Clients> Admin<Threads<C>> {
    /// Returns the next `count` messages of a physical queue, 1 to 100, without reserving them.
    /// Reserved and delayed messages are not included.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist; [`Config`](crate::ErrorKind::Config) if its name or the count is invalid.
    pub fn peek(&self, queue: &str, count: usize) -> Result<Vec<Peeked>, Error<Threads<C>>> {
        block_on(self.messages(queue, count))
    }

    /// Returns one message of a physical queue, which may be reserved or delayed, without reserving
    /// it.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request, or has
    /// no such message.
    pub fn get(&self, queue: &str, message: &MessageId) -> Result<Peeked, Error<Threads<C>>> {
        block_on(self.message(queue, message))
    }

    /// Returns the next `count` messages, 1 to 100, of each of these physical queues, in order. A few
    /// requests are in flight at a time.
    pub fn peek_each(
        &self,
        queues: &[QueueName],
        count: usize,
    ) -> Vec<Result<Vec<Peeked>, Error<Threads<C>>>> {
        block_on(self.all_messages(queues, count))
    }

    /// Creates a physical queue with the server's own settings, unless it exists. Queues are created
    /// by their first message as well.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be reached or refuses the
    /// request.
    pub fn create(&self, queue: &str) -> Result<QueueInfo, Error<Threads<C>>> {
        block_on(self.make(queue))
    }

    /// Changes settings of a physical queue. Those that are not specified stay as they are. Some
    /// servers create a queue that does not exist.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be reached, refuses the
    /// request, or has no settings: then the fault's kind is
    /// [`Unsupported`](ivy_proto::queue::FaultKind::Unsupported).
    pub fn update(
        &self,
        queue: &str,
        settings: QueueSettings,
    ) -> Result<QueueInfo, Error<Threads<C>>> {
        block_on(self.change_settings(queue, settings))
    }

    /// Deletes a physical queue with all its messages, including reserved ones.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist.
    pub fn delete(&self, queue: &str) -> Result<(), Error<Threads<C>>> {
        block_on(self.remove(queue))
    }

    /// Deletes all messages of a physical queue, including reserved ones.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist.
    pub fn clear(&self, queue: &str) -> Result<(), Error<Threads<C>>> {
        block_on(self.delete_all(queue))
    }

    /// Returns the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist.
    pub fn info(&self, queue: &str) -> Result<QueueInfo, Error<Threads<C>>> {
        block_on(self.settings(queue))
    }

    /// Returns the settings and sizes of each of these physical queues, in order. A few requests are
    /// in flight at a time.
    pub fn info_each(&self, queues: &[QueueName]) -> Vec<Result<QueueInfo, Error<Threads<C>>>> {
        block_on(self.all_settings(queues))
    }

    /// Lists the physical queues whose names begin with `prefix`, in order; all of them if it is
    /// empty.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be reached, refuses the
    /// request, or has more than 100,000 such queues.
    pub fn list(&self, prefix: &str) -> Result<Vec<QueueName>, Error<Threads<C>>> {
        block_on(self.names(prefix))
    }
}

/// Waits for the next step; ends after [`Finished`](SweepStep::Finished).
impl<C: Clients> Iterator for RunningSweep<Threads<C>> {
    type Item = SweepStep;

    fn next(&mut self) -> Option<SweepStep> {
        block_on(self.step())
    }
}

impl<C: Clients> Events<Threads<C>> {
    /// Waits for the next event, for `timeout` at most. `None` if there was none, or no more will
    /// come.
    pub fn next_within(&mut self, timeout: Duration) -> Option<Event> {
        // A time out of the clock's range means no limit.
        let until = Instant::now().checked_add(timeout);
        loop {
            match (self.take(), until) {
                (Ok(event), _) => return event,
                (Err(changed), None) => changed.wait(),
                (Err(changed), Some(until)) => {
                    changed.wait_deadline(until)?;
                }
            }
        }
    }
}

/// Waits for the next event; ends once no more will come.
impl<C: Clients> Iterator for Events<Threads<C>> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.next_within(Duration::MAX)
    }
}

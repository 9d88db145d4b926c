//! The methods that wait, as methods that block.

use std::time::{Duration, Instant};

use event_listener::Listener;
use ivy_proto::admin::Peeked;
use ivy_proto::event::Event;
use ivy_proto::queue::QueueInfo;
use ivy_proto::task::{BlockingHandler, CallOptions, FromArgs, Task, TaskSpec, ToArgs};
use ivy_proto::{QueueName, TaskId};
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
use crate::worker::Worker;
use crate::worker_builder::WorkerBuilder;

impl<C: Clients> Ivy<Threads<C>> {
    /// Calls a task, and gives a handle that waits for its result. Returns when the queue has
    /// accepted the task.
    ///
    /// # Errors
    /// Whatever keeps the task from being sent: see [`ErrorKind`](crate::ErrorKind).
    pub fn call<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Handle<Threads<C>, Output>, Error<Threads<C>>> {
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
    ) -> Result<Handle<Threads<C>, Output>, Error<Threads<C>>> {
        let listener = self.begin(task, &args, &options, Until::Result)?;
        drop((args, options));
        Ok(Handle::new(block_on(listener.sent())?))
    }

    /// Calls a task once for each of these arguments. The calls travel together, so this is much
    /// faster than one after the other. The results are in the order of the arguments.
    ///
    /// At most 10,000 calls wait to be sent at a time, and the handles of 100,000 for their results.
    /// Those beyond that are not sent, and fail as [`Full`](crate::ErrorKind::Full).
    #[allow(
        clippy::type_complexity,
        reason = "in an adapter it reads `Vec<Result<Handle<Output>>>`"
    )]
    pub fn call_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<Handle<Threads<C>, Output>, Error<Threads<C>>>> {
        block_on(self.call_each(task, args))
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
    ) -> Result<TaskId, Error<Threads<C>>> {
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
    ) -> Result<TaskId, Error<Threads<C>>> {
        let listener = self.begin(task, &args, &options, Until::Sent)?;
        drop((args, options));
        Ok(block_on(listener.sent())?.task().id)
    }
}

impl<C: Clients, Output: DeserializeOwned> Handle<Threads<C>, Output> {
    /// Waits for the task's result, at most so long, in any thread. Several may wait at a time;
    /// each is given the result.
    ///
    /// It can be waited for again, also after [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); in a handler, [`Draining`](crate::ErrorKind::Draining)
    /// once its worker drains; and if the task
    /// [`Failed`](crate::ErrorKind::Failed) for good, its result is
    /// [too large](crate::ErrorKind::ResultTooLarge) or
    /// [not of type `Output`](crate::ErrorKind::BadResult), or the thread that waits for it
    /// [has ended](crate::ErrorKind::Stopped).
    pub fn result(&self, timeout: Duration) -> Result<Output, Error<Threads<C>>> {
        block_on(self.wait(timeout))
    }
}

impl<C: Clients> WorkerBuilder<Threads<C>> {
    /// Serves a task, named by its [`Task`] or by its name alone. A task that is registered by name
    /// is taken from the [`queue`](WorkerBuilder::queue) given here.
    ///
    /// The handler is a function or closure of the task's arguments, as owned values, with [`Ctx`]
    /// before them if it asks for it. It runs in a thread of the worker, and may block. A handler
    /// that panics has failed, and its caller is told the panic's text.
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

    /// Starts the worker, in threads of its own.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a name or number is wrong, a task is registered
    /// twice or by name without a queue, nothing is registered, or no thread can be started.
    pub fn start(self) -> Result<Worker<Threads<C>>, Error<Threads<C>>> {
        self.run()
    }
}

impl<C: Clients> Worker<Threads<C>> {
    /// Ends the worker: it reserves no more messages, waits until its handlers have returned,
    /// settles their messages, publishes their results and gives back what it has not begun. After
    /// `limit`, handlers that still run are cancelled and their messages given back as well; those
    /// that do not ask whether they are [cancelled](Ctx::cancelled) run on, for nothing.
    ///
    /// It can be called by several threads, and again.
    pub fn drain(&self, limit: Duration) {
        if let Some(ended) = self.start_to_drain(limit) {
            ended.wait_until(None);
        }
    }
}

impl<C: Clients> Admin<Threads<C>> {
    /// Looks at the next messages of a physical queue, 1 to 100, without reserving them. Those
    /// that are reserved or delayed are not seen.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist;
    /// [`Config`](crate::ErrorKind::Config) if its name or the number cannot be one.
    pub fn peek(&self, queue: &str, count: usize) -> Result<Vec<Peeked>, Error<Threads<C>>> {
        block_on(self.messages(queue, count))
    }

    /// Deletes all messages of a physical queue, reserved ones included.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn clear(&self, queue: &str) -> Result<(), Error<Threads<C>>> {
        block_on(self.delete_all(queue))
    }

    /// Tells the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn info(&self, queue: &str) -> Result<QueueInfo, Error<Threads<C>>> {
        block_on(self.settings(queue))
    }

    /// Lists the physical queues whose names begin so, in order; all of them for an empty text.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be asked, or refuses, or has
    /// more than 100,000 that begin so.
    pub fn list(&self, prefix: &str) -> Result<Vec<QueueName>, Error<Threads<C>>> {
        block_on(self.names(prefix))
    }
}

impl<C: Clients> Events<Threads<C>> {
    /// Waits for the next event, at most so long; nothing if none came, or there will be no more.
    pub fn next_within(&mut self, timeout: Duration) -> Option<Event> {
        // A time that no clock reaches is for ever.
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

/// Waits for the next event; ends once there will be no more.
impl<C: Clients> Iterator for Events<Threads<C>> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.next_within(Duration::MAX)
    }
}

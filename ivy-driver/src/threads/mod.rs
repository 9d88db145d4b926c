//! The runtime of blocking programs: futures are internal, and run in the threads that wake them or
//! in threads of their own.

mod background;
mod block_on;
mod blocking_methods;
mod cancellation_token;
mod pool;
mod sleep_timers;
mod woken_futures;

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use ivy_proto::task::{BlockingRegistry, RegisterError, States, TaskSettings};
use ivy_proto::wire::RawJson;
use ivy_proto::worker::JobOutcome;
use ivy_proto::{TaskError, TaskName};

use crate::context::Ctx;
use crate::handlers::{Adapter, HandlerCompletion, Handlers};
use crate::runtime::{Callbacks, Clients, HttpClient, Net, Runtime};
use crate::tls::Tls;
use background::in_background;
use pool::ThreadPool;
use sleep_timers::Sleep;

pub(crate) use block_on::block_on;
pub use cancellation_token::BlockingToken;
pub use pool::spawn;
pub use woken_futures::run_woken_by;

/// How many callbacks run at the same time.
const MAX_CALLBACKS: usize = 16;

/// A runtime of threads, with the clients `C`. The methods of its [`Ivy`](crate::Ivy) block.
pub struct Threads<C>(PhantomData<fn() -> C>);

impl<C> fmt::Debug for Threads<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Threads")
    }
}

impl<C: Clients> Net for Threads<C> {
    type Tcp = C::Tcp;
    type Listener = C::Listener;

    fn resolve(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send {
        C::resolve(host, port)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<C::Tcp>> + Send {
        C::connect(address)
    }

    fn listen(socket: TcpListener) -> io::Result<C::Listener> {
        C::listen(socket)
    }

    fn accept(listener: &C::Listener) -> impl Future<Output = io::Result<C::Tcp>> + Send {
        C::accept(listener)
    }
}

impl<C: Clients> Clients for Threads<C> {
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        C::http(tls)
    }
}

impl<C: Clients> Runtime for Threads<C> {
    type CancellationToken = BlockingToken;
    type Callbacks = CallbackThreads;

    const NAME: &'static str = "threads";

    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send {
        Sleep::new(until)
    }

    fn spawn(
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        in_background(name, future)
    }

    fn cancel(token: &BlockingToken) {
        token.cancel();
    }

    fn is_cancelled(token: &BlockingToken) -> bool {
        token.is_cancelled()
    }
}

impl<C: Clients> Adapter for Threads<C> {
    type Handlers = ThreadHandlers<C>;
}

/// Handlers that are plain functions, and the threads that they run in.
pub struct ThreadHandlers<C: Clients> {
    registry: BlockingRegistry<Ctx<Threads<C>>>,
    threads: ThreadPool,
}

impl<C: Clients> Handlers<Threads<C>> for ThreadHandlers<C> {
    fn tasks(&self) -> impl Iterator<Item = (&TaskName, Option<&TaskSettings>)> {
        self.registry.tasks()
    }

    fn set_states(&mut self, states: States) -> Result<(), RegisterError> {
        self.registry.set_states(states)
    }

    /// A cancelled handler that does not return keeps its thread, so the machine's limit alone does
    /// not limit the threads.
    fn set_concurrency(&mut self, handlers: usize) {
        self.threads = ThreadPool::new("ivy-handler", handlers);
    }

    fn run(&self, ctx: Ctx<Threads<C>>, args: RawJson, completion: HandlerCompletion) {
        let (task, span) = (ctx.task_name().clone(), ctx.span().clone());
        let waits = ctx.waits().clone();
        let handler = self.registry.job(&task, ctx, args);
        let work = move || {
            span.in_scope(|| match handler {
                Some(handler) => handler(),
                None => {
                    let error = TaskError::new("the worker has no handler for this task");
                    JobOutcome::Failed(error)
                }
            })
        };
        // Code outside the handler may panic too, such as a subscriber of its span: the handler did
        // run then.
        let work = move || {
            catch_unwind(AssertUnwindSafe(|| waits.within(work)))
                .unwrap_or_else(JobOutcome::from_panic)
        };
        self.threads.run_then(work, |outcome| completion.with(outcome));
    }
}

impl<C: Clients> Default for ThreadHandlers<C> {
    fn default() -> Self {
        let threads = ThreadPool::new("ivy-handler", 1);
        ThreadHandlers { registry: BlockingRegistry::new(), threads }
    }
}

impl<C: Clients> fmt::Debug for ThreadHandlers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

/// Runs callbacks in threads of their own, up to 16 at the same time.
#[derive(Debug)]
pub struct CallbackThreads(ThreadPool);

impl Callbacks for CallbackThreads {
    fn run(&self, callback: impl FnOnce() + Send + 'static) {
        self.0.run(callback);
    }
}

impl Default for CallbackThreads {
    fn default() -> Self {
        CallbackThreads(ThreadPool::new("ivy-callback", MAX_CALLBACKS))
    }
}

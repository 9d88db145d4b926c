//! Layers of [tower](https://docs.rs/tower) around handlers. Needs the feature `tower`.
//!
//! ```
//! use ivy_tokio::{Ivy, Task, TaskError};
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//!
//! const DOUBLE: Task<(u64,), u64> = Task::new("docs.double").queue("docs");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> ivy_tokio::Result<()> {
//! let ivy = Ivy::connect("memory://")?;
//! // At most two handlers of this worker wait for the same database, each for a second.
//! let limits = ServiceBuilder::new().concurrency_limit(2).timeout(Duration::from_secs(1));
//! let worker = ivy
//!     .worker()
//!     .register(&DOUBLE, |n: u64| async move { Ok::<_, TaskError>(2 * n) })
//!     .layer(ivy_tokio::tower::layer(limits))
//!     .start()
//!     .await?;
//! # let handle = ivy.call(&DOUBLE, (2,)).await?;
//! # assert_eq!(handle.result(Duration::from_secs(5)).await?, 4);
//! # worker.drain(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use ivy_proto::task::NextFuture;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Ctx, Done, Next, TaskError};

/// Converts a layer of tower, or a stack of them, for
/// [`WorkerBuilder::layer`](crate::WorkerBuilder::layer).
///
/// The layer is applied once, and its service is cloned for each task, so clones must share what
/// they limit or count, as those of tower do. Put a buffer around a service that is not `Clone`.
/// While a service is not ready, its task occupies a slot of the worker, and its time limit runs.
///
/// An error of a service is an error of the handler: a [`TaskError`] stays as it is, any other one
/// is a failed attempt that is retried if there are retries left. A [`Request`] cannot be cloned,
/// so that layers that repeat requests do not fit here; ivy itself retries tasks.
pub fn layer<L>(layer: L) -> impl Fn(Next, Ctx) -> LayerFuture + Send + Sync + 'static
where
    L: Layer<HandlerService>,
    L::Service: Service<Request, Response = Done, Future: Send, Error: Into<BoxError>>,
    L::Service: Clone + Send + 'static,
{
    let service = Mutex::new(layer.layer(HandlerService(())));
    move |next, ctx| {
        let mut service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            poll_fn(|context| service.poll_ready(context)).await.map_err(task_error)?;
            service.call(Request { next, ctx }).await.map_err(task_error)
        })
    }
}

/// The future of a task with layers of tower around it.
pub type LayerFuture = Pin<Box<dyn Future<Output = Result<Done, TaskError>> + Send>>;

/// An error of a service.
type BoxError = Box<dyn Error + Send + Sync>;

fn task_error(error: impl Into<BoxError>) -> TaskError {
    error.into().into()
}

/// A task to run: the request that services receive.
#[derive(Debug)]
pub struct Request {
    next: Next,
    ctx: Ctx,
}

impl Request {
    /// The context of the task's handler.
    #[must_use]
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }
}

/// The innermost service, which runs the handler.
#[derive(Clone)]
pub struct HandlerService(());

impl Service<Request> for HandlerService {
    type Response = Done;
    type Error = TaskError;
    type Future = NextFuture<Ctx>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TaskError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> NextFuture<Ctx> {
        request.next.run(request.ctx)
    }
}

impl fmt::Debug for HandlerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerService")
    }
}

//! A runtime as hyper needs it, without the runtime's type.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};
use hyper::rt::{Executor, Sleep, Timer};

use crate::runtime::Runtime;

/// Runs hyper's own tasks, which serve connections, and wakes it when idle connections are to be
/// closed.
#[derive(Clone, Copy)]
pub(super) struct HyperRuntime {
    spawn: fn(BoxFuture<'static, ()>),
    now: fn() -> Instant,
    sleep_until: fn(Instant) -> BoxFuture<'static, ()>,
}

impl HyperRuntime {
    pub(super) fn of<R: Runtime>() -> Self {
        HyperRuntime {
            spawn: |task| {
                // The request fails when its connection is dropped.
                if let Err(error) = R::spawn("ivy-http", task) {
                    tracing::error!(%error, "cannot serve a connection");
                }
            },
            now: R::now,
            sleep_until: |until| R::sleep_until(until).boxed(),
        }
    }
}

impl Executor<BoxFuture<'static, ()>> for HyperRuntime {
    fn execute(&self, task: BoxFuture<'static, ()>) {
        (self.spawn)(task);
    }
}

impl Timer for HyperRuntime {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeping(Mutex::new((self.sleep_until)(deadline))))
    }

    fn now(&self) -> Instant {
        (self.now)()
    }
}

/// The mutex makes it `Sync`, as hyper requires. It is never locked.
struct Sleeping(Mutex<BoxFuture<'static, ()>>);

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).poll_unpin(context)
    }
}

impl Sleep for Sleeping {}

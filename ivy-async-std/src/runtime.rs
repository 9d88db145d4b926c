//! What hyper needs of a runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Executor, Sleep, Timer};

/// Runs hyper's own tasks: those that serve connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncStdExecutor;

impl<Task: Future<Output = ()> + Send + 'static> Executor<Task> for AsyncStdExecutor {
    fn execute(&self, task: Task) {
        async_std::task::spawn(task);
    }
}

/// Wakes hyper when unused connections are to be closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncStdTimer;

impl Timer for AsyncStdTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeping(Box::pin(async_std::task::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

struct Sleeping(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl Sleep for Sleeping {}

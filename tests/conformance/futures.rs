//! Adapters whose methods are futures, which may be dropped at any time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ivy_proto::task::{Task, ToArgs};
use ivy_test_kit::PATIENCE;
use serde::de::DeserializeOwned;

use crate::harness::Harness;

/// An adapter whose methods are futures. Each method polls its future at most this many times, then
/// drops it, and returns the output if the future was ready by then.
pub(crate) trait Futures: Harness {
    fn call_for<Args: ToArgs + Send, Output: 'static>(
        &self,
        polls: usize,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Option<Result<Self::Handle<Output>, Self::Error>>;

    fn result_for<Output: DeserializeOwned + 'static>(
        polls: usize,
        handle: &Self::Handle<Output>,
        timeout: Duration,
    ) -> Option<Result<Output, Self::Error>>;
}

/// Polls a future this many times, each time when it is woken, and drops it.
pub(crate) fn poll<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    for poll in 1..=polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if poll < polls {
            wait_to_be_woken();
        }
    }
    None
}

fn wait_to_be_woken() {
    let begun = Instant::now();
    thread::park_timeout(PATIENCE);
    assert!(begun.elapsed() < PATIENCE, "the future was not woken");
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

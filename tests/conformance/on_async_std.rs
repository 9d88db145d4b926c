//! `ivy-async-std`, on async-std's own threads.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use async_std::{future, task};
use ivy_proto::event::Event;

use crate::adapter::adapter_of_futures;
use crate::futures::poll;
use crate::harness::AsyncContext;

adapter_of_futures!(ivy_async_std, "async_std");

fn wait<F: Future>(future: F) -> F::Output {
    task::block_on(future)
}

fn forward(mut events: ivy_async_std::Events, to: Sender<Event>) {
    task::spawn(async move {
        while let Some(event) = events.next().await {
            if to.send(event).is_err() {
                return;
            }
        }
    });
}

fn cancelled_within(ctx: &ivy_async_std::Ctx, limit: Duration) -> bool {
    wait(future::timeout(limit, ctx.cancelled().cancelled())).is_ok()
}

impl AsyncContext for ivy_async_std::Ctx {
    fn in_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = thread::Result<T>> + Send {
        task::spawn_blocking(|| catch_unwind(AssertUnwindSafe(work)))
    }
}

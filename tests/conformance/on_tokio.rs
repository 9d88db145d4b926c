//! `ivy-tokio`, on a runtime that the scenarios share.

use std::future::Future;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use ivy_proto::event::Event;

use crate::adapter::adapter_of_futures;
use crate::futures;
use crate::harness::AsyncContext;
use crate::runtime::{runtime, wait};

adapter_of_futures!(ivy_tokio, "tokio");

fn forward(mut events: ivy_tokio::Events, to: Sender<Event>) {
    runtime().spawn(async move {
        while let Some(event) = events.next().await {
            if to.send(event).is_err() {
                return;
            }
        }
    });
}

fn poll<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let _runtime = runtime().enter();
    futures::poll(polls, future)
}

fn cancelled_within(ctx: &ivy_tokio::Ctx, limit: Duration) -> bool {
    wait(async { tokio::time::timeout(limit, ctx.cancelled().cancelled()).await.is_ok() })
}

impl AsyncContext for ivy_tokio::Ctx {
    async fn in_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::Result<T> {
        tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::into_panic)
    }
}

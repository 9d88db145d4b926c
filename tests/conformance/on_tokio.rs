//! `ivy-tokio`, on a runtime that the scenarios share.

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use ivy_proto::event::Event;

use crate::adapter::adapter;
use crate::harness::AsyncContext;
use crate::runtime::{runtime, wait};

adapter!(ivy_tokio, "tokio");

fn forward(mut events: ivy_tokio::Events, to: Sender<Event>) {
    runtime().spawn(async move {
        while let Some(event) = events.next().await {
            if to.send(event).is_err() {
                return;
            }
        }
    });
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

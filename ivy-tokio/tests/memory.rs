//! Producer and worker over the memory backend, as an application uses them, in virtual time.
//! Shared by all adapters, and by those whose methods are futures; the tests below are specific to
//! this one.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
#[path = "../../tests/shared_by_adapters/futures/tests.rs"]
mod futures;
#[path = "../../tests/shared_by_adapters/memory/mod.rs"]
mod memory;
#[path = "../../tests/shared_by_adapters/futures/receiving.rs"]
mod receiving;
#[path = "adapter/time.rs"]
mod time;

use std::time::Duration;

use crate::adapter::{Event, TaskError, wait};
use crate::memory::{SLOW, SOON, doubling, ivy};

#[test]
fn an_idle_worker_drains_within_two_seconds() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    time::sleep(Duration::from_secs(5));
    let begun = time::now();
    wait(worker.drain(SOON));
    let lasted = time::now() - begun;
    assert!(lasted <= Duration::from_secs(2), "{lasted:?}");
}

/// In real time, because the thread really blocks.
#[tokio::test]
async fn a_handler_that_blocks_the_only_thread_causes_a_warning() {
    let ivy = ivy();
    let lease = Duration::from_secs(1);
    let blocks = move || async move {
        // Longer than a renewal may be delayed, and shorter than the lease.
        std::thread::sleep(lease * 19 / 20);
        Ok::<_, TaskError>(())
    };
    let mut events = ivy.events();
    let _worker = ivy.worker().lease(lease).register(&SLOW, blocks).start().await.unwrap();
    ivy.send(&SLOW, ()).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::WokenLate { .. }) {}
}

//! Workers that are paused, drained and dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{DOUBLE, SLOW, SOON, Slow, doubling, ivy, wait_for, worker};
use crate::adapter::event::ReleaseReason;
use crate::adapter::{Ctx, Event, Task, TaskError, handler, wait};
use crate::receiving::{next_event, recv};
use crate::time::{MOMENT, later, now, sleep};

#[test]
fn a_paused_worker_accepts_nothing_until_it_is_resumed() {
    const COUNT: Task<(), u32> = Task::new("test.count").queue("test");
    let ivy = ivy();
    let runs = Arc::new(AtomicU32::new(0));
    let count =
        handler!([runs], |_ctx: Ctx| Ok::<_, TaskError>(runs.fetch_add(1, Ordering::SeqCst) + 1));
    let worker = wait(worker(&ivy).register(&COUNT, count).start()).unwrap();
    assert_eq!(wait(wait(ivy.call(&COUNT, ())).unwrap().result(SOON)).unwrap(), 1);
    worker.pause();
    let handle = wait(ivy.call(&COUNT, ())).unwrap();
    // A poll in flight may still return a message, which is released.
    assert!(wait(handle.result(MOMENT)).is_err());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    worker.resume();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
}

#[test]
fn a_paused_notifier_holds_results_back_and_not_tasks() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    worker.pause_notifier();
    let mut events = worker.events();
    let handle = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. }));
    assert!(wait(handle.result(MOMENT)).is_err());
    worker.resume_notifier();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
}

#[test]
fn a_drained_worker_lets_its_handlers_finish() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy);
    let handle = wait(ivy.call(&SLOW, ())).unwrap();
    recv(&slow.begun);
    let begun = now();
    let end = slow.end.clone();
    later(MOMENT, move || end.try_send(()).unwrap());
    wait(worker.drain(SOON));
    assert!(now() - begun >= MOMENT);
    assert!(slow.has_ended());
    wait(handle.result(SOON)).unwrap();
    wait(worker.drain(SOON));
}

#[test]
fn an_idle_worker_drains_without_waiting_for_its_polls() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap();
    sleep(MOMENT);
    let begun = now();
    wait(worker.drain(SOON));
    // Its poll would wait for 30 s.
    assert!(now() - begun < Duration::from_secs(15), "{:?}", now() - begun);
}

#[test]
fn after_the_limit_of_a_drain_handlers_are_cancelled_and_their_messages_released() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy);
    wait(ivy.send(&SLOW, ())).unwrap();
    recv(&slow.begun);
    let mut events = worker.events();
    let begun = now();
    wait(worker.drain(MOMENT));
    assert!(now() - begun >= MOMENT);
    assert!(!slow.has_ended());
    wait_for(&mut events, |event| {
        matches!(event, Event::Released { reason: ReleaseReason::Drain, .. })
    });
    assert_eq!(wait(ivy.admin().peek("test", 10)).unwrap().len(), 1);
}

#[test]
fn a_dropped_worker_drains_in_the_background() {
    let ivy = ivy();
    let (slow, worker) = Slow::start(&ivy);
    let handle = wait(ivy.call(&SLOW, ())).unwrap();
    recv(&slow.begun);
    drop(worker);
    slow.end.try_send(()).unwrap();
    wait(handle.result(SOON)).unwrap();
    assert!(slow.has_ended());
    let after = wait(ivy.call(&DOUBLE, (1,))).unwrap();
    assert!(wait(after.result(MOMENT)).is_err(), "it accepts no more tasks");
}

#[test]
fn everything_ends_when_its_last_owner_is_dropped() {
    let ivy = ivy();
    let worker = doubling(&ivy);
    let mut events = ivy.events();
    wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap();
    drop((ivy, worker));
    // The stream ends with the last part of ivy that could report an event.
    let count = std::iter::from_fn(|| next_event(&mut events)).count();
    assert!(count > 0);
}

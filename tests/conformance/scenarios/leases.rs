//! Leases: renewed while a handler runs, and lost.

use std::thread;
use std::time::Duration;

use ivy_proto::event::Event;
use ivy_test_kit::{PATIENCE, ProxyFault, RequestKind};

use crate::child;
use crate::fixture::{Fixture, LEASE};
use crate::harness::{Builder, Handle, Harness, Job};
use crate::helpers::{Gate, Journal, eventually};
use crate::runtime::wait;
use crate::tasks::DOUBLE;

/// A task that takes longer than its lease is renewed: no other worker gets it.
pub(crate) fn a_long_task_keeps_its_lease<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let executed = Journal::new();
    let start = || {
        let journal = executed.clone();
        let handler = move |job: Job, (n,)| {
            journal.write(job.is_cancelled_within(LEASE * 5 / 2));
            Ok(2 * n)
        };
        fixture.worker().register(&double, handler).start().unwrap()
    };
    let _workers = [start(), start()];
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    assert_eq!(executed.entries(), [false]);
}

/// However many renewals a server leaves unanswered, none of them delays another.
pub(crate) fn no_request_delays_a_renewal<H: Harness>(fixture: &Fixture<H>) {
    const HANDLERS: usize = 40;
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, (n,)| closed.pass(&job).map(|()| 2 * n);
    for handle in fixture.ivy.call_many(&double, (0..HANDLERS as u64).map(|n| (n,))) {
        handle.unwrap();
    }
    let _held = proxy.hold_responses(RequestKind::Touch);
    let worker = behind.worker().concurrency(HANDLERS).register(&double, handler);
    let _worker = worker.start().unwrap();
    gate.wait_for(HANDLERS);
    eventually("each lease is being renewed", || proxy.seen(RequestKind::Touch) >= HANDLERS);
    gate.open();
}

/// A handler may end while the renewal of its lease is in flight: its message is then deleted with
/// the new receipt.
pub(crate) fn a_task_may_end_while_its_receipt_is_replaced<H: Harness>(fixture: &Fixture<H>) {
    let (behind, proxy) = fixture.behind_proxy();
    let double = fixture.own(DOUBLE);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, (n,)| closed.pass(&job).map(|()| 2 * n);
    let _worker = behind.worker().register(&double, handler).start().unwrap();
    let held = proxy.hold_responses(RequestKind::Touch);
    let handle = behind.ivy.call(&double, (21,)).unwrap();
    eventually("the renewal is in flight", || proxy.seen(RequestKind::Touch) > 0);
    gate.open();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    // A delete with the old receipt would arrive now.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(proxy.seen(RequestKind::Delete), 0);
    drop(held);
    fixture.until_empty();
    assert_eq!(gate.begun(), 1);
}

/// A worker that has lost a lease cancels its handler, ignores the handler's outcome, and leaves
/// the message to its new owner.
pub(crate) fn a_lost_lease_cancels_the_handler_and_deletes_nothing<H: Harness>(
    fixture: &Fixture<H>,
) {
    let (cut_off, proxy) = fixture.behind_proxy();
    proxy.inject(RequestKind::Touch, 1000, ProxyFault::Status(503));
    let double = fixture.own(DOUBLE);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, (n,)| closed.pass(&job).map(|()| 2 * n);
    let mut watch = cut_off.watch();
    let _late = cut_off.worker().register(&double, handler).start().unwrap();
    fixture.ivy.send(&double, (21,)).unwrap();
    gate.wait_for(1);

    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |_, (n,)| {
        journal.write(n);
        Ok(2 * n)
    };
    let _prompt = fixture.worker().register(&double, handler).start().unwrap();
    gate.wait_for_cancelled(1);
    watch.until(|event| matches!(event, Event::LeaseLost { .. }).then_some(()));
    fixture.until_empty();
    assert_eq!(executed.entries(), [21]);
    assert_eq!(proxy.seen(RequestKind::Delete), 0);
}

/// A killed worker costs one lease and no task, and its end does not count as an attempt.
pub(crate) fn a_killed_worker_costs_a_lease_and_no_task<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    let mut child = child::start(fixture);
    assert_eq!(wait(child.line()), child::BEGUN);
    wait(child.kill());
    assert_eq!(fixture.size(fixture.name), 1);

    let attempts = Journal::new();
    let journal = attempts.clone();
    let handler = move |job: Job, (n,)| {
        journal.write(job.attempt);
        Ok(2 * n)
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    assert_eq!(attempts.entries(), [1]);
}

/// When the message of a running task is deleted, its handler is cancelled and its slot becomes
/// free.
pub(crate) fn clearing_a_queue_cancels_running_handlers<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, (n,)| match n {
        0 => closed.pass(&job).map(|()| 0),
        n => Ok(2 * n),
    };
    let _worker = fixture.worker().concurrency(1).register(&double, handler).start().unwrap();
    fixture.ivy.send(&double, (0,)).unwrap();
    gate.wait_for(1);
    fixture.ivy.clear(fixture.name).unwrap();
    gate.wait_for_cancelled(1);
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// Never more handlers run at a time than the worker has slots.
pub(crate) fn slots_are_never_exceeded<H: Harness>(fixture: &Fixture<H>) {
    const SLOTS: usize = 3;
    let double = fixture.own(DOUBLE);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, (n,)| {
        closed.pass(&job)?;
        Ok(2 * n)
    };
    let handles = fixture.ivy.call_many(&double, (0..12).map(|n| (n,)));
    let worker = fixture.worker().concurrency(SLOTS).register(&double, handler);
    let _worker = worker.start().unwrap();
    gate.wait_for(SLOTS);
    // A fourth would start now.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(gate.begun(), SLOTS);
    gate.open();
    for handle in handles {
        handle.unwrap().result(PATIENCE).unwrap();
    }
    assert_eq!(gate.max_concurrent(), SLOTS);
    assert_eq!(gate.begun(), 12);
}

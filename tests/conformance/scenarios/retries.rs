//! Tasks that fail.

use std::collections::BTreeSet;
use std::time::Duration;

use ivy_proto::event::Event;
use ivy_proto::task::{CallOptions, TaskError};
use ivy_proto::wire::DeadLetterReason;
use ivy_proto::{ErrorKind, TaskId};
use ivy_test_kit::PATIENCE;

use crate::fixture::{BACKOFF, Fixture, LEASE};
use crate::harness::{Builder, Failure, Handle, Harness, Job};
use crate::helpers::{EXPECTED_PANIC, Gate, Journal, PanicsOnDrop, eventually_eq};
use crate::tasks::{DOUBLE, DOUBLE_ONCE, FAIL, LIMITED};
use crate::watch::Watch;

/// N retries are N + 1 attempts of one task, each with its number, with delays that may grow up to
/// the longest. Then the task is dead-lettered and its caller gets the error.
pub(crate) fn a_failing_task_is_retried_with_growing_delays<H: Harness>(fixture: &Fixture<H>) {
    let fail = fixture.own(FAIL);
    let mut watch = fixture.watch();
    let attempts: Journal<(TaskId, u32, u32)> = Journal::new();
    let journal = attempts.clone();
    let handler = move |job: Job, ()| {
        journal.write((job.task_id, job.attempt, job.max_attempts));
        Err(TaskError::new("no luck"))
    };
    let _worker = fixture.worker().register(&fail, handler).start().unwrap();
    let handle = fixture.ivy.call(&fail, ()).unwrap();
    let id = handle.id();

    let error = handle.result(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("RetriesExhausted", 3));
    assert!(failure.message.contains("no luck"), "{failure}");
    assert_eq!(attempts.entries(), [(id, 1, 3), (id, 2, 3), (id, 3, 3)]);

    let retries = retries(&mut watch, 2);
    let numbers: Vec<_> = retries.iter().map(|(id, attempt, _)| (*id, *attempt)).collect();
    assert_eq!(numbers, [(id, 2), (id, 3)]);
    for (_, attempt, delay) in retries {
        assert!(delay <= BACKOFF.ceiling(attempt - 2), "{delay:?} before attempt {attempt}");
    }
}

/// A task that fails first and then succeeds is one task to its caller, under one id.
pub(crate) fn a_task_that_recovers_returns_its_result<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let mut watch = fixture.watch();
    let attempts: Journal<TaskId> = Journal::new();
    let journal = attempts.clone();
    let handler = move |job: Job, (n,)| {
        journal.write(job.task_id);
        if job.attempt < 3 { Err(TaskError::new("not yet")) } else { Ok(2 * n) }
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    assert_eq!(attempts.entries(), [handle.id(); 3]);
    let numbers: Vec<_> = retries(&mut watch, 2).iter().map(|(_, attempt, _)| *attempt).collect();
    assert_eq!(numbers, [2, 3]);
}

/// However often the lease is renewed while a handler runs, N retries are N + 1 executions,
/// although IronMQ counts each renewal as a reservation.
pub(crate) fn heartbeats_are_not_counted_as_attempts<H: Harness>(fixture: &Fixture<H>) {
    let fail = fixture.own(FAIL);
    let executed = Journal::new();
    let journal = executed.clone();
    let handler = move |job: Job, ()| {
        journal.write((job.attempt, job.is_cancelled_within(LEASE * 3 / 2)));
        Err(TaskError::new("no luck"))
    };
    let _worker = fixture.worker().register(&fail, handler).start().unwrap();
    let error = fixture.ivy.call(&fail, ()).unwrap().result(PATIENCE).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 3);
    assert_eq!(executed.entries(), [(1, false), (2, false), (3, false)]);
}

/// A fatal error ends the task immediately.
pub(crate) fn a_fatal_error_is_not_retried<H: Harness>(fixture: &Fixture<H>) {
    let fail = fixture.own(FAIL);
    let messages = Journal::new();
    let journal = messages.clone();
    let handler = move |job: Job, ()| {
        journal.write(job.message_id);
        Err(TaskError::fatal("never"))
    };
    let _worker = fixture.worker().register(&fail, handler).start().unwrap();
    let error = fixture.ivy.call(&fail, ()).unwrap().result(PATIENCE).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("Fatal", 1));
    let letters = fixture.dead_letters();
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    assert_eq!(ids, messages.entries());
    assert_eq!(letters[0].reason, DeadLetterReason::Fatal);
}

/// A handler may postpone its task, which then runs again from another message, even if it must not
/// be retried.
pub(crate) fn a_postponed_task_comes_again_without_losing_an_attempt<H: Harness>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE_ONCE);
    let mut watch = fixture.watch();
    let runs = Journal::new();
    let journal = runs.clone();
    let handler = move |job: Job, (n,): (u64,)| {
        journal.write((job.message_id, job.attempt, job.max_attempts));
        match journal.entries().len() {
            3 => Ok(2 * n),
            _ => Err(TaskError::later(Duration::from_millis(20)).with_message("not now")),
        }
    };
    let _worker = fixture.worker().register(&double, handler).start().unwrap();
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    fixture.until_empty();
    let runs = runs.entries();
    assert!(runs.iter().all(|(_, attempt, max)| (*attempt, *max) == (1, 1)), "{runs:?}");
    let messages: BTreeSet<_> = runs.iter().map(|(message, ..)| message.clone()).collect();
    assert_eq!((runs.len(), messages.len()), (3, 3));
    let id = handle.id();
    let postponed = move |event: &Event| match event {
        Event::Postponed { task, count, .. } if task.id == id => Some(*count),
        _ => None,
    };
    eventually_eq(2, || watch.all(postponed).len());
    let mut counts = watch.all(postponed);
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
    assert!(fixture.dead_letters().is_empty());
}

/// A call may allow fewer retries than its task.
pub(crate) fn a_call_may_forbid_retries<H: Harness>(fixture: &Fixture<H>) {
    let fail = fixture.own(FAIL);
    let handler = |_, ()| Err(TaskError::new("no luck"));
    let _worker = fixture.worker().register(&fail, handler).start().unwrap();
    let handle = fixture.ivy.call_with(&fail, (), CallOptions::new().retry(false)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap_err().failure().unwrap().attempts, 1);
}

/// A panic in a handler is a failed attempt and harms neither its worker nor its slot.
pub(crate) fn a_panic_is_a_failed_attempt_and_leaves_its_slot_free<H: Harness>(
    fixture: &Fixture<H>,
) {
    let (fail, double) = (fixture.own(FAIL), fixture.own(DOUBLE));
    let _worker = fixture
        .worker()
        .concurrency(1)
        .register(&fail, |_, ()| std::panic::panic_any(EXPECTED_PANIC))
        .register(&double, |_, (n,)| Ok(2 * n))
        .start()
        .unwrap();
    let error = fixture.ivy.call(&fail, ()).unwrap().result(PATIENCE).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.attempts, 3);
    assert!(failure.message.contains(EXPECTED_PANIC), "{failure}");
    assert_eq!(fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap(), 2);
}

/// A panic whose payload panics when it is dropped is reported like any other.
pub(crate) fn a_panic_that_panics_again_is_reported_as_a_panic<H: Harness>(fixture: &Fixture<H>) {
    let (fail, double) = (fixture.own(FAIL), fixture.own(DOUBLE));
    let _worker = fixture
        .worker()
        .concurrency(1)
        .register(&fail, |_, ()| std::panic::panic_any(PanicsOnDrop))
        .register(&double, |_, (n,)| Ok(2 * n))
        .start()
        .unwrap();
    let error = fixture.ivy.call(&fail, ()).unwrap().result(PATIENCE).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.attempts, 3);
    assert!(failure.message.contains("panicked"), "{failure}");
    assert_eq!(fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap(), 2);
}

/// A handler that exceeds its task's time limit is cancelled, and its attempt has failed.
pub(crate) fn a_handler_over_its_time_limit_is_stopped<H: Harness>(fixture: &Fixture<H>) {
    let limited = fixture.own(LIMITED);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, ()| closed.pass(&job);
    let _worker = fixture.worker().register(&limited, handler).start().unwrap();
    let error = fixture.ivy.call(&limited, ()).unwrap().result(PATIENCE).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
    gate.wait_for_cancelled(1);
    assert_eq!(gate.begun(), 1);
}

/// Waits until this many retries were reported and returns them by attempt: a quick attempt may end
/// before the queue has confirmed its message, and so before its report.
fn retries(watch: &mut Watch, count: usize) -> Vec<(TaskId, u32, Duration)> {
    let retry = |event: &Event| match event {
        Event::Retried { task, attempt, delay } => Some((task.id, *attempt, *delay)),
        _ => None,
    };
    eventually_eq(count, || watch.all(retry).len());
    let mut retries = watch.all(retry);
    retries.sort_unstable_by_key(|(_, attempt, _)| *attempt);
    retries
}

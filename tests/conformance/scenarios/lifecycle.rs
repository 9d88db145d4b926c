//! Starting, pausing and ending workers.

use std::thread;
use std::time::Duration;

use ivy_proto::ErrorKind;
use ivy_proto::event::{Event, ReleaseReason};
use ivy_test_kit::PATIENCE;

use crate::fixture::Fixture;
use crate::harness::{Builder, Failure, Handle, Harness, Job, Worker};
use crate::helpers::{Gate, Journal};
use crate::tasks::{DOUBLE, QUADRUPLE};

/// How long a test watches that nothing happens.
const WHILE: Duration = Duration::from_millis(500);

/// Two handlers under one name are an error at the start.
pub(crate) fn two_tasks_under_one_name_are_refused<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let worker =
        fixture.worker().register(&double, |_, (n,)| Ok(n)).register(&double, |_, (n,)| Ok(n));
    assert_eq!(worker.start().unwrap_err().kind(), ErrorKind::Config);
}

/// A task may be registered by its name alone, with the queue given separately.
pub(crate) fn a_task_is_registered_by_name<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let handler = |_: Job, (n,): (u64,)| Ok(2 * n);
    let _worker =
        fixture.worker().register(double.name(), handler).queue(fixture.name).start().unwrap();
    assert_eq!(fixture.ivy.call(&double, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

pub(crate) fn a_paused_worker_accepts_nothing_until_it_is_resumed<H: Harness>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE);
    let worker = fixture.doubling(&double);
    fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap();
    worker.pause();
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    assert_eq!(handle.result(WHILE).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(fixture.size(fixture.name), 1);
    worker.resume();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

pub(crate) fn a_paused_notifier_holds_results_back_and_not_tasks<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let mut watch = fixture.watch();
    let worker = fixture.doubling(&double);
    worker.pause_notifier();
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    watch.until(|event| matches!(event, Event::Acknowledged { .. }).then_some(()));
    assert_eq!(handle.result(WHILE).unwrap_err().kind(), ErrorKind::TimedOut);
    worker.resume_notifier();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

/// A drained worker waits for its handlers, settles their messages and publishes their results.
pub(crate) fn drain_waits_for_handlers<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let (gate, ended) = (Gate::default(), Journal::new());
    let (closed, journal) = (gate.clone(), ended.clone());
    let handler = move |job: Job, (n,)| {
        closed.pass(&job)?;
        journal.write("handler");
        Ok(2 * n)
    };
    let worker = fixture.worker().register(&double, handler).start().unwrap();
    let handle = fixture.ivy.call(&double, (21,)).unwrap();
    gate.wait_for(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            worker.drain(PATIENCE);
            ended.write("drain");
        });
        thread::sleep(WHILE);
        gate.open();
    });
    assert_eq!(ended.entries(), ["handler", "drain"]);
    assert_eq!(fixture.size(fixture.name), 0);
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

/// Handlers that a drain stops at its limit, and messages that have not begun, are released
/// immediately and run by another worker. The stopped run does not count as an attempt.
pub(crate) fn tasks_that_a_drain_releases_are_run_by_another_worker<H: Harness>(
    fixture: &Fixture<H>,
) {
    let double = fixture.own(DOUBLE);
    let (gate, attempts) = (Gate::default(), Journal::new());
    let start = || {
        let (closed, journal) = (gate.clone(), attempts.clone());
        let handler = move |job: Job, (n,)| {
            journal.write(job.attempt);
            closed.pass(&job)?;
            Ok(2 * n)
        };
        fixture.worker().concurrency(2).register(&double, handler).start().unwrap()
    };
    let handles = fixture.ivy.call_many(&double, (0..5).map(|n| (n,)));
    let worker = start();
    gate.wait_for(2);
    let mut watch = fixture.watch();
    worker.drain(Duration::from_millis(200));
    gate.wait_for_cancelled(2);
    for _ in 0..2 {
        watch.until(|event| match event {
            Event::Released { reason, delay, .. } => {
                (*reason == ReleaseReason::Drain && delay.is_zero()).then_some(())
            }
            _ => None,
        });
    }
    assert_eq!(fixture.size(fixture.name), 5);
    gate.open();
    let _other = start();
    for (n, handle) in (0..5).zip(handles) {
        assert_eq!(handle.unwrap().result(PATIENCE).unwrap(), 2 * n);
    }
    fixture.until_empty();
    assert_eq!(attempts.entries(), [1; 7]);
}

/// A dropped worker accepts nothing more and lets its handlers finish.
pub(crate) fn a_dropped_worker_lets_its_handlers_finish<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let gate = Gate::default();
    let closed = gate.clone();
    let handler = move |job: Job, (n,)| closed.pass(&job).map(|()| 2 * n);
    let worker = fixture.worker().drain_limit(PATIENCE).register(&double, handler).start().unwrap();
    let begun = fixture.ivy.call(&double, (21,)).unwrap();
    gate.wait_for(1);
    drop(worker);
    let late = fixture.ivy.call(&double, (1,)).unwrap();
    assert_eq!(late.result(WHILE).unwrap_err().kind(), ErrorKind::TimedOut);
    gate.open();
    assert_eq!(begun.result(PATIENCE).unwrap(), 42);
    assert_eq!(gate.begun(), 1);
}

/// Handlers that wait for tasks that only their own worker could run are reported and do not delay
/// its drain. Another worker runs them again, and the attempt does not count.
pub(crate) fn slots_that_wait_for_each_other_are_reported_and_released<H: Harness>(
    fixture: &Fixture<H>,
) {
    let (double, outer) = (fixture.own(DOUBLE), fixture.own(QUADRUPLE));
    let attempts = Journal::new();
    let start = |concurrency| {
        let journal = attempts.clone();
        let handler = move |job: Job, (n,)| {
            journal.write(job.attempt);
            Ok(2 * (job.call)(&double, n)?)
        };
        let worker = fixture.worker().concurrency(concurrency).register(&outer, handler);
        worker.register(&double, |_, (n,)| Ok(2 * n)).start().unwrap()
    };
    let mut watch = fixture.watch();
    let worker = start(1);
    let handle = fixture.ivy.call(&outer, (21,)).unwrap();
    let (slots, waits) = watch.until(|event| match event {
        Event::SlotsWait { slots, waits, .. } => Some((*slots, waits.clone())),
        _ => None,
    });
    assert_eq!((slots, waits[0].task.id), (1, handle.id()));
    assert_eq!(waits[0].waits_for.name.as_str(), double.name());
    // This would take as long if the wait did not end.
    worker.drain(PATIENCE);
    let _other = start(2);
    assert_eq!(handle.result(PATIENCE).unwrap(), 84);
    fixture.until_empty();
    assert_eq!(attempts.entries(), [1, 1]);
}

/// A handler can call tasks itself, on its worker's ivy.
pub(crate) fn a_handler_can_call_another_task<H: Harness>(fixture: &Fixture<H>) {
    let (double, outer) = (fixture.own(DOUBLE), fixture.own(QUADRUPLE));
    let ivy = fixture.ivy.clone();
    let handler = move |_, (n,)| {
        let handle = ivy.call(&double, (n,));
        let result = handle.and_then(|handle| handle.result(PATIENCE));
        Ok(2 * result.map_err(|error| ivy_proto::TaskError::from_error(&error))?)
    };
    let _worker = fixture
        .worker()
        .register(&double, |_, (n,)| Ok(2 * n))
        .register(&outer, handler)
        .start()
        .unwrap();
    assert_eq!(fixture.ivy.call(&outer, (21,)).unwrap().result(PATIENCE).unwrap(), 84);
}

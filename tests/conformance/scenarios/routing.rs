//! Which queue a message goes to, and which message runs first.

use std::sync::{Mutex, mpsc};

use ivy_proto::QueueName;
use ivy_proto::event::Event;
use ivy_proto::task::{CallOptions, TaskError};
use ivy_test_kit::PATIENCE;

use crate::fixture::Fixture;
use crate::harness::{Builder, Handle, Harness, Job};
use crate::helpers::{Gate, Journal, eventually, eventually_eq};
use crate::tasks::DOUBLE;

/// Of the messages that wait for a free slot, the more urgent runs first.
pub(crate) fn the_more_urgent_task_is_run_first<H: Harness>(fixture: &Fixture<H>) {
    const FIRST: u64 = 0;
    const URGENT: u64 = 1;
    const NORMAL: u64 = 2;
    let double = fixture.own(DOUBLE);
    let (gate, executed) = (Gate::default(), Journal::new());
    let (handler_gate, journal) = (gate.clone(), executed.clone());
    let handler = move |job: Job, (n,)| {
        journal.write(n);
        handler_gate.pass(&job).map(|()| 2 * n)
    };
    let worker = fixture.worker().concurrency(1).priorities([9]).register(&double, handler);
    let _worker = worker.start().unwrap();
    let first = fixture.ivy.call(&double, (FIRST,)).unwrap();
    gate.wait_for(1);

    let mut watch = fixture.watch();
    let normal = fixture.ivy.call(&double, (NORMAL,)).unwrap();
    let options = CallOptions::new().priority(9);
    let urgent = fixture.ivy.call_with(&double, (URGENT,), options).unwrap();
    for _ in 0..2 {
        watch.until(|event| matches!(event, Event::MessageRetrieved { .. }).then_some(()));
    }
    gate.open();
    for handle in [first, normal, urgent] {
        handle.result(PATIENCE).unwrap();
    }
    assert_eq!(executed.entries(), [FIRST, URGENT, NORMAL]);
}

/// A priority is served only by workers that are configured with it, or that have a task with it.
pub(crate) fn a_priority_waits_for_a_worker_that_names_it<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let _without = fixture.doubling(&double);
    let options = CallOptions::new().priority(5);
    let handle = fixture.ivy.call_with(&double, (21,), options).unwrap();
    fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap();
    assert_eq!(fixture.size(&format!("{}.p5", fixture.name)), 1);
    let worker = fixture.worker().priorities([5]).register(&double, |_, (n,)| Ok(2 * n));
    let _with = worker.start().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
}

/// A route is served only by workers that are configured with it, for all their tasks.
pub(crate) fn a_route_waits_for_a_worker_that_names_it<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let route = format!("{}.route", fixture.name);
    let _without = fixture.doubling(&double);
    let options = CallOptions::new().route(&route);
    let handle = fixture.ivy.call_with(&double, (21,), options).unwrap();
    fixture.ivy.call(&double, (1,)).unwrap().result(PATIENCE).unwrap();
    assert_eq!(fixture.size(&route), 1);

    let queues = Journal::new();
    let journal = queues.clone();
    let handler = move |job: Job, (n,)| {
        journal.write(job.queue);
        Ok(2 * n)
    };
    let _with = fixture.worker().route(&route).register(&double, handler).start().unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 42);
    assert_eq!(queues.entries()[0].as_str(), route);
}

/// Equally urgent queues with messages for the next free slot get it in proportion to their
/// weights.
pub(crate) fn queues_get_their_shares_by_weight<H: Harness>(fixture: &Fixture<H>) {
    const TURNS: usize = 8;
    let double = fixture.own(DOUBLE);
    let heavy = format!("{}.heavy", fixture.name);
    let mut watch = fixture.watch();
    for n in 0..TURNS as u64 {
        fixture.ivy.send(&double, (n,)).unwrap();
        fixture.ivy.send_with(&double, (n,), CallOptions::new().route(&heavy)).unwrap();
    }
    let (go, turns) = mpsc::channel();
    let (turns, queues) = (Mutex::new(turns), Journal::new());
    let journal = queues.clone();
    let handler = move |job: Job, (n,)| {
        journal.write(job.queue);
        turns.lock().unwrap().recv().map_err(|_| TaskError::new("the scenario is over"))?;
        Ok(2 * n)
    };
    let worker = fixture.worker().concurrency(1).route(&heavy).weight(&heavy, 3);
    let _worker = worker.register(&double, handler).start().unwrap();
    // The first message comes from the queue that replies first, so it is not counted.
    for turn in 1..=TURNS {
        eventually_eq(turn, || queues.len());
        eventually("both queues have a message to start", || {
            let retrieved = watch.all(|event| match event {
                Event::MessageRetrieved { queue, .. } => Some(queue.clone()),
                _ => None,
            });
            let started = queues.entries();
            [fixture.name, &heavy].iter().all(|name| {
                let count = |queues: &[QueueName]| {
                    queues.iter().filter(|queue| queue.as_str() == *name).count()
                };
                count(&retrieved) > count(&started)
            })
        });
        go.send(()).unwrap();
    }
    eventually_eq(TURNS + 1, || queues.len());
    let turns = &queues.entries()[1..];
    assert_eq!(turns.iter().filter(|queue| queue.as_str() == heavy).count(), TURNS * 3 / 4);
}

/// The same when many slots become free at the same time and each queue could fill them alone.
pub(crate) fn queues_get_their_shares_when_slots_are_filled_together<H: Harness>(
    fixture: &Fixture<H>,
) {
    const SLOTS: usize = 4;
    const ROUNDS: usize = 15;
    const STARTS: usize = SLOTS * ROUNDS;
    let double = fixture.own(DOUBLE);
    let heavy = format!("{}.heavy", fixture.name);
    for n in 0..STARTS as u64 {
        fixture.ivy.send(&double, (n,)).unwrap();
        fixture.ivy.send_with(&double, (n,), CallOptions::new().route(&heavy)).unwrap();
    }
    let (go, turns) = mpsc::channel();
    let (turns, queues) = (Mutex::new(turns), Journal::new());
    let journal = queues.clone();
    let handler = move |job: Job, (n,)| {
        journal.write(job.queue);
        turns.lock().unwrap().recv().map_err(|_| TaskError::new("the scenario is over"))?;
        Ok(2 * n)
    };
    let worker = fixture.worker().concurrency(SLOTS).route(&heavy).weight(&heavy, 3);
    let _worker = worker.register(&double, handler).start().unwrap();
    for round in 1..=ROUNDS {
        eventually_eq(SLOTS * round, || queues.len());
        for _ in 0..SLOTS {
            go.send(()).unwrap();
        }
    }
    let of_heavy = queues.entries().iter().take(STARTS).filter(|q| q.as_str() == heavy).count();
    // Up to one round may be in flight when the shares are corrected.
    let exact = STARTS * 3 / 4;
    assert!(of_heavy.abs_diff(exact) <= SLOTS, "{of_heavy} of {STARTS} starts instead of {exact}");
}

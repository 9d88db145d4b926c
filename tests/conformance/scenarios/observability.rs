//! Metrics and presence.

use std::thread;
use std::time::{Duration, Instant};

use ivy_proto::metrics::{Execution, ResultOutcome, SendOutcome, Snapshot, TaskKey};
use ivy_proto::presence::{Heard, HeardWorker, Liveness, WorkerState};
use ivy_proto::task::Task;
use ivy_proto::{QueueName, TaskName};
use ivy_test_kit::PATIENCE;

use crate::fixture::Fixture;
use crate::harness::{Builder, Handle, Harness, Worker, WorkerWatch};
use crate::helpers::eventually_eq;
use crate::tasks::DOUBLE;

/// How long each look at the presence channel lasts.
const LOOK: Duration = Duration::from_millis(200);

fn key(task: &Task<(u64,), u64>, queue: &str) -> TaskKey {
    TaskKey { queue: QueueName::new(queue).unwrap(), task: TaskName::new(task.name()).unwrap() }
}

fn executed(snapshot: &Snapshot, key: &TaskKey) -> u64 {
    snapshot.tasks.get(key).map_or(0, |counts| counts.executed.of(Execution::Ok))
}

fn call<H: Harness>(fixture: &Fixture<H>, task: &Task<(u64,), u64>) {
    assert_eq!(fixture.ivy.call(task, (21,)).unwrap().result(PATIENCE).unwrap(), 42);
}

/// Listens until one worker is as expected.
fn until<H: Harness>(
    watch: &mut H::WorkerWatch,
    expected: impl Fn(&HeardWorker) -> bool,
) -> HeardWorker {
    let begun = Instant::now();
    loop {
        let Heard { workers, .. } = watch.listen(LOOK).unwrap();
        assert!(workers.len() <= 1, "{workers:?}");
        if let Some(worker) = workers.into_iter().find(&expected) {
            return worker;
        }
        assert!(begun.elapsed() < PATIENCE, "no such worker was heard");
    }
}

/// A watch whose subscription is up, before a worker starts.
fn watch<H: Harness>(fixture: &Fixture<H>) -> H::WorkerWatch {
    let mut watch = fixture.ivy.watch_workers().unwrap();
    let begun = Instant::now();
    while watch.listen(LOOK).is_ok_and(|heard| heard.listened.is_zero()) {
        assert!(begun.elapsed() < PATIENCE, "the subscription is not up");
    }
    watch
}

pub(crate) fn calls_and_tasks_are_counted<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let key = key(&double, fixture.name);
    let _worker = fixture.doubling(&double);
    for _ in 0..3 {
        call(fixture, &double);
    }
    eventually_eq(3, || executed(&fixture.ivy.metrics(), &key));
    let snapshot = fixture.ivy.metrics();
    assert_eq!(snapshot.sent[&key].of(SendOutcome::Sent), 3);
    assert_eq!(snapshot.results[&key.task].of(ResultOutcome::Ok).count(), 3);
    assert_eq!((snapshot.tasks[&key].started, snapshot.tasks[&key].wait.count()), (3, 3));
    assert_eq!(snapshot.queues[&key.queue].reserved, 3);
    let mut text = String::new();
    snapshot.write_openmetrics(&mut text).unwrap();
    let line = format!(
        "ivy_tasks_executed_total{{queue=\"{}\",task=\"{}\",outcome=\"ok\"}} 3\n",
        key.queue, key.task
    );
    assert!(text.contains(&line), "{text}");
}

pub(crate) fn counts_of_an_ended_worker_remain<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let key = key(&double, fixture.name);
    for runs in 1..=2 {
        let worker = fixture.doubling(&double);
        call(fixture, &double);
        assert!(fixture.ivy.metrics().slots > 0);
        worker.drain(PATIENCE);
        eventually_eq((runs, 0), || {
            let snapshot = fixture.ivy.metrics();
            (executed(&snapshot, &key), snapshot.slots)
        });
    }
}

pub(crate) fn workers_that_publish_their_presence_are_heard<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let key = key(&double, fixture.name);
    let mut watch = watch(fixture);
    let worker = fixture.worker().concurrency(7).register(&double, |_, (n,)| Ok(2 * n));
    let worker = worker.start().unwrap();
    let first = until::<H>(&mut watch, |_| true).record;
    assert_eq!((first.seq, first.state, first.slots), (1, WorkerState::Running, 7));
    assert_eq!(first.identity.pid, Some(std::process::id()));
    assert_eq!(first.serves(&key.queue), Some(true));
    assert_eq!(first.registers(&key.task), Some(true));
    call(fixture, &double);
    let later = until::<H>(&mut watch, |heard| heard.record.counts.contains_key(&key));
    assert_eq!(later.record.counts[&key].started, 1);
    assert_eq!((later.liveness, later.missed), (Liveness::Alive, 0));
    assert_eq!(later.rates.unwrap().by_task[&key].started, 1);
    worker.pause();
    until::<H>(&mut watch, |heard| heard.record.state == WorkerState::Paused);
}

pub(crate) fn a_worker_that_drains_is_gone<H: Harness>(fixture: &Fixture<H>) {
    let mut watch = watch(fixture);
    let worker = fixture.doubling(&fixture.own(DOUBLE));
    until::<H>(&mut watch, |_| true);
    worker.drain(PATIENCE);
    until::<H>(&mut watch, |heard| heard.liveness == Liveness::Gone);
}

pub(crate) fn a_worker_without_presence_is_not_heard<H: Harness>(fixture: &Fixture<H>) {
    let double = fixture.own(DOUBLE);
    let mut watch = watch(fixture);
    let _worker = fixture.doubling_without_presence(&double);
    call(fixture, &double);
    thread::sleep(LOOK);
    let heard = watch.listen(LOOK).unwrap();
    assert!(heard.workers.is_empty() && !heard.listened.is_zero());
    let heard = fixture.ivy.workers(LOOK).unwrap();
    assert_eq!((heard.workers.len(), heard.ignored), (0, 0));
}

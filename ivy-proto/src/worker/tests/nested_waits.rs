use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Level, ReleaseReason, TaskRef};
use crate::name::{QueueName, TaskName};
use crate::queue::{FaultKind, QueueReply};
use crate::worker::{Input, JobOutcome, Run};

const SECOND: Duration = Duration::from_secs(1);

fn child_on(queue: &str) -> TaskRef {
    TaskRef {
        id: task_id(),
        name: TaskName::new("testpackage.child").unwrap(),
        queue: QueueName::new(queue).unwrap(),
    }
}

fn waits(worker: &mut Scenario, run: &Run, queue: &str) {
    worker.feed(Input::Waits(run.job, child_on(queue)));
}

fn reports(worker: &Scenario) -> usize {
    worker.events.iter().filter(|event| matches!(event, Event::SlotsWait { .. })).count()
}

/// A worker with two slots, each in use by a handler.
fn full() -> (Scenario, [Run; 2]) {
    let mut worker = started_with(config().with_concurrency(2));
    worker.deliver(&[&plain_body(), &plain_body()]);
    let runs = [worker.runs.pop_front().unwrap(), worker.runs.pop_front().unwrap()];
    (worker, runs)
}

#[test]
fn slots_that_all_wait_for_tasks_of_this_worker_are_reported() {
    let (mut worker, runs) = full();
    waits(&mut worker, &runs[0], QUEUE);
    worker.advance(20 * SECOND);
    assert_eq!(reports(&worker), 0, "one slot does not wait");
    waits(&mut worker, &runs[1], QUEUE);
    worker.advance(SECOND * 5 - Duration::from_millis(1));
    assert_eq!(reports(&worker), 0, "other workers may run the awaited tasks");
    worker.advance(Duration::from_millis(1));
    let event = worker.events.iter().find(|event| matches!(event, Event::SlotsWait { .. }));
    let event = event.unwrap();
    assert_eq!(event.level(), Level::Warn);
    let text = event.to_string();
    assert!(text.contains("all 2 slots") && text.contains("concurrency"), "{text}");
    assert!(text.contains("testpackage.factorial") && text.contains("testpackage.child"), "{text}");
}

#[test]
fn a_standstill_is_reported_once_a_minute() {
    let mut worker = started_with(config().with_concurrency(1));
    let run = worker.running(&plain_body());
    waits(&mut worker, &run, QUEUE);
    worker.advance_renewing(150 * SECOND);
    assert_eq!(reports(&worker), 3);
}

#[test]
fn a_resumed_handler_ends_a_standstill() {
    let (mut worker, runs) = full();
    for run in &runs {
        waits(&mut worker, run, QUEUE);
    }
    worker.advance(4 * SECOND);
    worker.feed(Input::Resumes(runs[0].job));
    worker.advance(10 * SECOND);
    waits(&mut worker, &runs[0], QUEUE);
    worker.advance(4 * SECOND);
    assert_eq!(reports(&worker), 0);
    worker.done(&runs[1]);
    worker.advance(10 * SECOND);
    assert_eq!(reports(&worker), 0);
}

#[test]
fn handlers_that_wait_for_tasks_of_other_workers_are_no_standstill() {
    let (mut worker, runs) = full();
    waits(&mut worker, &runs[0], QUEUE);
    waits(&mut worker, &runs[1], "elsewhere");
    worker.advance(20 * SECOND);
    assert_eq!(reports(&worker), 0);
}

#[test]
fn a_drain_ends_waits_and_a_failure_after_that_costs_no_attempt() {
    let (mut worker, runs) = full();
    waits(&mut worker, &runs[0], "elsewhere");
    worker.feed(Input::Drain { limit: 30 * SECOND });
    assert_eq!(worker.interrupted_jobs, [runs[0].job]);
    worker.fail(&runs[0]);
    let (_, delay) = worker.take_release().unwrap();
    assert_eq!(delay, Duration::ZERO);
    assert!(worker.take_post().is_none(), "no next attempt is posted");
    // The other handler did not wait, so its failure is its own.
    worker.fail(&runs[1]);
    assert!(worker.take_post().is_some());
}

#[test]
fn a_wait_that_begins_during_a_drain_is_ended_immediately() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.feed(Input::Drain { limit: 30 * SECOND });
    assert_eq!(worker.interrupted_jobs, []);
    waits(&mut worker, &run, QUEUE);
    worker.feed(Input::Resumes(run.job));
    waits(&mut worker, &run, QUEUE);
    assert_eq!(worker.interrupted_jobs, [run.job], "once");
    worker.end(&run, JobOutcome::Panicked("no result".to_owned()));
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    let released =
        |event: &Event| matches!(event, Event::Released { reason: ReleaseReason::Drain, .. });
    assert!(worker.has_event(released));
}

#[test]
fn a_handler_that_succeeds_without_the_result_has_done_its_task() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    waits(&mut worker, &run, QUEUE);
    worker.feed(Input::Drain { limit: 30 * SECOND });
    worker.done(&run);
    assert!(worker.take_deletes().is_some());
}

#[test]
fn a_wait_after_the_end_of_its_handler_is_ignored() {
    let mut worker = started_with(config().with_concurrency(1));
    let run = worker.running(&plain_body());
    worker.done(&run);
    waits(&mut worker, &run, QUEUE);
    worker.feed(Input::Resumes(run.job));
    waits(&mut worker, &run, QUEUE);
    worker.advance(20 * SECOND);
    worker.feed(Input::Drain { limit: 30 * SECOND });
    assert_eq!((reports(&worker), worker.interrupted_jobs.len()), (0, 0));
    for op in std::mem::take(&mut worker.cancelled_ops) {
        worker.reply_fault(op, FaultKind::ReplyLost);
    }
}

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Level, ReleaseReason};
use crate::metrics::{
    Execution, MOST_TASKS, NoticeOutcome, OTHER, QueueCounts, RequestKind, RequestOutcome,
    Snapshot, TaskCounts, TaskKey,
};
use crate::name::TaskName;
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::queue::{FaultKind, QueueReply};
use crate::task::{TaskError, TaskSettings};
use crate::wire::DeadLetterReason;
use crate::worker::{Input, JobOutcome};

const SECOND: Duration = Duration::from_secs(1);

fn task(snapshot: &Snapshot, name: &str) -> TaskCounts {
    let key = TaskKey { queue: queue(), task: TaskName::new(name).unwrap() };
    snapshot.tasks[&key].clone()
}

impl Scenario {
    fn metrics(&self) -> Snapshot {
        self.worker.metrics(self.now)
    }

    fn counts(&self) -> TaskCounts {
        task(&self.metrics(), TASK)
    }

    fn queue_counts(&self) -> QueueCounts {
        self.metrics().queues[&queue()].clone()
    }
}

/// A body of this attempt, which was due at this Unix time.
fn body_due(unix: Duration, attempt: u32) -> String {
    let due = format!("\"v\":1,\"due\":{},", unix.as_millis());
    our_body(attempt, None).replace("\"v\":1,", &due)
}

#[test]
fn a_task_counts_from_its_delivery_until_it_has_run() {
    let mut worker = started();
    worker.advance(5 * SECOND);
    let run = worker.running(&body_due(UNIX_AT_START + 2 * SECOND, 1));
    worker.advance(3 * SECOND);
    let now = worker.queue_counts();
    assert_eq!((now.reserved, now.held, now.running), (1, 1, 1));
    assert_eq!(now.longest_running, 3 * SECOND);
    worker.done(&run);
    let counts = worker.counts();
    assert_eq!((counts.started, counts.executed.of(Execution::Ok)), (1, 1));
    assert_eq!((counts.wait.sum(), counts.run.sum()), (3 * SECOND, 3 * SECOND));
    worker.advance(SECOND);
    let (op, _) = worker.take_deletes().unwrap();
    worker.reply(op, Ok(QueueReply::all_deleted(1)));
    let now = worker.queue_counts();
    assert_eq!((now.reserved, now.held, now.running), (1, 0, 0));
}

#[test]
fn a_task_that_was_due_in_the_future_has_not_waited() {
    let mut worker = started();
    worker.running(&body_due(UNIX_AT_START + 60 * SECOND, 1));
    assert_eq!((worker.counts().wait.count(), worker.counts().wait.sum()), (1, Duration::ZERO));
}

#[test]
fn only_first_attempts_that_contain_their_time_have_waited() {
    let mut worker = started();
    worker.running(&our_body(1, None));
    assert_eq!(worker.counts().wait.count(), 0, "the message does not contain the time");
    let mut worker = started();
    worker.running(&body_due(UNIX_AT_START, 2));
    assert_eq!(worker.counts().wait.count(), 0, "it is a later attempt");
}

#[test]
fn each_way_in_which_a_handler_ends_is_counted() {
    for (outcome, execution) in [
        (JobOutcome::Failed("no".into()), Execution::Error),
        (JobOutcome::Failed(TaskError::later(SECOND)), Execution::Later),
        (JobOutcome::Panicked("no".into()), Execution::Panic),
        (JobOutcome::BadArgs("no".into()), Execution::BadArgs),
        (JobOutcome::Cancelled, Execution::Cancelled),
        (JobOutcome::ResultTooDeep, Execution::Ok),
    ] {
        let mut worker = started();
        let run = worker.running(&our_body(1, None));
        worker.end(&run, outcome);
        assert_eq!(worker.counts().executed.of(execution), 1, "{execution:?}");
        assert_eq!(worker.counts().executed.total(), 1);
    }
}

#[test]
fn a_handler_that_exceeds_its_time_limit_is_counted_as_such() {
    let settings = TaskSettings { time_limit: Some(SECOND), ..TaskSettings::in_queue(queue()) };
    let mut worker = started_with(config().with_task(TaskName::new(TASK).unwrap(), settings));
    let run = worker.running(&our_body(1, None));
    worker.advance(SECOND);
    worker.end(&run, JobOutcome::Cancelled);
    assert_eq!(worker.counts().executed.of(Execution::TimeLimit), 1);
}

#[test]
fn retries_and_dead_letters_are_counted_when_the_queue_has_accepted_them() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.fail(&run);
    assert_eq!(worker.counts().retried, 0);
    let (op, _) = worker.take_post().unwrap();
    worker.posted(op);
    assert_eq!(worker.counts().retried, 1);

    let mut worker = started();
    let run = worker.running(&our_body(11, None));
    worker.fail(&run);
    assert_eq!(worker.counts().all_dead(), 0);
    let (op, _) = worker.take_post().unwrap();
    worker.posted(op);
    assert_eq!(worker.counts().dead[&DeadLetterReason::RetriesExhausted], 1);
}

#[test]
fn a_message_that_cannot_be_parsed_counts_as_another_task() {
    let mut worker = started();
    worker.deliver(&["{"]);
    let (op, _) = worker.take_post().unwrap();
    worker.posted(op);
    let counts = task(&worker.metrics(), OTHER);
    assert_eq!(counts.dead[&DeadLetterReason::BadJson], 1);
}

#[test]
fn renewed_lost_and_released_messages_are_counted() {
    let mut worker = started();
    worker.running(&our_body(1, None));
    worker.advance(21 * SECOND);
    let (op, _) = worker.take_touch().unwrap();
    assert_eq!(worker.queue_counts().touches, 1);
    worker.reply_fault(op, FaultKind::LeaseLost);
    assert_eq!((worker.queue_counts().leases_lost, worker.counts().leases_lost), (1, 1));
    assert_eq!(worker.queue_counts().running, 1, "the handler has not ended");

    let mut worker = started();
    worker.feed(Input::Pause);
    worker.deliver(&[&our_body(1, None)]);
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    assert_eq!(worker.queue_counts().released[&ReleaseReason::Paused], 1);
}

#[test]
fn notices_are_counted_by_what_became_of_them() {
    for (answer, outcome) in [
        (Ok(1), NoticeOutcome::Heard),
        (Ok(0), NoticeOutcome::Unheard),
        (Err(NotifyFault::new(NotifyFaultKind::ConnectionLost)), NoticeOutcome::Dropped),
    ] {
        let mut worker = started();
        let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
        worker.done(&run);
        let (op, _) = worker.take_publication().unwrap();
        worker.published(op, answer);
        assert_eq!(worker.metrics().notices.of(outcome), 1);
    }
}

#[test]
fn requests_are_timed_by_their_outcome() {
    let mut worker = started();
    let (op, _) = worker.take_poll().unwrap();
    worker.advance(SECOND);
    worker.reply_fault(op, FaultKind::Unreachable);
    let requests = worker.metrics().requests;
    let times = requests[&RequestKind::Reserve].of(RequestOutcome::NotDone);
    assert_eq!((times.count(), times.sum()), (1, SECOND));
    assert_eq!(requests[&RequestKind::Queue].of(RequestOutcome::Ok).count(), 1);
}

#[test]
fn a_worker_of_many_tasks_warns_once_that_some_are_counted_together() {
    let mut many = config();
    for number in 0..MOST_TASKS {
        let name = TaskName::new(&format!("t{number}")).unwrap();
        many = many.with_task(name, TaskSettings::in_queue(queue()));
    }
    let worker = started_at(many, UNIX_AT_START);
    assert!(worker.has_event(|event| *event == Event::TooManyLabels));
    assert_eq!(Event::TooManyLabels.level(), Level::Warn);
    assert!(!started_at(config(), UNIX_AT_START).has_event(|event| *event == Event::TooManyLabels));
}

#[test]
fn a_degraded_queue_is_in_the_snapshot_until_it_recovers() {
    let mut worker = started();
    for _ in 0..3 {
        worker.until_polled();
        let (op, _) = worker.take_poll().unwrap();
        worker.reply_fault(op, FaultKind::Unreachable);
    }
    assert_eq!(worker.metrics().degraded.len(), 1);
    worker.until_polled();
    worker.deliver(&[]);
    assert!(worker.metrics().degraded.is_empty());
}

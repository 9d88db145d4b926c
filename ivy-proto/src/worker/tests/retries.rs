use std::time::Duration;

use super::scenario::*;
use crate::event::Event;
use crate::name::TaskName;
use crate::queue::{FaultKind, QueueOp, QueueReply, Retry};
use crate::retry::Backoff;
use crate::task::{TaskError, TaskSettings, TaskStatus};
use crate::wire::{DeadLetterReason, Envelope};
use crate::worker::{JobOutcome, WorkerConfig};

const NO_TIME: Duration = Duration::ZERO;

fn with_retries(max_retries: u32) -> WorkerConfig {
    let mut settings = TaskSettings::in_queue(queue());
    settings.max_retries = max_retries;
    config().with_task(TaskName::new(TASK).unwrap(), settings)
}

/// Fails each attempt after this time, until the message is dead-lettered.
fn attempts(config: WorkerConfig, body: &str, took: Duration) -> Vec<u32> {
    let mut worker = started_with(config);
    let mut body = body.to_owned();
    let mut attempts = Vec::new();
    loop {
        let run = worker.running(&body);
        worker.advance_renewing(took);
        worker.fail(&run);
        attempts.push(run.attempt);
        let (op, (queue, message)) = worker.take_post().unwrap();
        worker.posted(op);
        worker.advance(Duration::from_millis(50));
        let (op, _) = worker.take_deletes().unwrap();
        worker.reply(op, Ok(QueueReply::all_deleted(1)));
        if queue.as_str().ends_with(".dead") {
            return attempts;
        }
        body = message.body.as_str().to_owned();
    }
}

#[test]
fn n_retries_are_n_plus_one_attempts() {
    assert_eq!(attempts(with_retries(3), &our_body(1, None), NO_TIME), [1, 2, 3, 4]);
}

#[test]
fn renewals_do_not_change_the_number_of_attempts() {
    assert_eq!(attempts(with_retries(2), &plain_body(), Duration::from_secs(120)), [1, 2, 3]);
}

#[test]
fn the_messages_own_limit_takes_precedence() {
    let body = plain_body().replace("{}", "{\"maxRetries\":1}");
    assert_eq!(attempts(with_retries(5), &body, NO_TIME), [1, 2]);
}

#[test]
fn a_task_without_retries_is_run_once() {
    let body = plain_body().replace("{}", "{\"retry\":false}");
    assert_eq!(attempts(with_retries(5), &body, NO_TIME), [1]);
}

#[test]
fn by_default_there_are_ten_retries() {
    assert_eq!(attempts(config(), &plain_body(), NO_TIME).len(), 11);
}

#[test]
fn the_old_message_is_deleted_only_after_its_successor_was_accepted() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.fail(&run);
    let (post, _) = worker.take_post().unwrap();
    worker.advance(Duration::from_secs(5));
    assert!(worker.take_deletes().is_none());
    worker.posted(post);
    worker.advance(Duration::from_millis(50));
    assert!(worker.take_deletes().is_some());
    assert!(worker.has_event(|event| matches!(event, Event::Retried { attempt: 2, .. })));
}

#[test]
fn the_events_report_the_status_at_each_step() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.fail(&run);
    let (post, _) = worker.take_post().unwrap();
    worker.posted(post);
    let run = worker.running(&our_body(2, Some(NOTICE_CHANNEL)));
    worker.done(&run);
    let (op, _) = worker.take_publication().unwrap();
    worker.published(op, Ok(1));
    let reported: Vec<TaskStatus> = worker.events.iter().filter_map(Event::status).collect();
    assert_eq!(reported, [TaskStatus::Errored, TaskStatus::Scheduled, TaskStatus::Successful]);
}

#[test]
fn a_successor_is_the_same_task_with_the_next_attempt() {
    let mut worker = started();
    let counts = "\"due\":5,\"lost\":1,\"later\":2,\"requeued\":3,\"id\"";
    let run = worker.running(&our_body(3, Some(NOTICE_CHANNEL)).replace("\"id\"", counts));
    worker.fail(&run);
    let (_, (queue_name, message)) = worker.take_post().unwrap();
    assert_eq!(queue_name, queue());
    let envelope = Envelope::parse(message.body.as_str()).unwrap();
    let ivy = envelope.options.ivy().unwrap();
    assert_eq!((ivy.id, ivy.attempt), (task_id(), 4));
    assert_eq!((ivy.lost, ivy.later, ivy.requeued), (0, 2, 3));
    let delay = u64::try_from(message.delay.as_millis()).unwrap();
    assert_eq!(ivy.due, Some(1_700_000_000_000 + delay));
    assert_eq!(ivy.reply.as_deref(), Some(NOTICE_CHANNEL));
    assert_eq!(envelope.args.as_str(), "[5]");
}

#[test]
fn a_successor_whose_reply_was_lost_is_posted_again() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.fail(&run);
    let (post, (_, first)) = worker.take_post().unwrap();
    worker.reply_fault(post, FaultKind::ReplyLost);
    worker.advance(Duration::from_secs(1));
    let (_, (_, second)) = worker.take_post().unwrap();
    assert_eq!(first.body, second.body);
}

#[test]
fn a_message_whose_successor_is_refused_is_released_with_the_same_delay() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.fail(&run);
    let (post, (_, message)) = worker.take_post().unwrap();
    worker.reply_fault(post, FaultKind::Refused);
    let (_, delay) = worker.take_release().unwrap();
    assert_eq!(delay, message.delay);
}

#[test]
fn the_delay_grows_with_the_attempts() {
    let delay_at = |attempt: u32| {
        let config = config().with_backoff(Backoff::new(
            Duration::from_secs(1),
            2,
            Duration::from_secs(300),
        ));
        let mut worker = started_with(config);
        let run = worker.running(&our_body(attempt, None));
        worker.fail(&run);
        worker.take_post().unwrap().1.1.delay
    };
    // The same seed draws the same fraction of a growing interval.
    assert!(delay_at(1) <= Duration::from_secs(1));
    assert!(delay_at(8) > delay_at(3), "{:?} {:?}", delay_at(8), delay_at(3));
}

#[test]
fn a_fatal_error_dead_letters_the_task_immediately() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.end(&run, JobOutcome::Failed(TaskError::fatal("out of cheese")));
    let (post, (queue, _)) = worker.take_post().unwrap();
    assert_eq!(queue.as_str(), "testpackage.dead");
    worker.posted(post);
    assert!(worker.has_event(|event| match event {
        Event::DeadLettered { reason, attempts, task: Some(task), detail, .. } =>
            (*reason, *attempts) == (DeadLetterReason::Fatal, 1)
                && task.id == run.id
                && detail == "out of cheese",
        _ => false,
    }));
}

#[test]
fn a_panic_is_a_failed_attempt_and_frees_the_slot() {
    let mut worker = started_with(config().with_concurrency(1));
    let run = worker.running(&our_body(1, None));
    worker.end(&run, JobOutcome::Panicked("index out of bounds".to_owned()));
    assert_eq!(worker.worker.load().running, 0);
    assert!(worker.take_post().is_some());
}

#[test]
fn with_exact_counts_a_failed_task_is_released() {
    let mut config = with_retries(2);
    config.capabilities.retry = Retry::Release;
    let mut worker = started_with(config);
    let body = our_body(1, None);
    for failures in 0..2 {
        worker.deliver_with_exact_counts(&body, failures, 4);
        let run = worker.runs.pop_front().unwrap();
        assert_eq!(run.attempt, failures + 1, "lost deliveries are no attempts");
        worker.fail(&run);
        let release = worker.take(|op| match op {
            QueueOp::Release { failed, .. } => Some(*failed),
            _ => None,
        });
        let (op, counts_as_failed) = release.unwrap();
        assert!(counts_as_failed, "the release counts as a failed attempt");
        worker.reply(op, Ok(QueueReply::Released));
    }
    worker.deliver_with_exact_counts(&body, 2, 0);
    let run = worker.runs.pop_front().unwrap();
    worker.fail(&run);
    let (_, (queue, _)) = worker.take_post().unwrap();
    assert_eq!(queue.as_str(), "testpackage.dead");
}

#[test]
fn a_task_whose_next_attempt_is_too_large_is_dead_lettered_and_not_retried_indefinitely() {
    let body = our_body(1, None);
    let mut config = config();
    config.capabilities.max_body = body.len();
    let mut worker = started_with(config);
    let run = worker.running(&body);
    worker.fail(&run);
    let (post, (queue, _)) = worker.take_post().unwrap();
    assert_eq!(queue.as_str(), "testpackage.dead");
    worker.posted(post);
    assert!(worker.has_event(|event| matches!(
        event,
        Event::DeadLettered { reason: DeadLetterReason::RetriesExhausted, attempts: 1, .. }
    )));
}

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, ReleaseReason};
use crate::misuse::Misuse;
use crate::queue::{Capabilities, FaultKind, QueueReply};
use crate::worker::{CancelReason, Input, JobOutcome, Output, WorkerConfig};

const LIMIT: Duration = Duration::from_secs(30);

fn drain(worker: &mut Scenario) {
    worker.feed(Input::Drain { limit: LIMIT });
}

#[test]
fn an_idle_worker_cancels_its_poll_after_a_second_and_ends() {
    let mut worker = started();
    let (poll, _) = worker.take_poll().unwrap();
    drain(&mut worker);
    worker.advance(Duration::from_secs(1));
    assert_eq!(worker.cancelled_ops, [poll]);
    worker.reply_fault(poll, FaultKind::ReplyLost);
    assert!(worker.finished);
}

#[test]
fn a_poll_that_cannot_lose_a_message_is_cancelled_immediately() {
    let capabilities = Capabilities::broker().with_reserves_taken_back();
    let mut worker = started_with(WorkerConfig { capabilities, ..config() });
    let (poll, _) = worker.take_poll().unwrap();
    drain(&mut worker);
    assert_eq!(worker.cancelled_ops, [poll]);
    worker.reply_fault(poll, FaultKind::ReplyLost);
    assert!(worker.finished);
}

#[test]
fn messages_of_a_late_poll_are_released_immediately() {
    let mut worker = started();
    drain(&mut worker);
    worker.deliver(&[&plain_body()]);
    assert!(worker.runs.is_empty());
    let (op, delay) = worker.take_release().unwrap();
    assert_eq!(delay, Duration::ZERO);
    worker.reply(op, Ok(QueueReply::Released));
    assert!(
        worker.has_event(|event| matches!(
            event,
            Event::Released { reason: ReleaseReason::Drain, .. }
        ))
    );
    assert!(worker.finished);
}

#[test]
fn pending_deletes_are_sent_when_the_drain_begins() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.done(&run);
    assert!(worker.take_deletes().is_none());
    drain(&mut worker);
    assert!(worker.take_deletes().is_some());
}

#[test]
fn draining_waits_for_running_handlers_and_deletes_immediately() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    let (poll, _) = worker.take_poll().unwrap();
    drain(&mut worker);
    worker.reply_fault(poll, FaultKind::ReplyLost);
    assert!(!worker.finished);
    worker.done(&run);
    let (notice, _) = worker.take_publication().unwrap();
    worker.published(notice, Ok(1));
    let (delete, _) = worker.take_deletes().expect("no linger while draining");
    worker.reply(delete, Ok(QueueReply::all_deleted(1)));
    assert!(worker.finished);
}

#[test]
fn messages_that_wait_for_a_slot_are_released() {
    let mut worker = started_with(config().with_concurrency(1));
    let body = plain_body();
    worker.deliver(&[&body, &body]);
    drain(&mut worker);
    assert!(worker.take_release().is_some());
}

#[test]
fn at_the_limit_running_handlers_are_cancelled_and_their_messages_released() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    let (poll, _) = worker.take_poll().unwrap();
    drain(&mut worker);
    worker.reply_fault(poll, FaultKind::ReplyLost);
    worker.advance_renewing(LIMIT);
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::Drain)]);
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    assert!(worker.finished);
    let cancelled = "the handler was cancelled because the worker's drain limit passed";
    assert_eq!(worker.executed(), [Err(cancelled.to_owned())]);
}

#[test]
fn a_cancelled_handler_is_reported_once_with_its_own_outcome() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    drain(&mut worker);
    worker.advance_renewing(LIMIT);
    worker.done(&run);
    assert_eq!(worker.executed(), [Ok(())]);
    worker.advance(Duration::from_secs(1));
    assert!(worker.finished);
    assert_eq!(worker.executed(), [Ok(())]);
}

#[test]
fn a_drain_ends_a_second_after_its_limit_even_if_the_queue_does_not_reply() {
    let mut worker = started();
    worker.running(&plain_body());
    drain(&mut worker);
    worker.advance(LIMIT + Duration::from_secs(1));
    assert!(worker.finished);
}

#[test]
fn a_second_drain_can_only_shorten_the_first() {
    let mut worker = started();
    worker.running(&plain_body());
    drain(&mut worker);
    worker.feed(Input::Drain { limit: Duration::from_secs(600) });
    worker.feed(Input::Drain { limit: Duration::from_secs(2) });
    worker.advance(Duration::from_secs(3));
    assert!(worker.finished);
}

#[test]
fn a_handler_that_fails_during_a_drain_is_retried() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    drain(&mut worker);
    worker.end(&run, JobOutcome::Failed("no".into()));
    assert!(worker.take_post().is_some());
}

#[test]
fn a_finished_worker_has_no_deadline_and_accepts_no_input() {
    let mut worker = started();
    let (poll, _) = worker.take_poll().unwrap();
    drain(&mut worker);
    worker.reply_fault(poll, FaultKind::ReplyLost);
    assert!(worker.finished);
    assert_eq!(worker.worker.handle_input(Input::Tick, worker.now), Err(Misuse::Finished));
    assert!(matches!(worker.worker.poll_output(), Output::Wait(None)));
}

#[test]
fn a_worker_that_was_never_started_drains_immediately() {
    use crate::time::{Moment, WallClock};
    let mut worker = crate::worker::Worker::new(config(), [0; 32], WallClock::default()).unwrap();
    worker.handle_input(Input::Drain { limit: LIMIT }, Moment::EPOCH).unwrap();
    assert!(matches!(worker.poll_output(), Output::Finished));
}

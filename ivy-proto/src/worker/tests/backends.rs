//! Differences between backends.

use std::time::Duration;

use super::scenario::*;
use crate::WallClock;
use crate::event::Event;
use crate::id::Receipt;
use crate::name::TaskName;
use crate::queue::{Capabilities, FaultKind, Lease, NameRule, Retry};
use crate::task::TaskSettings;
use crate::worker::{CancelReason, Input, InvalidConfig, JobOutcome, Run, Worker, WorkerConfig};

const LEASE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);

fn with(change: impl FnOnce(&mut Capabilities)) -> WorkerConfig {
    let mut config = config();
    change(&mut config.capabilities);
    config
}

/// Leases that last as long as their connection.
fn of_connections() -> WorkerConfig {
    with(|capabilities| {
        capabilities.lease = Lease::Connection;
        capabilities.ack_linger = Duration::ZERO;
    })
}

fn receipt_of(worker: &Scenario, run: &Run) -> Receipt {
    let number = run.message.as_str().parse().unwrap();
    worker.numbered(number, "", 1).receipt
}

#[test]
fn a_lease_bound_to_a_connection_is_neither_renewed_nor_ends_by_time() {
    let settings = TaskSettings::in_queue(queue());
    let settings = TaskSettings { reserve_time: Some(LEASE), ..settings };
    let config = of_connections().with_lease(Duration::from_millis(1));
    let mut worker = started_with(config.with_task(TaskName::new(TASK).unwrap(), settings));
    let run = worker.running(&plain_body());
    worker.advance(DAY);
    assert!(worker.take_touch().is_none() && worker.cancelled_jobs.is_empty());
    worker.done(&run);
    assert_eq!(worker.take_deletes().unwrap().1, [receipt_of(&worker, &run)]);
}

#[test]
fn deletes_are_not_batched_without_a_linger() {
    let mut worker = started_with(of_connections().with_concurrency(2));
    let body = plain_body();
    worker.deliver(&[&body, &body]);
    for _ in 0..2 {
        let run = worker.runs.pop_front().unwrap();
        worker.done(&run);
        assert_eq!(worker.take_deletes().unwrap().1.len(), 1);
    }
}

#[test]
fn a_waiting_message_is_not_started_after_its_longest_hold() {
    const HOLD: Duration = Duration::from_secs(300);
    let mut worker = started_with(with(|capabilities| capabilities.longest_hold = Some(HOLD)));
    // A suspect waits until nothing else runs.
    worker.deliver_counted(&[(&plain_body(), 1), (&lost_body(5), 1)]);
    let run = worker.runs.pop_front().unwrap();
    assert!(worker.runs.is_empty());
    assert_eq!(worker.worker.waiting_count(), 1);
    worker.advance_renewing(HOLD - 2 * LEASE);
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLimit)]);
    assert_eq!(worker.worker.waiting_count(), 0);
    worker.end(&run, JobOutcome::Cancelled);
    assert!(worker.runs.is_empty(), "its message is being released");
}

#[test]
fn leases_lost_by_the_backend_cancel_their_handlers_and_settle_nothing() {
    let mut worker = started_with(of_connections().with_concurrency(3));
    let body = plain_body();
    worker.deliver(&[&body, &body, &body]);
    let [runs, failed, kept] = [(); 3].map(|()| worker.runs.pop_front().unwrap());
    worker.fail(&failed);
    let (post, _) = worker.take_post().unwrap();
    let lost = [&runs, &failed].map(|run| receipt_of(&worker, run));
    worker.feed(Input::LeasesLost(lost.into()));
    assert_eq!(worker.cancelled_jobs, [(runs.job, CancelReason::LeaseLost)]);
    worker.posted(post);
    worker.end(&runs, JobOutcome::Cancelled);
    assert!(worker.take_deletes().is_none(), "a lost receipt is not used");
    worker.done(&kept);
    assert_eq!(worker.take_deletes().unwrap().1, [receipt_of(&worker, &kept)]);
}

#[test]
fn a_lease_that_ends_before_its_message_arrives_is_lost() {
    let mut worker = started_with(of_connections());
    let receipt = worker.numbered(1, "", 1).receipt;
    worker.feed(Input::LeasesLost(vec![receipt]));
    worker.deliver(&[&plain_body()]);
    assert!(worker.runs.is_empty());
    assert!(worker.has_event(|event| matches!(event, Event::LeaseLost { .. })));
    worker.until_polled();
    worker.deliver(&[&plain_body()]);
    assert_eq!(worker.runs.len(), 1);
}

#[test]
fn a_handler_is_cancelled_before_the_maximum_hold_time_of_its_message() {
    let mut worker = started_with(with(|capabilities| capabilities.longest_hold = Some(DAY)));
    let run = worker.running(&plain_body());
    worker.advance_renewing(DAY - 3 * LEASE);
    assert!(worker.cancelled_jobs.is_empty());
    worker.advance_renewing(LEASE);
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLimit)]);
    worker.end(&run, JobOutcome::Cancelled);
    let error = "the handler exceeded the queue's limit for holding a message";
    assert_eq!(worker.executed(), [Err(error.to_owned())]);
    assert!(worker.take_post().is_some(), "the attempt counts, and the next one is posted");
}

#[test]
fn if_stale_receipts_are_refused_a_late_reply_to_a_touch_keeps_the_lease() {
    let mut worker = started();
    worker.running(&plain_body());
    worker.advance(LEASE - Duration::from_secs(1));
    let (touch, _) = worker.take_touch().unwrap();
    worker.now = worker.now + Duration::from_secs(2);
    worker.touched(touch, "t1");
    assert!(worker.cancelled_jobs.is_empty());
}

#[test]
fn if_stale_receipts_are_accepted_an_ended_lease_is_neither_revived_nor_used() {
    let config = || with(|capabilities| capabilities.refuses_stale_receipts = false);
    let mut worker = started_with(config());
    let run = worker.running(&plain_body());
    worker.advance(LEASE - Duration::from_secs(1));
    let (touch, _) = worker.take_touch().unwrap();
    worker.now = worker.now + Duration::from_secs(1);
    worker.touched(touch, "t1");
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLost)]);
    assert!(worker.take_touch().is_none());

    let mut worker = started_with(config());
    let run = worker.running(&plain_body());
    worker.now = worker.now + LEASE;
    worker.fail(&run);
    assert!(worker.take_post().is_none() && worker.take_release().is_none());
}

#[test]
fn a_failed_task_is_retried_as_the_backend_requires() {
    for retry in [Retry::Release, Retry::Successor] {
        let mut worker = started_with(with(|capabilities| capabilities.retry = retry));
        worker.deliver_with_exact_counts(&plain_body(), 2, 0);
        let run = worker.runs.pop_front().unwrap();
        assert_eq!(run.attempt, 3);
        worker.fail(&run);
        assert_eq!(worker.take_release().is_some(), retry == Retry::Release);
        assert_eq!(worker.take_post().is_some(), retry == Retry::Successor);
    }
}

#[test]
fn without_a_count_of_failed_attempts_no_task_is_retried_by_a_release() {
    let mut worker = started_with(with(|capabilities| capabilities.retry = Retry::Release));
    let run = worker.running(&plain_body());
    worker.fail(&run);
    assert!(worker.take_release().is_none() && worker.take_post().is_some());
}

#[test]
fn a_retry_after_of_the_queue_is_limited_to_a_minute() {
    let mut worker = started();
    let (poll, _) = worker.take_poll().unwrap();
    let fault = crate::queue::Fault::new(FaultKind::Unavailable).with_retry_after(Duration::MAX);
    worker.reply(poll, Err(fault));
    worker.advance(Duration::from_secs(60));
    assert!(worker.take_poll().is_some());
}

#[test]
fn an_unavailable_queue_is_polled_after_its_retry_after() {
    let mut worker = started();
    let (poll, _) = worker.take_poll().unwrap();
    let rest = Duration::from_secs(7);
    let fault = crate::queue::Fault::new(FaultKind::Unavailable).with_retry_after(rest);
    worker.reply(poll, Err(fault));
    worker.advance(rest - Duration::from_millis(1));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_millis(1));
    assert!(worker.take_poll().is_some());
}

#[test]
fn a_queue_name_that_the_backend_does_not_allow_is_refused() {
    fn rule(queue: &crate::QueueName) -> Result<(), &'static str> {
        let length = queue.as_str().len();
        if length > "testpackage.p9.dead".len() { Err("it is too long") } else { Ok(()) }
    }
    let ruled = || with(|capabilities| capabilities.names = Some(NameRule::new(rule)));
    let start = |config| Worker::new(config, [7; 32], WallClock::new(UNIX_AT_START));
    assert!(start(ruled()).is_ok());
    let route = crate::QueueName::new("testpackage1").unwrap();
    let Err(InvalidConfig::NameNotForBackend(error)) = start(ruled().with_route(route)) else {
        panic!("the name is accepted")
    };
    let text = "the queue's server cannot have a queue testpackage1.p9.dead, because it is too long; choose another name";
    assert_eq!(error.to_string(), text);
}

#[test]
fn each_message_of_a_lost_connection_is_reported_once() {
    let mut worker = started_with(of_connections());
    let run = worker.running(&plain_body());
    let receipt = receipt_of(&worker, &run);
    for _ in 0..2 {
        worker.feed(Input::LeasesLost(vec![receipt.clone()]));
    }
    let lost = worker.events.iter().filter(|event| matches!(event, Event::LeaseLost { .. }));
    assert_eq!(lost.count(), 1);
    assert_eq!(worker.worker.load().held, 0);
}

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, ReleaseReason};
use crate::id::{MessageId, Receipt, ReservationId};
use crate::name::TaskName;
use crate::queue::{FaultKind, Lease, QueueReply, Retry};
use crate::task::{TaskError, TaskSettings};
use crate::time::{Moment, WallClock};
use crate::wire::RawJson;
use crate::worker::{CancelReason, Input, JobOutcome, Output, Worker, WorkerConfig};

const LEASE: Duration = Duration::from_secs(30);

#[test]
fn touches_keep_the_message_of_a_long_task() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    let receipts = worker.advance_renewing(Duration::from_secs(300));
    let reservations: Vec<&str> =
        receipts.iter().map(|receipt| receipt.reservation.as_str()).collect();
    assert_eq!(reservations[..3], ["r1", "t1", "t2"], "each touch replaces the receipt");
    assert!((14..=20).contains(&receipts.len()), "{} touches in ten leases", receipts.len());
    assert!(worker.cancelled_jobs.is_empty());
    worker.done(&run);
    worker.advance(Duration::from_millis(50));
    let (_, deleted) = worker.take_deletes().unwrap();
    assert_eq!(deleted[0].reservation.as_str(), format!("t{}", receipts.len()));
}

#[test]
fn a_lost_lease_cancels_the_handler_and_never_deletes() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.advance(Duration::from_secs(21));
    let (touch, _) = worker.take_touch().unwrap();
    worker.reply_fault(touch, FaultKind::LeaseLost);
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLost)]);
    worker.done(&run);
    worker.advance(Duration::from_secs(60));
    assert!(worker.take_deletes().is_none());
    assert!(worker.publications.is_empty(), "its outcome is discarded");
}

#[test]
fn a_handler_that_lost_its_message_keeps_its_slot_until_it_ends() {
    let mut worker = started_with(config().with_concurrency(1));
    let run = worker.running(&plain_body());
    worker.run_on();
    worker.deliver(&[&plain_body()]);
    worker.advance(Duration::from_secs(21));
    while let Some((touch, (receipt, _))) = worker.take_touch() {
        if receipt.message.as_str() == "1" {
            worker.reply_fault(touch, FaultKind::LeaseLost);
        }
    }
    assert!(worker.runs.is_empty());
    worker.end(&run, JobOutcome::Cancelled);
    assert_eq!(worker.worker.load().running, 1);
    let cancelled = "the handler was cancelled because its message's lease was lost";
    assert_eq!(worker.executed(), [Err(cancelled.to_owned())]);
}

#[test]
fn an_expired_lease_is_lost() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.advance(LEASE);
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLost)]);
    assert!(worker.has_event(|event| matches!(event, Event::LeaseLost { .. })));
}

#[test]
fn an_outcome_reported_after_the_end_of_the_lease_is_discarded() {
    let failed = JobOutcome::Failed(TaskError::new("no luck"));
    for outcome in [JobOutcome::Done(RawJson::null()), failed] {
        let mut worker = started();
        worker.deliver(&[&our_body(1, Some(NOTICE_CHANNEL))]);
        let run = worker.runs.pop_front().unwrap();
        // Its driver is blocked until then, and reports the outcome first.
        worker.now = worker.now + LEASE;
        worker.end(&run, outcome);
        assert!(worker.has_event(|event| matches!(event, Event::LeaseLost { .. })));
        worker.advance(LEASE);
        assert!(worker.take_deletes().is_none() && worker.take_post().is_none());
        assert!(worker.publications.is_empty());
    }
}

#[test]
fn a_delete_waits_for_a_touch_in_flight() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.advance(Duration::from_secs(21));
    let (touch, _) = worker.take_touch().unwrap();
    worker.done(&run);
    worker.advance(Duration::from_millis(200));
    assert!(worker.take_deletes().is_none(), "the old receipt may be invalid");
    worker.touched(touch, "t1");
    worker.advance(Duration::from_millis(50));
    let (_, receipts) = worker.take_deletes().unwrap();
    assert_eq!(receipts[0].reservation.as_str(), "t1");
}

#[test]
fn a_release_waits_for_a_touch_in_flight() {
    let mut config = config();
    config.capabilities.retry = Retry::Release;
    let mut worker = started_with(config);
    worker.deliver_with_exact_counts(&our_body(1, None), 0, 0);
    let run = worker.runs.pop_front().unwrap();
    worker.advance(Duration::from_secs(21));
    let (touch, _) = worker.take_touch().unwrap();
    worker.fail(&run);
    assert!(worker.take_release().is_none(), "the old receipt may be invalid");
    worker.touched(touch, "t1");
    let (_, (receipt, _)) = worker.take_release_of().unwrap();
    assert_eq!(receipt.reservation.as_str(), "t1");
}

#[test]
fn a_refused_release_of_a_lost_message_is_not_repeated() {
    for kind in [FaultKind::LeaseLost, FaultKind::NoMessage, FaultKind::NoQueue] {
        let mut worker = started();
        worker.deliver(&[r#"{"name":"nobody.knows","options":{},"args":[]}"#]);
        let (release, _) = worker.take_release().unwrap();
        worker.reply_fault(release, kind);
        assert!(worker.has_event(|event| matches!(event, Event::LeaseLost { .. })), "{kind:?}");
        assert_eq!(worker.worker.load().held, 0, "{kind:?}");
        worker.advance(LEASE);
        assert!(worker.take_release().is_none(), "{kind:?}");
    }
}

#[test]
fn a_touch_whose_reply_was_lost_is_repeated_with_the_old_receipt() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.advance(Duration::from_secs(21));
    let (touch, _) = worker.take_touch().unwrap();
    worker.reply_fault(touch, FaultKind::ReplyLost);
    worker.advance(Duration::from_millis(1));
    let (again, (receipt, _)) = worker.take_touch().unwrap();
    assert_eq!(receipt.reservation.as_str(), "r1");
    worker.touched(again, "t1");
    assert!(worker.cancelled_jobs.is_empty());
    worker.done(&run);
    assert!(worker.has_event(|event| matches!(event, Event::TaskExecuted { error: None, .. })));
}

#[test]
fn a_task_with_its_own_reserve_time_is_touched_when_its_message_is_parsed() {
    let hour = Duration::from_secs(3600);
    let mut settings = TaskSettings::in_queue(queue());
    settings.reserve_time = Some(hour);
    let mut worker = started_with(config().with_task(TaskName::new(TASK).unwrap(), settings));
    worker.running(&plain_body());
    let (_, (_, lease)) = worker.take_touch().unwrap();
    assert_eq!(lease, hour);
}

#[test]
fn the_worker_may_override_a_tasks_reserve_time() {
    let minute = Duration::from_secs(60);
    let name = TaskName::new(TASK).unwrap();
    let mut worker = started_with(config().with_reserve_time(name, minute));
    worker.running(&plain_body());
    let (_, (_, lease)) = worker.take_touch().unwrap();
    assert_eq!(lease, minute);
}

#[test]
fn a_lease_below_the_documented_minimum_is_reported_at_the_start() {
    let minimum = Duration::from_secs(30);
    let reports = |minimum: Duration, config: WorkerConfig| {
        let mut config = config;
        if let Lease::Timed { documented, .. } = &mut config.capabilities.lease {
            *documented = minimum;
        }
        let mut worker = Worker::new(config, [7; 32], WallClock::default()).unwrap();
        worker.handle_input(Input::Tick, Moment::EPOCH).unwrap();
        let outputs = std::iter::from_fn(|| match worker.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        });
        outputs.filter(|out| matches!(out, Output::Event(Event::ShortLease { .. }))).count()
    };
    let short = Duration::from_secs(29);
    let with_reserve_time = config().with_reserve_time(TaskName::new(TASK).unwrap(), short);
    assert_eq!(reports(minimum, config()), 0);
    assert_eq!(reports(minimum, config().with_lease(short)), 1);
    assert_eq!(reports(minimum, with_reserve_time), 1);
    assert_eq!(reports(short, config().with_lease(short)), 0);
}

#[test]
fn no_handler_starts_when_too_little_of_the_lease_is_left() {
    let mut worker = started_with(config().with_concurrency(1));
    let body = plain_body();
    let first = worker.running(&body);
    worker.run_on();
    worker.deliver(&[&body]);
    worker.advance(Duration::from_secs(26));
    while let Some((touch, _)) = worker.take_touch() {
        worker.reply_fault(touch, FaultKind::Unreachable);
    }
    worker.done(&first);
    assert!(worker.runs.is_empty());
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    assert!(worker.has_event(|event| matches!(
        event,
        Event::Released { reason: ReleaseReason::LeaseTooShort, .. }
    )));
}

#[test]
fn a_handler_that_exceeds_its_time_limit_is_cancelled_and_counts_as_a_failed_attempt() {
    let mut settings = TaskSettings::in_queue(queue());
    settings.time_limit = Some(Duration::from_secs(5));
    let mut worker = started_with(config().with_task(TaskName::new(TASK).unwrap(), settings));
    let run = worker.running(&plain_body());
    assert_eq!(run.deadline, Some(worker.now + Duration::from_secs(5)));
    worker.advance(Duration::from_secs(5));
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::TimeLimit)]);
    worker.end(&run, JobOutcome::Cancelled);
    assert!(worker.take_post().is_some(), "the next attempt is posted");
}

#[test]
fn a_waiting_message_whose_lease_is_lost_leaves_the_order_of_the_others() {
    let mut worker = started_with(config().with_concurrency(4));
    let body = plain_body();
    worker.deliver(&[&body, &body, &body, &body]);
    worker.run_on();
    // The reserve returned as many messages as requested, so each free slot is polled for
    // immediately.
    for _ in 0..3 {
        let run = worker.runs.pop_front().unwrap();
        worker.done(&run);
    }
    // A suspect runs alone, as soon as nothing else runs.
    worker.deliver_counted(&[(&lost_body(5), 1)]);
    let run = worker.runs.pop_front().unwrap();
    worker.done(&run);
    let alone = worker.runs.pop_front().unwrap();
    // Two more arrive meanwhile, and wait.
    worker.deliver(&[&body, &body]);
    assert!(worker.runs.is_empty());
    worker.advance(Duration::from_secs(22));
    let mut touches = Vec::new();
    while let Some((op, (receipt, _))) = worker.take_touch() {
        touches.push((receipt.message.as_str().parse::<u32>().unwrap(), op));
    }
    touches.sort();
    let [.., (_, first), (second, other)] = touches[..] else { panic!("{touches:?}") };
    worker.reply_fault(first, FaultKind::LeaseLost);
    let receipt = Receipt {
        message: MessageId::new(second.to_string()),
        reservation: ReservationId::new("renewed"),
    };
    worker.reply(other, Ok(QueueReply::Touched(receipt)));
    worker.done(&alone);
    let run = worker.runs.pop_front().unwrap();
    assert_eq!(run.message.as_str(), second.to_string());
}

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Level, ReleaseReason};
use crate::queue::QueueReply;
use crate::worker::{Input, JobOutcome};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_handler_without_a_thread_costs_no_attempt() {
    let mut worker = started();
    let run = worker.running(&our_body(3, None));
    worker.end(&run, JobOutcome::NotRun);
    let (op, delay) = worker.take_release().unwrap();
    assert_eq!(delay, SECOND);
    worker.reply(op, Ok(QueueReply::Released));
    assert!(worker.take_post().is_none(), "no next attempt is posted");
    assert!(worker.executed().is_empty());
    let release = worker
        .events
        .iter()
        .find(|event| matches!(event, Event::Released { reason: ReleaseReason::NoThread, .. }));
    assert_eq!(release.unwrap().level(), Level::Warn);
}

#[test]
fn a_worker_without_a_thread_pauses_its_polls() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.run_on();
    worker.end(&run, JobOutcome::NotRun);
    // The poll in flight may return another message; no poll follows it.
    worker.deliver(&[]);
    worker.advance(SECOND - Duration::from_millis(1));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_millis(1));
    assert!(worker.take_poll().is_some());
}

#[test]
fn a_draining_worker_releases_a_message_without_a_thread() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.feed(Input::Drain { limit: 30 * SECOND });
    worker.end(&run, JobOutcome::NotRun);
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    worker.advance(2 * SECOND);
    for op in std::mem::take(&mut worker.cancelled_ops) {
        worker.reply_fault(op, crate::queue::FaultKind::ReplyLost);
    }
    assert!(worker.finished);
}

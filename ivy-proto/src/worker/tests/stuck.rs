//! Work that never ends by itself does not block other work.

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, ReleaseReason};
use crate::queue::{FaultKind, QueueReply};

/// Fails all posts, and accepts all releases.
fn refuse_posts(worker: &mut Scenario) {
    while let Some((post, _)) = worker.take_post() {
        worker.reply_fault(post, FaultKind::Unreachable);
    }
    while let Some((release, _)) = worker.take_release() {
        worker.reply(release, Ok(QueueReply::Released));
    }
}

#[test]
fn messages_whose_copies_cannot_be_posted_are_released_for_others() {
    let mut worker = started();
    for _ in 0..12 {
        let (poll, _) = worker.take_poll().expect("more messages are reserved");
        worker.deliver_to(poll, &[("junk", 1); 100]);
        refuse_posts(&mut worker);
    }
    assert!(worker.worker.load().held <= 1000);
    let is_released = |event: &Event| {
        let reason = ReleaseReason::DeadLetterRefused;
        matches!(event, Event::Released { reason: why, .. } if *why == reason)
    };
    assert!(worker.has_event(is_released));
}

#[test]
fn a_suspect_does_not_wait_for_a_cancelled_handler_that_does_not_end() {
    let mut worker = started();
    let never_ends = worker.running(&plain_body());
    worker.advance(Duration::from_secs(22));
    let (touch, _) = worker.take_touch().unwrap();
    worker.reply_fault(touch, FaultKind::LeaseLost);
    assert_eq!(worker.cancelled_jobs.len(), 1);
    worker.deliver_counted(&[(&lost_body(5), 1)]);
    let suspect = worker.runs.pop_front().expect("the suspect runs");
    assert_ne!(suspect.job, never_ends.job);
}

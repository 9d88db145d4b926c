//! The wall clock: deadlines and timestamps follow it, timers do not, and a lease ends by whichever
//! clock is first.

use std::time::Duration;

use super::scenario::*;
use crate::event::{DegradedReason, Event, Part};
use crate::queue::QueueReply;
use crate::time::WallClock;
use crate::wire::{DeadLetter, DeadLetterReason};
use crate::worker::{CancelReason, Input};

const DAY: Duration = Duration::from_secs(86_400);

/// A message whose task expires in an hour.
fn expiring() -> String {
    let deadline = (UNIX_AT_START + Duration::from_secs(3_600)).as_millis();
    our_body(1, None).replace("\"id\"", &format!("\"deadline\":{deadline},\"id\""))
}

fn clock(unix_at_start: Duration) -> Input {
    Input::Clock(WallClock::new(unix_at_start))
}

/// The wall clock leaps forward.
fn leap(by: Duration) -> Input {
    clock(UNIX_AT_START + by)
}

impl Scenario {
    /// Lets the queue fulfil all requests except polls. Returns the number of dead letters.
    fn settle_what_is_not_run(&mut self) -> usize {
        let mut dead = 0;
        while let Some((post, _)) = self.take_post() {
            self.posted(post);
            dead += 1;
        }
        self.advance(Duration::from_millis(50));
        while let Some((op, _)) = self.take_deletes() {
            self.reply(op, Ok(QueueReply::all_deleted(1)));
        }
        while let Some((op, _)) = self.take_release() {
            self.reply(op, Ok(QueueReply::Released));
        }
        dead
    }
}

#[test]
fn a_deadline_is_evaluated_by_the_latest_clock() {
    let mut worker = started_at(config(), UNIX_AT_START + DAY);
    worker.deliver(&[&expiring()]);
    let (post, (_, copy)) = worker.take_post().unwrap();
    let letter = DeadLetter::parse(&copy.body).unwrap();
    assert_eq!(letter.reason, DeadLetterReason::Deadline);
    worker.posted(post);

    worker.feed(clock(UNIX_AT_START));
    let run = worker.running(&expiring());
    worker.done(&run);
    assert!(worker.has_event(|event| *event == Event::ClockSet { forward: false, by: DAY }));

    worker.feed(leap(DAY));
    worker.deliver(&[&expiring()]);
    let (op, _) = worker.take_release().unwrap();
    worker.reply(op, Ok(QueueReply::Released));
    worker.deliver(&[&expiring()]);
    assert!(worker.runs.is_empty() && worker.take_post().is_some());
}

#[test]
fn a_dead_letter_is_stamped_by_the_latest_clock() {
    let mut worker = started();
    worker.feed(clock(UNIX_AT_START - DAY));
    worker.deliver(&["not JSON"]);
    let (_, (_, copy)) = worker.take_post().unwrap();
    let stamp = u128::from(DeadLetter::parse(&copy.body).unwrap().at);
    assert_eq!(stamp, (UNIX_AT_START - DAY).as_millis());
}

#[test]
fn a_clock_leap_beyond_the_end_of_a_lease_loses_it_and_cancels_its_handler() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.feed(leap(Duration::from_secs(31)));
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLost)]);
    assert!(worker.has_event(|event| matches!(event, Event::LeaseLost { .. })));
    worker.done(&run);
    worker.advance(Duration::from_millis(50));
    assert!(worker.take_deletes().is_none());
}

#[test]
fn a_lease_shortened_by_a_clock_leap_is_renewed_earlier() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.feed(leap(Duration::from_secs(25)));
    assert!(worker.cancelled_jobs.is_empty());
    worker.advance(Duration::from_millis(1));
    let (op, _) = worker.take_touch().unwrap();
    worker.touched(op, "t1");
    // From the renewal on, it counts by both clocks.
    worker.advance(Duration::from_secs(14));
    assert!(worker.take_touch().is_none() && worker.cancelled_jobs.is_empty());
    worker.done(&run);
    worker.advance(Duration::from_millis(50));
    assert!(worker.take_deletes().is_some());
}

#[test]
fn a_clock_set_back_changes_no_lease() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.feed(clock(UNIX_AT_START - DAY));
    worker.advance(Duration::from_secs(14));
    assert!(worker.take_touch().is_none() && worker.cancelled_jobs.is_empty());
    worker.advance(Duration::from_secs(17));
    assert_eq!(worker.cancelled_jobs, [(run.job, CancelReason::LeaseLost)]);
}

#[test]
fn messages_requested_before_the_machine_slept_are_released_and_requested_again() {
    let mut worker = started();
    worker.feed(leap(DAY));
    worker.deliver(&[&plain_body()]);
    assert!(worker.runs.is_empty());
    let (op, delay) = worker.take_release().unwrap();
    assert_eq!(delay, Duration::ZERO);
    worker.reply(op, Ok(QueueReply::Released));
    let run = worker.running(&plain_body());
    worker.done(&run);
}

#[test]
fn a_worker_whose_clock_is_far_ahead_is_paused_and_reported_and_does_not_empty_the_queue() {
    let mut worker = started_at(config(), UNIX_AT_START + DAY);
    let mut dead = 0;
    while let Some((poll, _)) = worker.take_poll() {
        worker.deliver_to(poll, &[(&expiring(), 1)]);
        dead += worker.settle_what_is_not_run();
    }
    assert!((1..20).contains(&dead), "{dead}");
    let why = DegradedReason::Messages(DeadLetterReason::Deadline);
    assert!(why.to_string().contains("the clock of this host or of the callers may be wrong"));
    let degraded = Event::Degraded { part: Part::Messages(queue()), why };
    assert_eq!(worker.events.iter().filter(|event| **event == degraded).count(), 1);

    worker.advance(Duration::from_secs(60));
    worker.deliver(&[&expiring()]);
    assert_eq!(worker.settle_what_is_not_run(), 0);
    worker.advance(Duration::from_secs(60));
    worker.feed(clock(UNIX_AT_START));
    let run = worker.running(&expiring());
    worker.done(&run);
    assert!(worker.has_event(|event| *event == Event::Recovered { part: Part::Messages(queue()) }));
}

#[test]
fn an_implausible_clock_is_reported() {
    let mut worker = started();
    worker.feed(clock(Duration::ZERO));
    assert!(worker.has_event(|event| *event == Event::ClockImplausible));
    let run = worker.running(&expiring());
    worker.done(&run);
}

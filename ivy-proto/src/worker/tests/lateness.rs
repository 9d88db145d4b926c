use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Level};
use crate::worker::{Input, JobOutcome};

const LEASE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn reports(worker: &Scenario) -> Vec<Duration> {
    let late = worker.events.iter().filter_map(|event| match event {
        Event::WokenLate { late, .. } => Some(*late),
        _ => None,
    });
    late.collect()
}

/// Blocks the worker's driver for this long.
fn stand_still(worker: &mut Scenario, time: Duration) {
    worker.now = worker.now + time;
    worker.feed(Input::Tick);
}

#[test]
fn a_late_wake_up_is_reported_with_its_remedy() {
    let mut worker = started();
    worker.running(&plain_body());
    stand_still(&mut worker, LEASE);
    let late = reports(&worker);
    assert!(late.len() == 1 && late[0] >= LEASE * 3 / 10, "{late:?}");
    let event = worker.events.iter().find(|event| matches!(event, Event::WokenLate { .. }));
    let event = event.unwrap();
    assert_eq!(event.level(), Level::Warn);
    assert!(event.to_string().contains("spawn_blocking"), "{event}");
}

#[test]
fn an_outcome_reported_at_the_end_of_a_block_does_not_hide_the_lateness() {
    let mut worker = started();
    let run = worker.running(&plain_body());
    worker.now = worker.now + LEASE;
    worker.end(&run, JobOutcome::Cancelled);
    assert_eq!(reports(&worker).len(), 1);
}

#[test]
fn a_wake_up_that_is_in_time_or_hardly_late_is_not_reported() {
    let mut worker = started();
    worker.running(&plain_body());
    worker.advance_renewing(10 * LEASE);
    assert_eq!(reports(&worker), []);
    let mut worker = started();
    worker.running(&plain_body());
    // The first renewal is due after half of the lease at the earliest.
    stand_still(&mut worker, LEASE / 2 + 4 * SECOND);
    assert_eq!(reports(&worker), []);
}

#[test]
fn without_held_messages_lateness_is_not_reported() {
    let mut worker = started();
    worker.deliver(&[]);
    stand_still(&mut worker, 100 * LEASE);
    assert_eq!(reports(&worker), []);
}

#[test]
fn lateness_is_reported_once_a_minute_at_most() {
    let mut worker = started();
    for _ in 0..4 {
        worker.running(&plain_body());
        stand_still(&mut worker, LEASE);
    }
    assert_eq!(reports(&worker).len(), 2);
}

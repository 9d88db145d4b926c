//! When free slots are polled for.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::scenario::*;
use crate::id::OpId;

const MAX_WAIT: Duration = Duration::from_millis(2);

const NOTHING: [usize; 0] = [];

/// A worker with this many slots, all of which were just taken.
fn full(slots: usize) -> Scenario {
    let mut worker = started_with(config().with_concurrency(slots));
    let body = plain_body();
    worker.deliver(&vec![body.as_str(); slots]);
    worker
}

fn end_one(worker: &mut Scenario) {
    let run = worker.runs.pop_front().unwrap();
    worker.done(&run);
}

fn polled(worker: &mut Scenario) -> Vec<usize> {
    new_polls(worker).into_iter().map(|(_, count)| count).collect()
}

#[test]
fn slots_of_handlers_that_start_and_end_together_are_polled_for_together() {
    let mut worker = full(10);
    for _ in 0..10 {
        assert_eq!(polled(&mut worker), NOTHING);
        end_one(&mut worker);
    }
    assert_eq!(polled(&mut worker), [10]);
}

#[test]
fn a_slow_handler_delays_the_poll_for_quick_ones_by_two_milliseconds_at_most() {
    let mut worker = full(10);
    for _ in 0..9 {
        end_one(&mut worker);
    }
    worker.advance(MAX_WAIT - Duration::from_nanos(1));
    assert_eq!(polled(&mut worker), NOTHING);
    worker.advance(Duration::from_nanos(1));
    assert_eq!(polled(&mut worker), [9]);
}

#[test]
fn among_slow_handlers_a_message_is_always_prefetched() {
    let mut worker = full(10);
    worker.run_on();
    let body = plain_body();
    for _ in 0..4 {
        worker.deliver(&[&body]);
        end_one(&mut worker);
        assert_eq!(worker.runs.len(), 10, "the prefetched message runs immediately");
    }
    assert_eq!(polled(&mut worker), [1]);
}

#[test]
fn the_slot_of_a_slow_handler_is_polled_for_immediately() {
    let mut worker = full(3);
    worker.run_on();
    assert_eq!(polled(&mut worker).len(), 1, "it returns nothing for now");
    end_one(&mut worker);
    end_one(&mut worker);
    assert_eq!(polled(&mut worker), [1]);
}

#[test]
fn a_slot_that_was_free_before_is_polled_for_immediately() {
    let mut worker = started_with(config().with_concurrency(10));
    worker.deliver(&[&plain_body()]);
    assert_eq!(polled(&mut worker), [9]);
}

#[test]
fn slots_that_fill_a_request_are_polled_for_immediately() {
    let mut config = config().with_concurrency(10);
    config.capabilities.batch.reserve = 5;
    let mut worker = started_with(config);
    let body = plain_body();
    worker.deliver(&[body.as_str(); 5]);
    worker.deliver(&[body.as_str(); 5]);
    for _ in 0..5 {
        assert_eq!(polled(&mut worker), NOTHING);
        end_one(&mut worker);
    }
    assert_eq!(polled(&mut worker), [5]);
}

#[test]
fn a_few_slots_of_quick_handlers_wait_as_long_for_a_larger_poll_in_flight() {
    let mut config = config().with_concurrency(10);
    config.capabilities.batch.reserve = 9;
    let mut worker = started_with(config);
    let body = plain_body();
    worker.deliver(&[body.as_str(); 9]);
    let (small, count) = worker.take_poll().unwrap();
    assert_eq!(count, 1, "a slot that was free before is polled for immediately");
    for _ in 0..9 {
        end_one(&mut worker);
    }
    assert_eq!(polled(&mut worker), [9]);
    worker.deliver_to(small, &[(&body, 1)]);
    end_one(&mut worker);
    assert_eq!(polled(&mut worker), NOTHING);
    worker.advance(MAX_WAIT);
    assert_eq!(polled(&mut worker), [1]);
}

#[test]
fn a_message_is_prefetched_if_handlers_are_not_quick() {
    let mut worker = full(1);
    assert_eq!(polled(&mut worker), NOTHING);
    worker.advance(MAX_WAIT);
    assert_eq!(polled(&mut worker), [1]);
}

#[test]
fn a_worker_with_one_slot_polls_immediately_when_its_handler_ends() {
    let mut worker = full(1);
    end_one(&mut worker);
    assert_eq!(polled(&mut worker), [1]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The oldest poll returns as many messages as requested.
    Deliver,
    End(usize),
    Pass(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Deliver),
        6 => any::<usize>().prop_map(Step::End),
        3 => (0..3_000u64).prop_map(|micros| Step::Pass(Duration::from_micros(micros))),
    ]
}

proptest! {
    #[test]
    fn every_free_slot_is_polled_for_within_two_milliseconds(
        slots in 1..12usize,
        steps in vec(step(), 1..200),
    ) {
        let mut worker = started_with(config().with_concurrency(slots));
        let body = plain_body();
        let mut in_flight = new_polls(&mut worker);
        let mut free_since = worker.now;
        for step in steps {
            match step {
                Step::Deliver if !in_flight.is_empty() => {
                    let (op, count) = in_flight.remove(0);
                    worker.deliver_to(op, &vec![(body.as_str(), 1); count]);
                }
                Step::End(index) if !worker.runs.is_empty() => {
                    let index = index % worker.runs.len();
                    let run = worker.runs.remove(index).unwrap();
                    worker.done(&run);
                }
                Step::Pass(time) => worker.advance(time),
                Step::Deliver | Step::End(_) => {}
            }
            in_flight.extend(new_polls(&mut worker));
            let promised: usize = in_flight.iter().map(|(_, count)| count).sum();
            if worker.runs.len() + promised >= slots || in_flight.len() == 8 {
                free_since = worker.now;
            }
            prop_assert!(worker.now.since(free_since) < MAX_WAIT);
        }
    }
}

fn new_polls(worker: &mut Scenario) -> Vec<(OpId, usize)> {
    std::iter::from_fn(|| worker.take_poll()).collect()
}

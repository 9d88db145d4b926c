use std::time::Duration;

use super::{Health, Poller};
use crate::name::Priority;
use crate::name::QueueName;
use crate::rng::Rng;
use crate::time::Moment;
use crate::worker::config::ServedQueue;

const LONG_POLL: Duration = Duration::from_secs(30);

fn served(name: &str, priority: u8, weight: u32) -> ServedQueue {
    let (name, priority) = (QueueName::new(name).unwrap(), Priority::new(priority).unwrap());
    ServedQueue { name, priority, weight }
}

fn poller(served: Vec<ServedQueue>) -> Poller {
    Poller::new(served, LONG_POLL, 100)
}

fn plan(poller: &mut Poller, free: usize) -> Vec<(String, usize, Duration)> {
    let reserves = poller.plan(free, |_| false);
    reserves
        .into_iter()
        .map(|planned| (planned.queue.as_str().to_owned(), planned.count, planned.wait))
        .collect()
}

/// A poll of the queue returns as many messages as requested.
fn fill(poller: &mut Poller, name: &str, count: usize) {
    let queue = poller.queue(&QueueName::new(name).unwrap()).unwrap();
    let waited = (LONG_POLL, Duration::ZERO);
    assert_eq!(queue.on_reply(count, (count, 0), waited, &mut Rng::from_number(1)), None);
}

fn starve(poller: &mut Poller, name: &str, count: usize, waited: Duration) -> Option<Duration> {
    let queue = poller.queue(&QueueName::new(name).unwrap()).unwrap();
    queue.on_reply(count, (0, 0), (LONG_POLL, waited), &mut Rng::from_number(1))
}

#[test]
fn a_single_queue_is_polled_for_all_free_slots() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    assert_eq!(plan(&mut poller, 10), [("a".to_owned(), 10, LONG_POLL)]);
    assert_eq!(plan(&mut poller, 10), []);
}

#[test]
fn one_of_several_idle_queues_is_long_polled_for_a_single_message() {
    let mut poller = poller(vec![served("a", 0, 1), served("b", 0, 1)]);
    let reserves = plan(&mut poller, 10);
    assert_eq!(reserves, [("a".to_owned(), 1, LONG_POLL), ("b".to_owned(), 1, LONG_POLL)]);
}

#[test]
fn a_queue_is_polled_for_one_message_even_if_no_slot_is_free() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    assert_eq!(plan(&mut poller, 0), [("a".to_owned(), 1, LONG_POLL)]);
}

#[test]
fn a_queue_whose_message_waits_for_a_slot_is_not_polled() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    assert_eq!(poller.plan(0, |_| true), []);
}

#[test]
fn busy_queues_share_by_weight_without_waiting() {
    let mut poller = poller(vec![served("a", 0, 3), served("b", 0, 1)]);
    plan(&mut poller, 8);
    fill(&mut poller, "a", 1);
    fill(&mut poller, "b", 1);
    let reserves = plan(&mut poller, 8);
    let zero = Duration::ZERO;
    assert_eq!(reserves, [("a".to_owned(), 6, zero), ("b".to_owned(), 2, zero)]);
}

#[test]
fn urgent_queues_are_served_first_except_every_eighth_time() {
    let mut poller = poller(vec![served("a.p5", 5, 1), served("a", 0, 1)]);
    let starts: Vec<String> =
        (0..16).map(|_| poller.next_to_start(|_| true).unwrap().as_str().to_owned()).collect();
    assert_eq!(starts.iter().filter(|name| *name == "a").count(), 2);
    assert_eq!(starts[7], "a");
    assert_eq!(starts[0], "a.p5");
}

#[test]
fn equally_urgent_queues_start_by_weight_and_a_queue_without_rivals_earns_no_credit() {
    let mut poller = poller(vec![served("a", 0, 1), served("b", 0, 3)]);
    let mut starts = |queues: &[&str]| {
        let next = poller.next_to_start(|name| queues.contains(&name.as_str())).unwrap();
        next.as_str().to_owned()
    };
    for _ in 0..100 {
        assert_eq!(starts(&["a"]), "a");
    }
    let both: Vec<String> = (0..40).map(|_| starts(&["a", "b"])).collect();
    assert_eq!(both.iter().filter(|name| *name == "a").count(), 10);
    assert!(both.windows(5).all(|turns| turns.contains(&"a".to_owned())), "{both:?}");
}

#[test]
fn an_overflowing_queue_is_polled_several_times_concurrently() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    assert_eq!(plan(&mut poller, 1000), [("a".to_owned(), 100, LONG_POLL)]);
    assert_eq!(plan(&mut poller, 1000), []);
    fill(&mut poller, "a", 100);
    let first = plan(&mut poller, 900);
    let second = plan(&mut poller, 900);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(second[0].2, Duration::ZERO);
}

#[test]
fn polls_in_flight_never_promise_more_than_the_free_slots() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    plan(&mut poller, 150);
    fill(&mut poller, "a", 100);
    let requested: usize =
        (0..10).flat_map(|_| plan(&mut poller, 150)).map(|(_, count, _)| count).sum();
    assert_eq!(requested, 150);
}

#[test]
fn a_backend_without_long_polls_is_polled_at_growing_intervals() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let count = plan(&mut poller, 10)[0].1;
        pauses.push(starve(&mut poller, "a", count, Duration::ZERO).unwrap());
    }
    assert!(pauses[0] <= Duration::from_millis(200), "{pauses:?}");
    assert!(pauses[9] >= Duration::from_millis(2500), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)), "{pauses:?}");
}

#[test]
fn after_a_burst_the_queue_is_long_polled_immediately() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    plan(&mut poller, 100);
    fill(&mut poller, "a", 100);
    let counts: Vec<usize> = (1..=4).map(|free| plan(&mut poller, free)[0].1).collect();
    let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
    for count in counts {
        let waited = (Duration::ZERO, Duration::ZERO);
        assert_eq!(queue.on_reply(count, (0, 0), waited, &mut Rng::from_number(1)), None);
    }
    assert_eq!(plan(&mut poller, 100), [("a".to_owned(), 100, LONG_POLL)]);
}

#[test]
fn a_backend_that_waited_is_polled_again_immediately() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    plan(&mut poller, 10);
    assert_eq!(starve(&mut poller, "a", 10, LONG_POLL), None);
}

#[test]
fn requests_to_a_failing_queue_are_limited_to_two_a_second() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    let mut rng = Rng::from_number(1);
    let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
    let mut delays: Vec<Duration> =
        (0..20).map(|_| queue.failed(false, Duration::ZERO, Moment::EPOCH, &mut rng).0).collect();
    delays.sort();
    assert!(delays[19] >= Duration::from_millis(500 * 19), "{delays:?}");
}

#[test]
fn degradation_and_recovery_are_reported_once() {
    let mut poller = poller(vec![served("a", 0, 1)]);
    let mut rng = Rng::from_number(1);
    let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
    let reported: Vec<Health> = (0..9)
        .map(|_| queue.failed(false, Duration::ZERO, Moment::EPOCH, &mut rng).1)
        .filter(|health| *health != Health::Unchanged)
        .collect();
    assert_eq!(reported, [Health::Degraded]);
    assert_eq!(queue.succeeded(Moment::EPOCH), Health::Recovered);
    assert_eq!(queue.succeeded(Moment::EPOCH), Health::Unchanged);
}

//! What a worker reports once: its start, its first message, and its drain.

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Level, LogLimit};
use crate::queue::Lease;
use crate::time::{Moment, WallClock};
use crate::wire::Codec;
use crate::wire::crypto::samples::both;
use crate::worker::{Input, Output, Worker, WorkerConfig};

const LIMIT: Duration = Duration::from_secs(8);

fn texts(worker: &Scenario, level: Level) -> Vec<String> {
    let events = worker.events.iter().filter(|event| event.level() == level);
    events.map(Event::to_string).collect()
}

#[test]
fn a_worker_reports_its_settings_before_its_first_request() {
    let config = config().with_queue_server("broker://10.0.0.7:6379").with_concurrency(4);
    let mut worker = Worker::new(config, [7; 32], WallClock::new(UNIX_AT_START)).unwrap();
    worker.handle_input(Input::Tick, Moment::EPOCH).unwrap();
    let Output::Event(event) = worker.poll_output() else { panic!("no event comes first") };
    assert_eq!(event.level(), Level::Info);
    assert_eq!(
        event.to_string(),
        "the worker has started on broker://10.0.0.7:6379: queues testpackage; tasks testpackage.factorial; no key; 4 handlers at a time; leases of 30s"
    );
}

#[test]
fn the_ids_of_keys_are_reported_and_never_the_keys() {
    let codec = Codec::new(&both()).unwrap();
    let worker = started_at(WorkerConfig { codec, ..config() }, UNIX_AT_START);
    let line = texts(&worker, Level::Info).remove(0);
    assert!(line.contains("; keys k1, k2 and a password; "), "{line}");
    assert!(!format!("{line} {:?}", worker.events).contains("pass\""), "{line}");
}

#[test]
fn leases_of_connections_have_no_time() {
    let mut config = config();
    config.capabilities.lease = Lease::Connection;
    let worker = started_at(config, UNIX_AT_START);
    let line = texts(&worker, Level::Info).remove(0);
    assert!(line.contains("leases that end with their connection"), "{line}");
}

#[test]
fn only_the_first_message_is_reported() {
    let mut worker = started();
    worker.advance(Duration::from_secs(3600));
    assert!(texts(&worker, Level::Info).is_empty(), "an idle worker is silent");
    worker.deliver(&[]);
    assert!(texts(&worker, Level::Info).is_empty());
    worker.until_polled();
    worker.deliver(&["{", &our_body(1, None)]);
    let expected = "the worker received its first message: message 1 of queue testpackage; from now on it reports problems only";
    assert_eq!(texts(&worker, Level::Info), [expected]);
}

#[test]
fn a_drain_is_reported_once_with_the_handlers_that_run() {
    let mut worker = started();
    worker.running(&our_body(1, None));
    worker.events.clear();
    worker.feed(Input::Drain { limit: LIMIT });
    worker.feed(Input::Drain { limit: LIMIT / 2 });
    let expected =
        "the worker drains: it reserves no more messages; 1 handler runs, for at most 8s more";
    assert_eq!(texts(&worker, Level::Info), [expected]);

    let mut idle = started();
    idle.feed(Input::Drain { limit: LIMIT });
    assert_eq!(idle.events, [Event::Draining { running: 0, limit: LIMIT }]);
}

#[test]
fn the_limit_of_similar_lines_does_not_apply_to_them() {
    let mut limit = LogLimit::default();
    let event = Event::Draining { running: 1, limit: LIMIT };
    assert!((0..100).all(|_| limit.admits(&event, Moment::EPOCH)));
}

use std::time::Duration;

use super::scenario::*;
use crate::event::{DegradedReason, Event, Part, ReleaseReason};
use crate::id::OpId;
use crate::queue::{DeadLetterSetting, Fault, FaultKind, QueueInfo, QueueOp, QueueReply, Reserved};
use crate::time::WallClock;
use crate::worker::{Input, InvalidConfig, Output, Worker};

fn empty() -> QueueReply {
    QueueReply::Reserved(Reserved::default())
}

/// Time passes until the worker polls.
fn next_poll(worker: &mut Scenario) -> OpId {
    loop {
        match worker.take_poll() {
            Some((poll, _)) => return poll,
            None => worker.advance(Duration::from_millis(100)),
        }
    }
}

#[test]
fn a_new_worker_long_polls_for_as_many_messages_as_it_has_slots() {
    let mut worker = started();
    let (_, op) = worker.ops.pop_front().unwrap();
    let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(30));
    assert_eq!(op, QueueOp::Reserve { queue: queue(), count: 10, lease, wait });
}

#[test]
fn slots_are_never_exceeded() {
    let mut worker = started_with(config().with_concurrency(2));
    let body = plain_body();
    worker.deliver(&[&body, &body]);
    assert_eq!(worker.runs.len(), 2);
    worker.run_on();
    worker.deliver(&[&body]);
    assert_eq!(worker.runs.len(), 2);
    assert!(worker.take_poll().is_none(), "a message waits for a slot already");
    let first = worker.runs[0].clone();
    worker.done(&first);
    assert_eq!(worker.runs.len(), 3);
}

#[test]
fn one_message_beyond_the_slots_is_held_and_the_others_are_released() {
    let mut worker = started_with(config().with_concurrency(1));
    let body = plain_body();
    worker.deliver(&[&body, &body, &body]);
    assert_eq!(worker.worker.load().running, 1);
    let (op, delay) = worker.take_release().unwrap();
    assert_eq!(delay, Duration::ZERO);
    worker.reply(op, Ok(QueueReply::Released));
    assert!(
        worker.has_event(|event| matches!(
            event,
            Event::Released { reason: ReleaseReason::NoRoom, .. }
        ))
    );
    assert_eq!(worker.worker.load().held, 2);
}

#[test]
fn an_idle_worker_polls_every_thirty_seconds() {
    let mut worker = started();
    let mut polls = 0;
    for _ in 0..6 {
        if let Some((op, _)) = worker.take_poll() {
            polls += 1;
            worker.advance(Duration::from_secs(30));
            worker.reply(op, Ok(empty()));
        }
    }
    assert_eq!(polls, 6, "a poll lasts 30 seconds, and another follows it");
}

#[test]
fn a_missing_queue_is_created_and_then_polled() {
    let mut worker = started();
    let (poll, _) = worker.take_poll().unwrap();
    worker.reply_fault(poll, FaultKind::NoQueue);
    let (op, ()) =
        worker.take(|op| matches!(op, QueueOp::CreateQueue { .. }).then_some(())).unwrap();
    assert!(worker.take_poll().is_none());
    worker.reply(op, Ok(QueueReply::Queue(Box::new(QueueInfo::new(queue())))));
    assert!(worker.take_poll().is_some());
}

#[test]
fn a_missing_queue_that_must_not_be_created_is_polled_at_growing_intervals() {
    let mut worker = started_with(config().without_creating_queues());
    let mut polls = 0;
    for _ in 0..600 {
        while let Some((poll, _)) = worker.take_poll() {
            polls += 1;
            worker.reply_fault(poll, FaultKind::NoQueue);
        }
        worker.advance(Duration::from_millis(100));
    }
    assert!((10..=40).contains(&polls), "{polls} polls in a minute");
}

#[test]
fn entries_that_cannot_be_handled_do_not_delay_the_messages_behind_them() {
    let mut worker = started();
    for _ in 0..100 {
        let (poll, count) = worker.take_poll().expect("the queue is polled again");
        let reserved = Reserved { messages: Vec::new(), unusable: count };
        worker.reply(poll, Ok(QueueReply::Reserved(reserved)));
        assert!(
            worker.take_poll().is_none(),
            "a server that returns nothing else is polled slowly"
        );
        worker.advance(Duration::from_millis(10));
    }
}

#[test]
fn a_failing_queue_is_polled_at_most_twice_a_second_and_reported_once() {
    let mut worker = started();
    let mut polls = 0;
    for _ in 0..600 {
        while let Some((poll, _)) = worker.take_poll() {
            polls += 1;
            worker.reply_fault(poll, FaultKind::Unreachable);
        }
        worker.advance(Duration::from_millis(100));
    }
    assert!((5..=121).contains(&polls), "{polls} polls in a minute");
    let is_degraded = |event: &&Event| {
        matches!(event, Event::Degraded { part: Part::Queue(_), why: DegradedReason::Queue(_) })
    };
    assert_eq!(worker.events.iter().filter(is_degraded).count(), 1);
}

#[test]
fn the_recovery_of_a_queue_is_reported() {
    let mut worker = started();
    for _ in 0..5 {
        let poll = next_poll(&mut worker);
        worker.reply_fault(poll, FaultKind::ServerError);
    }
    worker.advance(Duration::from_secs(20));
    let (poll, _) = worker.take_poll().unwrap();
    worker.reply(poll, Ok(empty()));
    assert!(worker.events.contains(&Event::Recovered { part: Part::Queue(queue()) }));
}

#[test]
fn a_reply_that_cannot_be_decoded_is_reported_even_if_the_next_one_is_valid() {
    let mut worker = started();
    for round in 1..=2 {
        let poll = next_poll(&mut worker);
        worker.reply_fault(poll, FaultKind::BadReply);
        let degraded = worker.events.iter().filter(|event| matches!(event, Event::Degraded { .. }));
        assert_eq!(degraded.count(), round);
        let poll = next_poll(&mut worker);
        worker.reply(poll, Ok(empty()));
    }
}

#[test]
fn refused_credentials_are_tried_once_a_minute() {
    let mut worker = started();
    let (poll, _) = worker.take_poll().unwrap();
    worker.reply_fault(poll, FaultKind::Unauthorized);
    assert!(
        worker.has_event(|event| matches!(event, Event::Degraded { .. })),
        "reported immediately"
    );
    worker.advance(Duration::from_secs(59));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_secs(2));
    assert!(worker.take_poll().is_some());
}

#[test]
fn a_nudge_ends_the_pause_of_an_empty_queue_but_not_of_a_failing_one() {
    let mut config = config();
    config.capabilities.long_poll = Duration::ZERO;
    let mut worker = started_with(config);
    let (poll, _) = worker.take_poll().unwrap();
    worker.reply(poll, Ok(empty()));
    assert!(worker.take_poll().is_none());
    worker.feed(Input::Nudge(queue()));
    let (poll, _) = worker.take_poll().unwrap();
    worker.reply_fault(poll, FaultKind::Unauthorized);
    worker.feed(Input::Nudge(queue()));
    assert!(worker.take_poll().is_none());
}

#[test]
fn of_the_pauses_of_concurrent_polls_the_longest_applies() {
    let mut config = config().with_concurrency(3);
    config.capabilities.batch.reserve = 1;
    let mut worker = started_with(config);
    worker.deliver(&[&plain_body()]);
    let (first, _) = worker.take_poll().unwrap();
    worker.feed(Input::Tick);
    let (second, _) = worker.take_poll().unwrap();
    let alone = Fault::new(FaultKind::TooManyRequests).with_retry_after(Duration::from_secs(30));
    worker.reply(first, Err(alone));
    worker.reply_fault(second, FaultKind::ServerError);
    worker.advance(Duration::from_secs(29));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_secs(2));
    assert!(worker.take_poll().is_some());
}

#[test]
fn a_queue_missing_just_after_its_creation_is_polled_with_pauses() {
    let mut worker = started();
    let mut created = 0;
    for _ in 0..100 {
        while let Some((poll, _)) = worker.take_poll() {
            worker.reply_fault(poll, FaultKind::NoQueue);
            let create = worker.take(|op| matches!(op, QueueOp::CreateQueue { .. }).then_some(()));
            if let Some((op, ())) = create {
                created += 1;
                worker.reply(op, Ok(QueueReply::Queue(Box::new(QueueInfo::new(queue())))));
            }
        }
        worker.advance(Duration::from_millis(100));
    }
    assert!((2..=21).contains(&created), "created {created} times in ten seconds");
}

#[test]
fn a_paused_worker_releases_the_messages_of_its_last_poll() {
    let mut worker = started();
    worker.feed(Input::Pause);
    worker.deliver(&[&plain_body()]);
    assert!(worker.runs.is_empty());
    assert!(worker.take_release().is_some());
    assert!(worker.take_poll().is_none());
    worker.feed(Input::Resume);
    assert!(worker.take_poll().is_some());
}

#[test]
fn the_skew_of_the_clocks_is_known_until_the_own_clock_is_set() {
    let mut worker = Worker::new(config(), [7; 32], WallClock::new(UNIX_AT_START)).unwrap();
    worker.handle_input(Input::Tick, crate::Moment::EPOCH).unwrap();
    assert_eq!(worker.metrics(crate::Moment::EPOCH).clock_skew, None);
    let op = loop {
        if let Output::Queue(op, QueueOp::GetQueue { .. }) = worker.poll_output() {
            break op;
        }
    };
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let now = crate::Moment::after_epoch(second);
    let mut info = QueueInfo::new(queue());
    info.server_time = Some(UNIX_AT_START + second - minute);
    worker.handle_input(Input::Queue(op, Ok(QueueReply::Queue(Box::new(info)))), now).unwrap();
    assert_eq!(worker.metrics(now + minute).clock_skew, Some(minute));
    worker.handle_input(Input::Clock(WallClock::new(UNIX_AT_START - minute)), now).unwrap();
    assert_eq!(worker.metrics(now).clock_skew, None);
}

#[test]
fn a_dead_letter_rule_of_the_server_is_reported_at_the_start() {
    let mut worker = Worker::new(config(), [7; 32], WallClock::new(UNIX_AT_START)).unwrap();
    worker.handle_input(Input::Tick, crate::Moment::EPOCH).unwrap();
    assert!(matches!(worker.poll_output(), Output::Event(Event::WorkerStarted(_))));
    let Output::Queue(op, QueueOp::GetQueue { queue }) = worker.poll_output() else {
        panic!("the queue's settings were not requested");
    };
    let mut info = QueueInfo::new(queue.clone());
    info.settings.dead_letter =
        Some(DeadLetterSetting { queue: Some(queue.clone()), max_reservations: Some(3) });
    worker
        .handle_input(Input::Queue(op, Ok(QueueReply::Queue(Box::new(info)))), crate::Moment::EPOCH)
        .unwrap();
    let reported = std::iter::from_fn(|| match worker.poll_output() {
        Output::Wait(_) => None,
        output => Some(output),
    })
    .any(|output| matches!(output, Output::Event(Event::ServerSideDeadLetter { .. })));
    assert!(reported);
}

#[test]
fn an_invalid_configuration_is_refused_with_the_broken_rule() {
    use crate::name::{QueueName, TaskName};
    let new = |config| Worker::new(config, [0; 32], WallClock::default()).map(|_| ());
    let dead = queue().dead_letter_queue().unwrap();
    assert_eq!(new(config().with_concurrency(0)), Err(InvalidConfig::Concurrency(0)));
    let many = 1_000_000_000;
    assert_eq!(new(config().with_concurrency(many)), Err(InvalidConfig::Concurrency(many)));
    assert_eq!(new(config().with_max_deliveries(1)), Err(InvalidConfig::MaxDeliveries(1)));
    assert_eq!(new(config().with_weight(queue(), 0)), Err(InvalidConfig::Weight(queue())));
    assert_eq!(
        new(config().with_weight(dead.clone(), 2)),
        Err(InvalidConfig::WeightOfUnservedQueue(dead.clone()))
    );
    let unknown = TaskName::new("nobody.knows").unwrap();
    assert_eq!(
        new(config().with_reserve_time(unknown.clone(), Duration::from_secs(60))),
        Err(InvalidConfig::ReserveTimeOfUnknownTask(unknown))
    );
    assert_eq!(new(config().with_route(dead.clone())), Err(InvalidConfig::ServesDeadLetters(dead)));
    assert!(matches!(
        new(config().with_lease(Duration::from_millis(10))),
        Err(InvalidConfig::Lease { .. })
    ));
    let long = QueueName::new(&"x".repeat(255)).unwrap();
    assert!(matches!(new(config().with_route(long)), Err(InvalidConfig::QueueName(_))));
}

#[test]
fn routes_and_priorities_are_queues_of_their_own() {
    use crate::name::{Priority, QueueName};
    let route = QueueName::new("eu").unwrap();
    let mut worker =
        started_with(config().with_route(route).with_priority(Priority::new(5).unwrap()));
    let mut polled = Vec::new();
    while let Some((_, queue)) = worker.take(|op| match op {
        QueueOp::Reserve { queue, .. } => Some(queue.clone()),
        _ => None,
    }) {
        polled.push(queue.as_str().to_owned());
    }
    assert_eq!(polled, ["eu.p5", "testpackage.p5", "eu", "testpackage"]);
}

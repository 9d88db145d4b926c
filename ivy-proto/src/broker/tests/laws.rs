//! Properties of the broker for any inputs.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::scenario::{name, new_message};
use crate::broker::{
    Broker, BrokerConfig, Delivery, Input, Output, Refusal, Request, RequestId, Requeue, Response,
    Target,
};
use crate::misuse::Misuse;
use crate::queue::{DeadLetterSetting, QueueSettings};
use crate::{MessageId, Moment, QueueName, ReservationId};

/// An hour before the end of the clock: late enough for sums to reach the end.
const LATE: Moment = Moment::from_nanos(Moment::FOREVER.as_nanos() - 3_600_000_000_000);

fn queue() -> impl Strategy<Value = QueueName> {
    select(vec!["a", "b", "dead"]).prop_map(name)
}

/// Durations that are valid, just out of range, or absurd.
fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => (0u64..5).prop_map(Duration::from_secs),
        1 => select(vec![
            Duration::from_nanos(1),
            Duration::from_secs(30),
            Duration::from_secs(86_400),
            Duration::from_secs(2_592_001),
            Duration::MAX,
        ]),
    ]
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0usize..5, 1 => select(vec![100, 101, usize::MAX])]
}

/// Messages that exist once the broker has posted some, and texts that are not ids.
fn message() -> impl Strategy<Value = MessageId> {
    prop_oneof![
        5 => (1u64..20).prop_map(|number| (1_000_000_000_000_000_000 + number).to_string()),
        1 => ".{0,20}",
        1 => "[0-9]{19}",
    ]
    .prop_map(MessageId::new)
}

/// A message with a reservation that was never assigned, or none.
fn target() -> impl Strategy<Value = Target> {
    let reservation = prop_oneof![3 => Just(None), 1 => "[0-9a-f]{32}".prop_map(Some), 1 => ".{0,40}".prop_map(Some)];
    (message(), reservation).prop_map(|(message, reservation)| Target {
        message,
        reservation: reservation.map(ReservationId::new),
    })
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let rule = (proptest::option::of(queue()), proptest::option::of(0u32..4))
        .prop_map(|(queue, max_reservations)| DeadLetterSetting { queue, max_reservations });
    let reservable = prop_oneof![4 => Just(None), 1 => Just(Some(false))];
    let duration = || proptest::option::of(duration());
    (reservable, duration(), duration(), proptest::option::of(rule)).prop_map(
        |(reservable, message_timeout, message_expiration, dead_letter)| QueueSettings {
            reservable,
            message_timeout,
            message_expiration,
            dead_letter,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let messages = || vec(duration().prop_map(|delay| new_message("body", delay)), 0..4);
    prop_oneof![
        3 => (queue(), messages())
            .prop_map(|(queue, messages)| Request::Post { queue, messages }),
        3 => (queue(), messages())
            .prop_map(|(queue, messages)| Request::PostEach { queue, messages }),
        8 => (queue(), count(), proptest::option::of(duration()), duration(), any::<bool>())
            .prop_map(|(queue, count, timeout, wait, delete)| Request::Reserve {
                queue, count, timeout, wait, delete,
            }),
        1 => (queue(), count()).prop_map(|(queue, count)| Request::Peek { queue, count }),
        1 => (queue(), message())
            .prop_map(|(queue, message)| Request::GetMessage { queue, message }),
        2 => (queue(), target()).prop_map(|(queue, target)| Request::Delete { queue, target }),
        1 => (queue(), vec(target(), 0..4))
            .prop_map(|(queue, targets)| Request::DeleteMany { queue, targets }),
        1 => (queue(), vec(target(), 0..4))
            .prop_map(|(queue, targets)| Request::DeleteEach { queue, targets }),
        1 => (queue(), target(), proptest::option::of(duration()))
            .prop_map(|(queue, target, timeout)| Request::Touch { queue, target, timeout }),
        1 => (queue(), target(), duration(), any::<bool>()).prop_map(
            |(queue, target, delay, failed)| Request::Release { queue, target, delay, failed }
        ),
        1 => queue().prop_map(|queue| Request::Clear { queue }),
        1 => queue().prop_map(|queue| Request::GetQueue { queue }),
        1 => queue().prop_map(|queue| Request::DeleteQueue { queue }),
        3 => (queue(), settings())
            .prop_map(|(queue, settings)| Request::PutQueue { queue, settings }),
        1 => (queue(), settings())
            .prop_map(|(queue, settings)| Request::PatchQueue { queue, settings }),
        1 => (".{0,3}", ".{0,3}", count()).prop_map(|(prefix, previous, per_page)| {
            Request::ListQueues { prefix, previous, per_page }
        }),
    ]
}

pub(super) fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        2 => Just(Input::Tick),
        10 => (0u64..30, request()).prop_map(|(id, request)| Input::Request(RequestId(id), request)),
        1 => (0u64..30).prop_map(|id| Input::Abandon(RequestId(id))),
    ]
}

/// Unordered stamps at the beginning and the end of the clock.
pub(super) fn stamp() -> impl Strategy<Value = Moment> {
    prop_oneof![
        20 => (0u64..20).prop_map(|seconds| Moment::after_epoch(Duration::from_secs(seconds))),
        1 => (0u64..3600).prop_map(|seconds| LATE + Duration::from_secs(seconds)),
        1 => Just(Moment::FOREVER),
    ]
}

pub(super) fn config() -> impl Strategy<Value = BrokerConfig> {
    (any::<bool>(), any::<bool>()).prop_map(|(strict, back)| {
        let requeue = if back { Requeue::Back } else { Requeue::Front };
        BrokerConfig::default().with_strict(strict).with_requeue(requeue)
    })
}

pub(super) type RequestResult = (RequestId, Result<Response, Refusal>);

/// The pending responses, and the output after them.
pub(super) fn drain(broker: &mut Broker) -> (Vec<RequestResult>, Output) {
    let mut responses = Vec::new();
    loop {
        match broker.poll_output() {
            Output::Response(id, response) => responses.push((id, response)),
            wait @ Output::Wait(_) => return (responses, wait),
        }
    }
}

/// Everything that can be read from a broker without changing it.
fn seen(broker: &mut Broker, now: Moment) -> Vec<Result<Response, Refusal>> {
    let mut requests = Vec::new();
    for queue in ["a", "b", "dead"].map(name) {
        requests.push(Request::GetQueue { queue: queue.clone() });
        requests.push(Request::Peek { queue: queue.clone(), count: 100 });
        for number in 1..10u64 {
            let message = MessageId::new((1_000_000_000_000_000_000 + number).to_string());
            requests.push(Request::GetMessage { queue: queue.clone(), message });
        }
    }
    let requested = requests.into_iter().map(|request| {
        broker.handle_input(Input::Request(RequestId(u64::MAX), request), now).unwrap();
        drain(broker).0.remove(0).1
    });
    requested.collect()
}

proptest! {
    #[test]
    fn the_next_deadline_is_always_in_the_future(
        config in config(),
        inputs in vec((input(), stamp()), 1..80),
    ) {
        let mut broker = Broker::new(config, [1; 32]);
        let mut now = Moment::EPOCH;
        for (input, stamp) in inputs {
            // Misuse changes nothing, not even the time.
            if broker.handle_input(input, stamp).is_ok() {
                now = now.max(stamp);
            }
            if let (_, Output::Wait(Some(deadline))) = drain(&mut broker) {
                prop_assert!(deadline.at > now);
            }
        }
        while let (_, Output::Wait(Some(deadline))) = drain(&mut broker) {
            prop_assert!(deadline.at > now);
            now = deadline.at;
            broker.handle_input(Input::Tick, now).unwrap();
        }
    }

    #[test]
    fn each_request_is_answered_once_unless_it_is_abandoned(
        config in config(),
        steps in vec((request(), proptest::option::weighted(0.1, 0u64..5), 0u64..3), 1..80),
    ) {
        let mut broker = Broker::new(config, [1; 32]);
        let mut now = Moment::EPOCH;
        let mut open = std::collections::BTreeSet::new();
        for (id, (request, abandoned, seconds)) in (0..).zip(steps) {
            now = now + Duration::from_secs(seconds);
            broker.handle_input(Input::Request(RequestId(id), request), now).unwrap();
            open.insert(RequestId(id));
            for (finished, _) in drain(&mut broker).0 {
                prop_assert!(open.remove(&finished));
            }
            if let Some(back) = abandoned {
                let abandoned = RequestId(id.saturating_sub(back));
                broker.handle_input(Input::Abandon(abandoned), now).unwrap();
                open.remove(&abandoned);
            }
        }
        broker.handle_input(Input::Tick, now + Duration::from_secs(30)).unwrap();
        for (finished, _) in drain(&mut broker).0 {
            prop_assert!(open.remove(&finished));
        }
        prop_assert!(open.is_empty());
    }

    #[test]
    fn the_same_seed_and_inputs_give_the_same_outputs(
        config in config(),
        inputs in vec((input(), stamp()), 1..80),
    ) {
        let run = || {
            let mut broker = Broker::new(config.clone(), [9; 32]);
            let feed = |(input, stamp): &(Input, Moment)| {
                (broker.handle_input(input.clone(), *stamp), drain(&mut broker))
            };
            inputs.iter().map(feed).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn late_polling_loses_and_reorders_nothing(inputs in vec((input(), stamp()), 1..80)) {
        let mut polled = Broker::new(BrokerConfig::default(), [9; 32]);
        let mut left_alone = Broker::new(BrokerConfig::default(), [9; 32]);
        let mut responses = Vec::new();
        for (input, stamp) in inputs {
            let _ = polled.handle_input(input.clone(), stamp);
            responses.extend(drain(&mut polled).0);
            let _ = left_alone.handle_input(input, stamp);
        }
        prop_assert_eq!(drain(&mut left_alone).0, responses);
    }

    #[test]
    fn misuse_and_a_clock_set_back_change_nothing(
        config in config(),
        inputs in vec((input(), stamp()), 1..60),
    ) {
        let mut broker = Broker::new(config, [1; 32]);
        let mut now = Moment::EPOCH;
        let waits = Request::Reserve {
            queue: name("a"),
            count: 1,
            timeout: None,
            wait: Duration::from_secs(30),
            delete: false,
        };
        for (input, stamp) in inputs {
            if broker.handle_input(input, stamp).is_ok() {
                now = now.max(stamp);
            }
            drain(&mut broker);
            let before = (seen(&mut broker, now), drain(&mut broker).1);
            broker.handle_input(Input::Tick, Moment::EPOCH).unwrap();
            prop_assert_eq!(&(seen(&mut broker, now), drain(&mut broker).1), &before);
            // A request that waits with this id, if the queue exists and is empty.
            let id = RequestId(u64::MAX - 1);
            broker.handle_input(Input::Request(id, waits.clone()), now).unwrap();
            // It may also let others be answered.
            if drain(&mut broker).0.iter().all(|(answered, _)| *answered != id) {
                let before = (seen(&mut broker, now), drain(&mut broker).1);
                let again = Input::Request(id, waits.clone());
                let misuse = broker.handle_input(again, now + Duration::from_secs(3600));
                prop_assert_eq!(misuse, Err(Misuse::RequestInUse(id)));
                prop_assert_eq!(&(seen(&mut broker, now), drain(&mut broker).1), &before);
                broker.handle_input(Input::Abandon(id), now).unwrap();
            }
        }
    }

    #[test]
    fn a_tick_before_the_deadline_does_nothing(
        config in config(),
        inputs in vec((input(), stamp()), 1..60),
    ) {
        let mut broker = Broker::new(config, [1; 32]);
        for (input, stamp) in inputs {
            let _ = broker.handle_input(input, stamp);
        }
        let (_, wait) = drain(&mut broker);
        if let Output::Wait(Some(deadline)) = &wait {
            let just_before = Moment::from_nanos(deadline.at.as_nanos() - 1);
            broker.handle_input(Input::Tick, just_before).unwrap();
            prop_assert_eq!(drain(&mut broker), (Vec::new(), wait));
        }
    }

    #[test]
    fn posted_messages_are_delivered_or_still_queued_and_waiters_are_served(
        posts in vec((1usize..4, 0u64..5), 1..10),
        takes in 0usize..20,
    ) {
        let mut broker = Broker::new(BrokerConfig::default(), [1; 32]);
        let mut now = Moment::EPOCH;
        let mut posted = 0;
        for (id, (count, delay)) in (0..).map(RequestId).zip(posts) {
            let messages = vec![new_message("body", Duration::from_secs(delay)); count];
            let post = Request::Post { queue: name("a"), messages };
            broker.handle_input(Input::Request(id, post), now).unwrap();
            posted += count;
        }
        drain(&mut broker);
        let mut had = 0;
        for id in (100..).map(RequestId).take(takes) {
            let reserve = Request::Reserve {
                queue: name("a"),
                count: 1,
                timeout: None,
                wait: Duration::from_secs(30),
                delete: true,
            };
            broker.handle_input(Input::Request(id, reserve), now).unwrap();
            let responses = loop {
                match drain(&mut broker) {
                    (responses, Output::Wait(Some(deadline))) if responses.is_empty() => {
                        now = deadline.at;
                        broker.handle_input(Input::Tick, now).unwrap();
                    }
                    (responses, _) => break responses,
                }
            };
            let Some((_, Ok(Response::Reserved(deliveries)))) = responses.into_iter().next() else {
                panic!("a reserve must get a response")
            };
            // A waiter receives the next message as long as there is one.
            prop_assert_eq!(deliveries.len(), usize::from(had < posted));
            had += deliveries.len();
        }
        let get = Request::GetQueue { queue: name("a") };
        broker.handle_input(Input::Request(RequestId(0), get), now).unwrap();
        let Ok(Response::Queue(info)) = drain(&mut broker).0.remove(0).1 else { panic!("a queue") };
        prop_assert_eq!(info.size, Some((posted - had) as u64));
    }

    #[test]
    fn a_refused_request_changes_nothing(
        config in config(),
        requests in vec(request(), 1..30),
    ) {
        let now = Moment::EPOCH;
        let mut broker = Broker::new(config, [1; 32]);
        for (id, request) in (0..).map(RequestId).zip(requests) {
            let before = seen(&mut broker, now);
            broker.handle_input(Input::Request(id, request.clone()), now).unwrap();
            let (responses, _) = drain(&mut broker);
            if responses.iter().any(|(finished, response)| *finished == id && response.is_err()) {
                prop_assert_eq!(seen(&mut broker, now), before, "{:?}", request);
            }
        }
    }

    #[test]
    fn a_stale_reservation_never_changes_a_message(
        ways in vec((0usize..4, 0usize..3), 1..30),
    ) {
        let mut broker = Broker::new(BrokerConfig::default(), [1; 32]);
        let mut now = Moment::EPOCH;
        let queue = name("a");
        let mut ids = 0;
        let mut send = |broker: &mut Broker, request: Request, now: Moment| {
            ids += 1;
            broker.handle_input(Input::Request(RequestId(ids), request), now).unwrap();
            drain(broker).0.remove(0).1
        };
        let post = Request::Post {
            queue: queue.clone(),
            messages: vec![new_message("body", Duration::ZERO)],
        };
        send(&mut broker, post, now).unwrap();
        let mut stale: Vec<Target> = Vec::new();
        for (end, misuse) in ways {
            let reserve = Request::Reserve {
                queue: queue.clone(),
                count: 1,
                timeout: None,
                wait: Duration::ZERO,
                delete: false,
            };
            let Ok(Response::Reserved(deliveries)) = send(&mut broker, reserve, now) else {
                panic!("a reserve must get a response")
            };
            let target = |delivery: &Delivery| Target {
                message: delivery.message.clone(),
                reservation: Some(delivery.reservation.clone()),
            };
            let held = target(&deliveries[0]);
            stale.push(held.clone());
            let release = |target: Target, seconds| Request::Release {
                queue: queue.clone(),
                target,
                delay: Duration::from_secs(seconds),
                failed: false,
            };
            // All ways in which a reservation ends while its message stays.
            let touch = Request::Touch { queue: queue.clone(), target: held.clone(), timeout: None };
            match end {
                0 => now = now + Duration::from_secs(60),
                1 => drop(send(&mut broker, touch, now)),
                2 => drop(send(&mut broker, release(held, 0), now)),
                _ => drop(send(&mut broker, release(held, 60), now)),
            }
            let before = seen(&mut broker, now);
            for target in &stale {
                let (queue, target) = (queue.clone(), target.clone());
                let request = match misuse {
                    0 => Request::Delete { queue, target },
                    1 => Request::Touch { queue, target, timeout: None },
                    _ => {
                        let delay = Duration::ZERO;
                        Request::Release { queue, target, delay, failed: false }
                    }
                };
                prop_assert_eq!(
                    send(&mut broker, request, now),
                    Err(Refusal::ReservationTimedOut)
                );
            }
            prop_assert_eq!(seen(&mut broker, now), before);
            now = now + Duration::from_secs(60);
            broker.handle_input(Input::Tick, now).unwrap();
        }
    }
}

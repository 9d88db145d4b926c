//! Messages that this worker cannot handle and others may: given back, and by whom they are met next.

use std::time::Duration;

use super::scenario::*;
use crate::event::{Event, Part, ReleaseReason, Trouble};
use crate::name::TaskName;
use crate::queue::{QueueOp, QueueReply, Reserved};
use crate::time::Moment;
use crate::wire::crypto::samples::{key_id, key_secret};
use crate::wire::crypto::{Encryption, EntropyPool, Keyring, Keyset};
use crate::wire::{Codec, DeadLetter, DeadLetterReason, Envelope, LegacyKey};
use crate::worker::JobOutcome;

const UNKNOWN: &str = r#"{"name":"nobody.knows","options":{},"args":[]}"#;
const MISMATCH: &str = "argument 2 (u64) is missing";
const MINUTE: Duration = Duration::from_secs(60);

/// Takes the release that was asked for, and gives its delay in seconds.
fn given_back(worker: &mut Scenario) -> u64 {
    let (op, delay) = worker.take_release().expect("it is given back");
    worker.answer(op, Ok(QueueReply::Released));
    delay.as_secs()
}

/// Delivers the message of this id to a handler that does not take its arguments.
fn mismatch(worker: &mut Scenario, id: &str) {
    worker.until_polled();
    worker.deliver_again(id, &plain_body(), 1);
    let run = worker.runs.pop_front().expect("it is tried");
    worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
}

/// Runs a task that this worker knows to its end.
fn work(worker: &mut Scenario) {
    worker.until_polled();
    let run = worker.running(&plain_body());
    worker.done(&run);
    worker.advance(Duration::from_millis(50));
    let (delete, _) = worker.take_deletes().unwrap();
    worker.answer(delete, Ok(QueueReply::all_deleted(1)));
}

#[test]
fn b24_an_unknown_task_is_released_for_longer_and_longer_ten_times_and_then_dead_lettered() {
    let mut worker = started();
    let mut delays = Vec::new();
    for _ in 0..10 {
        worker.until_polled();
        worker.deliver_again("1", UNKNOWN, 1);
        delays.push(given_back(&mut worker));
    }
    assert_eq!(delays, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    worker.until_polled();
    worker.deliver_again("1", UNKNOWN, 1);
    assert!(worker.take_post().is_some());
}

#[test]
fn a_format_that_is_not_built_in_is_released_ten_times_and_then_dead_lettered_unchanged() {
    let mut worker = started();
    let body = "$mp1$k6R0ZXN0gJGheA";
    worker.release_ten_times("1", body);
    let (_, (_, copy)) = worker.take_post().unwrap();
    let letter = DeadLetter::parse(&copy.body).unwrap();
    assert_eq!((letter.reason, letter.attempts), (DeadLetterReason::UnsupportedFormat, 0));
    assert_eq!(letter.body.as_str(), body);
}

#[test]
fn what_others_have_done_with_a_message_counts_for_nothing() {
    let mut worker = started();
    worker.deliver_again("1", UNKNOWN, 1_000);
    assert_eq!(given_back(&mut worker), 5);
}

#[test]
fn arguments_that_this_version_does_not_take_are_released_ten_times_without_an_attempt() {
    let mut worker = started();
    let mut delays = Vec::new();
    for _ in 0..10 {
        mismatch(&mut worker, "1");
        assert_eq!(worker.worker.load().running, 0, "its slot is free");
        delays.push(given_back(&mut worker));
    }
    assert_eq!(delays, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    mismatch(&mut worker, "1");
    let (_, (_, copy)) = worker.take_post().unwrap();
    let letter = DeadLetter::parse(&copy.body).unwrap();
    assert_eq!((letter.reason, letter.attempts), (DeadLetterReason::BadArgs, 0));
    assert_eq!(worker.executed(), [], "it was never run");
}

#[test]
fn releases_of_this_worker_are_not_taken_for_lost_deliveries() {
    for body in [our_body(1, None), lost_body(3)] {
        let mut worker = started();
        for count in 1..=10 {
            worker.until_polled();
            worker.deliver_again("1", &body, count);
            let run = worker.runs.pop_front().expect("it is tried, and not replaced");
            worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
            given_back(&mut worker);
        }
        worker.until_polled();
        worker.deliver_again("1", &body, 12);
        let run = worker.runs.pop_front().expect("it is tried once more");
        worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
        let (_, (_, copy)) = worker.take_post().unwrap();
        assert_eq!(DeadLetter::parse(&copy.body).unwrap().reason, DeadLetterReason::BadArgs);
    }
}

#[test]
fn a_copy_of_a_task_that_this_worker_gave_back_is_tried_and_not_replaced() {
    let mut worker = started();
    worker.until_polled();
    worker.deliver_again("1", &lost_body(3), 1);
    let run = worker.runs.pop_front().unwrap();
    worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
    given_back(&mut worker);
    worker.until_polled();
    // Renewed and given back by others, too.
    worker.deliver_again("2", &lost_body(4), 7);
    assert_eq!(worker.runs.pop_front().unwrap().message.as_str(), "2");
}

#[test]
fn a_mismatch_reports_its_task_and_what_does_not_fit() {
    let mut worker = started();
    mismatch(&mut worker, "1");
    given_back(&mut worker);
    let text = worker.events.last().unwrap().to_string();
    assert!(text.contains(TASK) && text.contains(MISMATCH), "{text}");
    assert_eq!(worker.events.last().unwrap().level(), crate::event::Level::Warn);
}

#[test]
fn arguments_that_are_no_array_are_dead_lettered_at_once() {
    let mut worker = started();
    worker.deliver(&[&plain_body().replace("[5]", "{}")]);
    assert!(worker.take_post().is_some());
}

#[test]
fn twenty_mismatches_in_a_row_let_their_task_rest_and_nothing_else() {
    let mut worker = started();
    for number in 0..20 {
        mismatch(&mut worker, &number.to_string());
        given_back(&mut worker);
    }
    let part = Part::Task { task: TaskName::new(TASK).unwrap(), queue: queue() };
    let why = Trouble::Task { reason: DeadLetterReason::BadArgs, detail: MISMATCH.to_owned() };
    let degraded = Event::Degraded { part: part.clone(), why };
    assert!(worker.events.contains(&degraded));
    assert!(degraded.to_string().contains(MISMATCH), "{degraded}");
    worker.until_polled();
    worker.deliver(&[&plain_body(), &plain_body(), UNKNOWN]);
    let tried = worker.runs.pop_front().unwrap();
    assert!(worker.runs.is_empty(), "one a second is tried");
    worker.end(&tried, JobOutcome::BadArgs(MISMATCH.to_owned()));
    assert_eq!(given_back(&mut worker), 300);
    let reason = ReleaseReason::Undecided(DeadLetterReason::BadArgs);
    let told = |event: &Event| {
        matches!(event, Event::Released { reason: why, detail: Some(detail), .. }
            if *why == reason && detail == MISMATCH)
    };
    assert!(worker.has_event(told));
    worker.advance(MINUTE);
    // The leases of what a look brings are as old as the look.
    worker.deliver(&[]);
    work(&mut worker);
    assert!(worker.events.contains(&Event::Recovered { part }));
}

#[test]
fn mismatches_beside_arguments_that_fit_do_not_let_their_task_rest() {
    let mut worker = started();
    work(&mut worker);
    for number in 100..200 {
        mismatch(&mut worker, &number.to_string());
        given_back(&mut worker);
    }
    work(&mut worker);
    assert!(!worker.has_event(|event| matches!(event, Event::Degraded { .. })));
}

#[test]
fn of_a_name_that_rests_nothing_is_dead_lettered_however_often_it_comes() {
    let mut worker = started();
    for round in 0..30 {
        for number in 0..20 {
            worker.until_polled();
            worker.deliver_again(&number.to_string(), UNKNOWN, round + 1);
            given_back(&mut worker);
        }
    }
    let degraded = worker.events.iter().filter(|event| matches!(event, Event::Degraded { .. }));
    assert_eq!(degraded.count(), 1, "told once");
}

#[test]
fn one_message_that_comes_again_and_again_is_no_sign_that_the_worker_lacks_something() {
    let mut worker = started();
    worker.release_ten_times("1", UNKNOWN);
    assert!(!worker.has_event(|event| matches!(event, Event::Degraded { .. })));
}

#[test]
fn a_worker_without_work_leaves_the_queue_to_others_after_a_task_of_theirs() {
    let mut worker = started();
    worker.deliver(&[UNKNOWN]);
    given_back(&mut worker);
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_secs(5));
    assert!(worker.take_poll().is_none(), "it is there again, and others come first");
    worker.advance(Duration::from_secs(5));
    let look = |op: &QueueOp| match op {
        QueueOp::Reserve { wait, .. } => Some(*wait),
        _ => None,
    };
    let (op, wait) = worker.take(look).unwrap();
    assert_eq!(wait, Duration::ZERO, "it looks, and does not wait");
    worker.answer(op, Ok(QueueReply::Reserved(Reserved::default())));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_secs(5));
    assert!(worker.take_poll().is_some());
    let shared = |event: &&Event| matches!(event, Event::QueueShared { .. });
    assert_eq!(worker.events.iter().filter(shared).count(), 1);
}

#[test]
fn a_worker_with_work_of_its_own_stays_beside_tasks_of_others() {
    let mut worker = started();
    work(&mut worker);
    for _ in 0..100 {
        worker.deliver(&[UNKNOWN]);
        given_back(&mut worker);
        assert!(!worker.ops.is_empty(), "it is polled at once");
    }
    assert!(!worker.has_event(|event| matches!(event, Event::QueueShared { .. })));
}

#[test]
fn work_that_came_with_tasks_of_others_ends_the_step_back() {
    let mut worker = started();
    worker.deliver(&[UNKNOWN, &plain_body()]);
    given_back(&mut worker);
    assert!(worker.take_poll().is_none());
    let run = worker.runs.pop_front().unwrap();
    worker.done(&run);
    worker.run_on();
    assert!(worker.take_poll().is_some());
}

#[test]
fn many_that_are_not_understood_beside_work_stay_away_for_the_longest_time() {
    let mut worker = started();
    work(&mut worker);
    // Whoever posts them changes names and reasons.
    let delays: Vec<u64> = (0..50)
        .map(|number| {
            let strange = UNKNOWN.replace("nobody", &format!("nobody{number}"));
            let later = our_body(1, None).replace("\"v\":1", "\"v\":9");
            worker.deliver(&[if number % 2 == 0 { &strange } else { &later }]);
            given_back(&mut worker)
        })
        .collect();
    assert_eq!((delays[0], delays[49]), (5, 300));
    assert!(!worker.ops.is_empty(), "the queue goes on");
}

/// A queue whose messages are sealed with another key of the same name.
fn behind_another_key() -> (Scenario, Codec) {
    let codec = |secret| {
        let ring = Keyring::new(Keyset::new(key_id("k1"), key_secret(secret)));
        Codec::new(&Encryption::new().with_keyring(ring)).unwrap()
    };
    let mut config = config();
    config.codec = codec(9);
    (started_with(config), codec(1))
}

fn sealed(codec: &Codec, number: u8) -> String {
    let envelope = Envelope::parse(&our_body(1, None)).unwrap();
    let mut pool = EntropyPool::from_seed(&[number; 32]);
    codec.seal(&envelope, &queue(), &mut pool).as_str().to_owned()
}

#[test]
fn a_worker_with_another_key_of_the_same_name_dead_letters_nothing_and_rests() {
    let (mut worker, sender) = behind_another_key();
    for number in 0..20 {
        worker.deliver(&[&sealed(&sender, number)]);
        given_back(&mut worker);
    }
    let why = Trouble::Messages(DeadLetterReason::BadTag);
    let degraded = Event::Degraded { part: Part::Messages(queue()), why };
    assert!(worker.events.contains(&degraded));
    assert!(worker.take_poll().is_none(), "the queue rests");
    for number in 20..60 {
        worker.until_polled();
        worker.deliver(&[&sealed(&sender, number)]);
        assert_eq!(given_back(&mut worker), 300);
    }
}

#[test]
fn a_tag_that_fails_is_dead_lettered_after_ten_releases() {
    let (mut worker, sender) = behind_another_key();
    worker.release_ten_times("1", &sealed(&sender, 1));
    assert!(worker.take_post().is_some());
}

#[test]
fn tags_that_fail_beside_messages_that_open_do_not_let_the_queue_rest() {
    let (mut worker, sender) = behind_another_key();
    let own = Keyring::new(Keyset::new(key_id("k1"), key_secret(9)));
    let own = Codec::new(&Encryption::new().with_keyring(own)).unwrap();
    let run = worker.running(&sealed(&own, 1));
    worker.done(&run);
    for number in 0..60 {
        worker.deliver(&[&sealed(&sender, number)]);
        given_back(&mut worker);
        assert!(!worker.ops.is_empty(), "the queue goes on");
    }
}

#[test]
fn a_worker_with_a_key_too_many_does_not_empty_a_readable_queue() {
    let mut config = config();
    config.codec = Codec::legacy(LegacyKey::new("by mistake").unwrap());
    let mut worker = started_with(config);
    let mut put_aside = 0;
    for _ in 0..40 {
        if worker.ops.is_empty() {
            worker.advance(Duration::from_secs(60));
        }
        worker.deliver(&[&plain_body()]);
        if let Some((post, _)) = worker.take_post() {
            put_aside += 1;
            worker.posted(post);
            worker.advance(Duration::from_millis(50));
            let (delete, _) = worker.take_deletes().unwrap();
            worker.answer(delete, Ok(QueueReply::all_deleted(1)));
        }
        if let Some((release, _)) = worker.take_release() {
            worker.answer(release, Ok(QueueReply::Released));
        }
    }
    assert_eq!(put_aside, 19, "after twenty in a row, none any more");
}

/// Plays a queue with so many messages that nobody knows in front of a good one, and gives how long
/// the good one waits.
fn wait_behind(unknown: usize) -> Duration {
    let mut worker = started();
    let mut hidden: Vec<(Moment, usize)> = (0..unknown).map(|_| (Moment::EPOCH, 0)).collect();
    let started_at = worker.now;
    let good = plain_body();
    loop {
        let now = worker.now;
        let Some((poll, count)) = worker.take_poll() else {
            worker.advance(Duration::from_secs(1));
            continue;
        };
        let mut messages = Vec::new();
        for (index, (visible_at, deliveries)) in hidden.iter_mut().enumerate() {
            if *visible_at <= now && messages.len() < count {
                *deliveries += 1;
                messages.push(worker.numbered(index, UNKNOWN, *deliveries as u32));
            }
        }
        if messages.len() < count {
            messages.push(worker.numbered(unknown, &good, 1));
        }
        let reserved = Reserved { messages, unusable: 0 };
        worker.answer(poll, Ok(QueueReply::Reserved(reserved)));
        while let Some((op, (receipt, delay))) = worker.take_release_of() {
            let index: usize = receipt.message.as_str().parse().unwrap();
            if let Some(message) = hidden.get_mut(index) {
                message.0 = worker.now + delay;
            }
            worker.answer(op, Ok(QueueReply::Released));
        }
        if !worker.runs.is_empty() {
            return worker.now.since(started_at);
        }
    }
}

#[test]
fn a_good_message_is_reached_behind_however_many_that_nobody_knows() {
    for unknown in [19, 40, 130, 1000] {
        let waited = wait_behind(unknown);
        assert!(waited <= Duration::from_secs(420), "{waited:?} behind {unknown}");
    }
}

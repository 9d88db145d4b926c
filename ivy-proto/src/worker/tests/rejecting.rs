//! Messages that this worker cannot process but others may: when they are released, and which
//! worker receives them next.

use std::time::Duration;

use super::scenario::*;
use crate::event::{DegradedReason, Event, Part, ReleaseReason};
use crate::id::OpId;
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

/// Takes the requested release, and returns its delay in seconds.
fn take_released(worker: &mut Scenario) -> u64 {
    let (op, delay) = worker.take_release().expect("it is released");
    worker.reply(op, Ok(QueueReply::Released));
    delay.as_secs()
}

/// Delivers the message of this id to a handler that does not accept its arguments.
fn mismatch(worker: &mut Scenario, id: &str) {
    worker.until_polled();
    worker.deliver_again(id, &plain_body(), 1);
    let run = worker.runs.pop_front().expect("it is tried");
    worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
}

/// Runs a task of this worker to its end.
fn work(worker: &mut Scenario) {
    worker.until_polled();
    let run = worker.running(&plain_body());
    worker.done(&run);
    worker.advance(Duration::from_millis(50));
    let (delete, _) = worker.take_deletes().unwrap();
    worker.reply(delete, Ok(QueueReply::all_deleted(1)));
}

#[test]
fn an_unknown_task_is_released_ten_times_with_growing_delays_and_then_dead_lettered() {
    let mut worker = started();
    let mut delays = Vec::new();
    for _ in 0..10 {
        worker.until_polled();
        worker.deliver_again("1", UNKNOWN, 1);
        delays.push(take_released(&mut worker));
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
fn deliveries_to_other_workers_do_not_count() {
    let mut worker = started();
    worker.deliver_again("1", UNKNOWN, 1_000);
    assert_eq!(take_released(&mut worker), 5);
}

#[test]
fn mismatched_arguments_are_released_ten_times_without_an_attempt() {
    let mut worker = started();
    let mut delays = Vec::new();
    for _ in 0..10 {
        mismatch(&mut worker, "1");
        assert_eq!(worker.worker.load().running, 0, "its slot is free");
        delays.push(take_released(&mut worker));
    }
    assert_eq!(delays, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    mismatch(&mut worker, "1");
    let (_, (_, copy)) = worker.take_post().unwrap();
    let letter = DeadLetter::parse(&copy.body).unwrap();
    assert_eq!((letter.reason, letter.attempts), (DeadLetterReason::BadArgs, 0));
    assert_eq!(worker.executed(), [], "it was never run");
}

#[test]
fn releases_of_this_worker_do_not_count_as_lost_deliveries() {
    for body in [our_body(1, None), lost_body(3)] {
        let mut worker = started();
        for count in 1..=10 {
            worker.until_polled();
            worker.deliver_again("1", &body, count);
            let run = worker.runs.pop_front().expect("it is tried, and not replaced");
            worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
            take_released(&mut worker);
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
fn a_copy_of_a_task_that_this_worker_released_is_tried_and_not_replaced() {
    let mut worker = started();
    worker.until_polled();
    worker.deliver_again("1", &lost_body(3), 1);
    let run = worker.runs.pop_front().unwrap();
    worker.end(&run, JobOutcome::BadArgs(MISMATCH.to_owned()));
    take_released(&mut worker);
    worker.until_polled();
    // Other workers renewed and released it, too.
    worker.deliver_again("2", &lost_body(4), 7);
    assert_eq!(worker.runs.pop_front().unwrap().message.as_str(), "2");
}

#[test]
fn a_mismatch_reports_its_task_and_the_reason() {
    let mut worker = started();
    mismatch(&mut worker, "1");
    take_released(&mut worker);
    let text = worker.events.last().unwrap().to_string();
    assert!(text.contains(TASK) && text.contains(MISMATCH), "{text}");
    assert_eq!(worker.events.last().unwrap().level(), crate::event::Level::Warn);
}

#[test]
fn arguments_that_are_not_an_array_are_dead_lettered_immediately() {
    let mut worker = started();
    worker.deliver(&[&plain_body().replace("[5]", "{}")]);
    assert!(worker.take_post().is_some());
}

#[test]
fn twenty_mismatches_in_a_row_pause_their_task_and_nothing_else() {
    let mut worker = started();
    for number in 0..20 {
        mismatch(&mut worker, &number.to_string());
        take_released(&mut worker);
    }
    let part = Part::Task { task: TaskName::new(TASK).unwrap(), queue: queue() };
    let why =
        DegradedReason::Task { reason: DeadLetterReason::BadArgs, detail: MISMATCH.to_owned() };
    let degraded = Event::Degraded { part: part.clone(), why };
    assert!(worker.events.contains(&degraded));
    assert!(degraded.to_string().contains(MISMATCH), "{degraded}");
    worker.until_polled();
    let again = |number| worker.numbered(number, &plain_body(), 2);
    let messages = vec![again(0), again(1), worker.numbered(20, UNKNOWN, 1)];
    worker.deliver_messages(messages);
    let tried = worker.runs.pop_front().unwrap();
    assert!(worker.runs.is_empty(), "one message a second is tried");
    worker.end(&tried, JobOutcome::BadArgs(MISMATCH.to_owned()));
    assert_eq!(take_released(&mut worker), 300);
    let reason = ReleaseReason::Undecided(DeadLetterReason::BadArgs);
    let is_release = |event: &Event| {
        matches!(event, Event::Released { reason: why, detail: Some(detail), .. }
            if *why == reason && detail == MISMATCH)
    };
    assert!(worker.has_event(is_release));
    worker.advance(MINUTE);
    // The reply to an old poll would bring an expired lease.
    worker.deliver(&[]);
    work(&mut worker);
    assert!(worker.events.contains(&Event::Recovered { part }));
}

#[test]
fn a_worker_is_no_longer_degraded_ten_minutes_after_the_last_of_these_messages() {
    let mut worker = started();
    for number in 0..20 {
        worker.until_polled();
        worker.deliver_again(&number.to_string(), UNKNOWN, 1);
        take_released(&mut worker);
    }
    let task = TaskName::new("nobody.knows").unwrap();
    let recovered = Event::Recovered { part: Part::Task { task, queue: queue() } };
    // An operator has deleted them all.
    let begin = worker.now;
    while !worker.events.contains(&recovered) {
        assert!(worker.now.since(begin) < MINUTE * 11, "it stays degraded");
        worker.until_polled();
        worker.deliver(&[]);
        worker.advance(MINUTE / 2);
    }
    assert!(worker.now.since(begin) >= MINUTE * 10);
}

#[test]
fn a_queue_whose_sealed_messages_are_gone_is_no_longer_degraded() {
    let (mut worker, sender) = behind_another_key();
    for number in 0..20 {
        worker.deliver(&[&sealed(&sender, number)]);
        take_released(&mut worker);
    }
    let begin = worker.now;
    while !worker.events.contains(&Event::Recovered { part: Part::Messages(queue()) }) {
        assert!(worker.now.since(begin) < MINUTE * 12, "it stays degraded");
        worker.until_polled();
        worker.deliver(&[]);
        worker.advance(MINUTE / 2);
    }
    assert!(worker.now.since(begin) >= MINUTE * 10);
}

#[test]
fn mismatches_next_to_matching_arguments_do_not_pause_their_task() {
    let mut worker = started();
    work(&mut worker);
    for number in 100..200 {
        mismatch(&mut worker, &number.to_string());
        take_released(&mut worker);
    }
    work(&mut worker);
    assert!(!worker.has_event(|event| matches!(event, Event::Degraded { .. })));
}

#[test]
fn no_message_of_a_paused_name_is_dead_lettered_however_often_it_is_delivered() {
    let mut worker = started();
    for round in 0..30 {
        for number in 0..20 {
            worker.until_polled();
            worker.deliver_again(&number.to_string(), UNKNOWN, round + 1);
            take_released(&mut worker);
        }
    }
    let degraded = worker.events.iter().filter(|event| matches!(event, Event::Degraded { .. }));
    assert_eq!(degraded.count(), 1, "reported once");
}

#[test]
fn one_message_delivered_again_and_again_does_not_degrade_its_queue() {
    let mut worker = started();
    worker.release_ten_times("1", UNKNOWN);
    assert!(!worker.has_event(|event| matches!(event, Event::Degraded { .. })));
}

#[test]
fn a_worker_without_work_yields_the_queue_after_a_task_of_another_program() {
    let mut worker = started();
    worker.deliver(&[UNKNOWN]);
    take_released(&mut worker);
    worker.advance(Duration::from_millis(2_499));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_millis(2_501));
    let wait_of_poll = |op: &QueueOp| match op {
        QueueOp::Reserve { wait, .. } => Some(*wait),
        _ => None,
    };
    let (op, wait) = worker.take(wait_of_poll).unwrap();
    assert_eq!(wait, Duration::ZERO, "it polls without waiting");
    worker.reply(op, Ok(QueueReply::Reserved(Reserved::default())));
    assert!(worker.take_poll().is_none());
    worker.advance(Duration::from_secs(5));
    assert!(worker.take_poll().is_some());
    let shared = |event: &&Event| matches!(event, Event::QueueShared { .. });
    assert_eq!(worker.events.iter().filter(shared).count(), 1);
}

#[test]
fn a_worker_with_work_does_not_yield_because_of_tasks_of_other_programs() {
    let mut worker = started();
    work(&mut worker);
    for _ in 0..100 {
        worker.deliver(&[UNKNOWN]);
        take_released(&mut worker);
        assert!(!worker.ops.is_empty(), "it is polled immediately");
    }
    assert!(!worker.has_event(|event| matches!(event, Event::QueueShared { .. })));
}

#[test]
fn work_that_arrives_with_tasks_of_other_programs_ends_the_yield() {
    let mut worker = started();
    worker.deliver(&[UNKNOWN, &plain_body()]);
    take_released(&mut worker);
    assert!(worker.take_poll().is_none());
    let run = worker.runs.pop_front().unwrap();
    worker.done(&run);
    worker.run_on();
    assert!(worker.take_poll().is_some());
}

#[test]
fn many_unprocessable_messages_next_to_work_are_delayed_for_longest() {
    let mut worker = started();
    work(&mut worker);
    // Their sender varies names and reasons.
    let delays: Vec<u64> = (0..50)
        .map(|number| {
            let unknown = UNKNOWN.replace("nobody", &format!("nobody{number}"));
            let later = our_body(1, None).replace("\"v\":1", "\"v\":9");
            worker.deliver(&[if number % 2 == 0 { &unknown } else { &later }]);
            take_released(&mut worker)
        })
        .collect();
    assert_eq!((delays[0], delays[49]), (5, 300));
    assert!(!worker.ops.is_empty(), "the queue is not paused");
}

/// A queue whose messages are sealed with another key of the same id.
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
fn a_worker_with_another_key_of_the_same_id_dead_letters_nothing_and_is_paused() {
    let (mut worker, sender) = behind_another_key();
    for number in 0..20 {
        worker.deliver(&[&sealed(&sender, number)]);
        take_released(&mut worker);
    }
    let why = DegradedReason::Messages(DeadLetterReason::BadTag);
    let degraded = Event::Degraded { part: Part::Messages(queue()), why };
    assert!(worker.events.contains(&degraded));
    assert!(worker.take_poll().is_none(), "the queue is paused");
    for number in 20..60 {
        worker.until_polled();
        worker.deliver(&[&sealed(&sender, number)]);
        assert_eq!(take_released(&mut worker), 300);
    }
}

#[test]
fn a_message_with_an_invalid_tag_is_dead_lettered_after_ten_releases() {
    let (mut worker, sender) = behind_another_key();
    worker.release_ten_times("1", &sealed(&sender, 1));
    assert!(worker.take_post().is_some());
}

#[test]
fn invalid_tags_next_to_valid_messages_do_not_pause_the_queue() {
    let (mut worker, sender) = behind_another_key();
    let own = Keyring::new(Keyset::new(key_id("k1"), key_secret(9)));
    let own = Codec::new(&Encryption::new().with_keyring(own)).unwrap();
    let run = worker.running(&sealed(&own, 1));
    worker.done(&run);
    for number in 0..60 {
        worker.deliver(&[&sealed(&sender, number)]);
        take_released(&mut worker);
        assert!(!worker.ops.is_empty(), "the queue is not paused");
    }
}

#[test]
fn a_worker_with_a_superfluous_key_does_not_empty_a_plaintext_queue() {
    let mut config = config();
    config.codec = Codec::legacy(LegacyKey::new("by mistake").unwrap());
    let mut worker = started_with(config);
    let mut dead_lettered = 0;
    for _ in 0..40 {
        if worker.ops.is_empty() {
            worker.advance(Duration::from_secs(60));
        }
        worker.deliver(&[&plain_body()]);
        if let Some((post, _)) = worker.take_post() {
            dead_lettered += 1;
            worker.posted(post);
            worker.advance(Duration::from_millis(50));
            let (delete, _) = worker.take_deletes().unwrap();
            worker.reply(delete, Ok(QueueReply::all_deleted(1)));
        }
        if let Some((release, _)) = worker.take_release() {
            worker.reply(release, Ok(QueueReply::Released));
        }
    }
    assert_eq!(dead_lettered, 19, "none after twenty in a row");
}

/// A queue of unknown tasks, played for a worker until a moment.
struct UnknownTasks {
    worker: Scenario,
    /// When each of them is available again, and how often it was delivered.
    hidden: Vec<(Moment, u32)>,
    /// Whether a valid message is behind them.
    valid: bool,
    polls: usize,
}

const MILLISECOND: Duration = Duration::from_millis(1);

impl UnknownTasks {
    fn new(count: usize, concurrency: usize, valid: bool) -> Self {
        let worker = started_with(config().with_concurrency(concurrency));
        UnknownTasks { worker, hidden: vec![(Moment::EPOCH, 0); count], valid, polls: 0 }
    }

    /// Lets this much time pass in these steps, or less if the valid message is reached.
    fn play(&mut self, time: Duration, step: Duration) {
        let end = self.worker.now + time;
        while self.worker.now < end && self.worker.runs.is_empty() {
            match self.worker.take_poll() {
                Some((poll, count)) => self.reply(poll, count),
                None => self.worker.advance(step),
            }
        }
    }

    fn reply(&mut self, poll: OpId, count: usize) {
        self.polls += 1;
        let now = self.worker.now;
        let mut messages = Vec::new();
        for (index, (visible_at, deliveries)) in self.hidden.iter_mut().enumerate() {
            if *visible_at <= now && messages.len() < count {
                *deliveries += 1;
                messages.push(self.worker.numbered(index, UNKNOWN, *deliveries));
            }
        }
        if self.valid && messages.len() < count {
            messages.push(self.worker.numbered(self.hidden.len(), &plain_body(), 1));
        }
        self.worker.reply(poll, Ok(QueueReply::Reserved(Reserved { messages, unusable: 0 })));
        while let Some((op, (receipt, delay))) = self.worker.take_release_of() {
            let index: usize = receipt.message.as_str().parse().unwrap();
            if let Some(message) = self.hidden.get_mut(index) {
                message.0 = self.worker.now + delay;
            }
            self.worker.reply(op, Ok(QueueReply::Released));
        }
    }
}

#[test]
fn a_valid_message_behind_unknown_tasks_is_reached_after_as_many_requests_as_they_fill() {
    for (unknown, concurrency) in [(19, 10), (1_000, 1), (1_000, 10), (1_000, 100), (4_000, 50)] {
        let mut queue = UnknownTasks::new(unknown, concurrency, true);
        queue.play(MINUTE, MILLISECOND);
        let what = format!("{unknown} unknown tasks, {concurrency} slots");
        assert_eq!(queue.worker.runs.len(), 1, "{what}");
        let waited = queue.worker.now.since(Moment::EPOCH);
        assert!(waited <= MILLISECOND * unknown as u32, "{waited:?}, {what}");
        let polls = unknown / concurrency + 1;
        assert!(queue.polls <= polls, "{} polls, {what}", queue.polls);
    }
}

#[test]
fn unknown_tasks_without_any_other_work_cause_few_requests() {
    let mut queue = UnknownTasks::new(1_000, 10, false);
    queue.play(MINUTE * 60, MILLISECOND * 100);
    let deliveries: u32 = queue.hidden.iter().map(|(_, deliveries)| deliveries).sum();
    assert!(deliveries <= 15_000, "{deliveries} deliveries of a thousand in an hour");
    assert!(queue.polls <= 3_000, "{} polls in an hour", queue.polls);
}

use std::time::Duration;

use super::scenario::*;
use crate::event::Event;
use crate::id::MessageId;
use crate::queue::{Body, FaultKind, QueueReply, ReceivedBody, ReservedMessage};
use crate::task::{TaskError, TaskOutcome};
use crate::wire::{DeadLetter, DeadLetterReason, Notice};
use crate::worker::JobOutcome;

/// Delivers a body that is dead-lettered immediately, and returns the dead letter.
fn dead_letter_of(body: &str) -> DeadLetter {
    let mut worker = started();
    worker.deliver(&[body]);
    let (_, (queue, message)) = worker.take_post().unwrap();
    assert_eq!(queue.as_str(), "testpackage.dead");
    DeadLetter::parse(&message.body).unwrap()
}

#[test]
fn an_unparsable_message_is_dead_lettered_with_its_reason_and_its_original_bytes() {
    let letter = dead_letter_of("{\"name\":");
    assert_eq!(letter.reason, DeadLetterReason::BadJson);
    assert_eq!(letter.body, Body::new("{\"name\":"));
    assert_eq!((letter.attempts, letter.deliveries), (0, 1));
    assert_eq!(letter.queue, queue());
    assert_eq!(letter.id.as_str(), "1");
    assert_eq!(u128::from(letter.at), UNIX_AT_START.as_millis());
}

#[test]
fn the_copy_is_posted_first_and_the_message_deleted_second() {
    let mut worker = started();
    worker.deliver(&["nonsense"]);
    let (post, _) = worker.take_post().unwrap();
    worker.advance(Duration::from_secs(1));
    assert!(worker.take_deletes().is_none());
    worker.posted(post);
    worker.advance(Duration::from_millis(50));
    let (delete, _) = worker.take_deletes().unwrap();
    worker.reply(delete, Ok(QueueReply::all_deleted(1)));
    assert_eq!(worker.worker.load().held, 0);
}

#[test]
fn a_copy_whose_reply_was_lost_is_posted_again() {
    let mut worker = started();
    worker.deliver(&["nonsense"]);
    let (post, _) = worker.take_post().unwrap();
    worker.reply_fault(post, FaultKind::ReplyLost);
    worker.advance(Duration::from_secs(1));
    assert!(worker.take_post().is_some());
    assert!(worker.take_deletes().is_none());
}

#[test]
fn a_message_whose_copy_is_refused_is_released_with_the_longest_delay_and_never_deleted() {
    let mut worker = started();
    worker.deliver(&["nonsense"]);
    let (post, _) = worker.take_post().unwrap();
    worker.reply_fault(post, FaultKind::Refused);
    let (bare, (_, message)) = worker.take_post().unwrap();
    assert_eq!(message.body, Body::new("nonsense"), "the original without its envelope");
    worker.reply_fault(bare, FaultKind::Refused);
    let (_, delay) = worker.take_release().unwrap();
    assert_eq!(delay, Duration::from_secs(300));
    assert!(worker.has_event(|event| matches!(event, Event::DeadLetterRefused { .. })));
    assert!(worker.take_deletes().is_none());
}

/// The body posted to the dead-letter queue for a body that is not JSON, with this limit of a
/// body's size.
fn posted_within(max_body: usize, body: &str) -> Body {
    let mut config = config();
    config.capabilities.max_body = max_body;
    let mut worker = started_with(config);
    worker.deliver(&[body]);
    let (_, (_, message)) = worker.take_post().unwrap();
    message.body
}

#[test]
fn from_an_envelope_that_is_too_large_first_the_error_is_dropped_and_then_the_envelope() {
    let body = "x".repeat(290);
    let whole = posted_within(10_000, &body);
    assert!(DeadLetter::parse(&whole).unwrap().error.is_some());
    let size = whole.as_str().len();
    assert_eq!(posted_within(size, &body), whole);
    let without_error = posted_within(size - 1, &body);
    let letter = DeadLetter::parse(&without_error).unwrap();
    assert_eq!((letter.reason, letter.error), (DeadLetterReason::BadJson, None));
    assert_eq!(posted_within(without_error.as_str().len(), &body), without_error);
    let bare = posted_within(without_error.as_str().len() - 1, &body);
    assert_eq!(bare, Body::new(body));
}

/// The body posted to the dead-letter queue for bytes that are not a text, with this limit of a
/// body's size.
fn posted_for_bytes(max_body: usize, bytes: &[u8]) -> Body {
    let mut config = config();
    config.capabilities.max_body = max_body;
    let mut worker = started_with(config);
    let body = ReceivedBody::NotText(Body::from_bytes(bytes.to_vec()));
    let message = worker.numbered(1, "", 1);
    worker.deliver_messages(vec![ReservedMessage { body, ..message }]);
    let (_, (_, message)) = worker.take_post().unwrap();
    message.body
}

#[test]
fn bytes_that_are_not_a_text_are_dead_lettered_unchanged() {
    let bytes = b"{\"name\":\"t\",\"options\":{},\"args\":[\"\xff\"]}";
    let posted = posted_for_bytes(10_000, bytes);
    let letter = DeadLetter::parse(&posted).unwrap();
    assert_eq!((letter.reason, letter.body.as_bytes()), (DeadLetterReason::BadJson, &bytes[..]));
}

#[test]
fn bytes_that_fit_but_not_in_base64_are_dead_lettered_without_an_envelope() {
    let bytes = [0xff; 3_000];
    let whole = posted_for_bytes(10_000, &bytes);
    // The error is left out first.
    let without_error = posted_for_bytes(whole.as_bytes().len() - 1, &bytes);
    let size = without_error.as_bytes().len();
    assert!(DeadLetter::parse(&without_error).is_ok() && size > 4_000, "{size}");
    assert_eq!(posted_for_bytes(size, &bytes), without_error);
    assert_eq!(posted_for_bytes(size - 1, &bytes).as_bytes(), bytes);
}

#[test]
fn a_dead_letter_with_an_invalid_byte_is_not_wrapped_again() {
    let letter = dead_letter_of("nonsense").to_body();
    // In the text of its body.
    let mut bytes = letter.as_bytes().to_vec();
    let end = bytes.len() - "\"}]}".len();
    bytes[end - 1] = 0xff;
    assert_eq!(posted_for_bytes(10_000, &bytes).as_bytes(), bytes);
}

#[test]
fn a_dead_letter_and_the_callers_notice_contain_the_same_error() {
    let mut worker = started();
    let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
    worker.end(&run, JobOutcome::Failed(TaskError::fatal("é".repeat(1000))));
    let (post, (_, copy)) = worker.take_post().unwrap();
    let error = DeadLetter::parse(&copy.body).unwrap().error;
    worker.posted(post);
    let (_, publication) = worker.take_publication().unwrap();
    let notice = Notice::parse(publication.payload.as_str().as_bytes()).unwrap();
    let TaskOutcome::Failed(failure) = notice.outcome().unwrap() else { panic!("not a failure") };
    assert_eq!(error, Some(failure.message));
    assert_eq!(error, Some("é".repeat(512)));
}

#[test]
fn a_body_above_the_size_limit_is_dead_lettered_unparsed() {
    let mut config = config();
    config.capabilities.max_body = 10;
    let mut worker = started_with(config);
    worker.deliver(&[&plain_body()]);
    assert!(worker.runs.is_empty());
    let (post, _) = worker.take_post().unwrap();
    worker.posted(post);
    assert!(worker.has_event(|event| matches!(
        event,
        Event::DeadLettered { reason: DeadLetterReason::TooLarge, .. }
    )));
}

#[test]
fn a_dead_letter_on_a_served_queue_is_not_wrapped_again() {
    let letter = dead_letter_of("nonsense").to_body();
    let mut worker = started();
    worker.release_ten_times("1", letter.as_str());
    let (_, (_, message)) = worker.take_post().unwrap();
    assert_eq!(message.body, letter);
}

#[test]
fn a_message_with_too_many_lost_deliveries_is_dead_lettered_without_being_run() {
    let mut worker = started();
    worker.deliver_counted(&[(&lost_body(10), 1)]);
    assert!(worker.runs.is_empty());
    let (post, _) = worker.take_post().unwrap();
    worker.posted(post);
    assert!(worker.has_event(|event| matches!(
        event,
        Event::DeadLettered { reason: DeadLetterReason::TooManyDeliveries, lost: 10, .. }
    )));
}

#[test]
fn with_an_implausible_clock_no_deadline_passes_and_the_clock_is_reported() {
    let passed = our_body(1, None).replace("\"id\"", "\"deadline\":1,\"id\"");
    for (year, seconds) in [(1970, 0), (2106, 4_294_967_296)] {
        let mut scenario = started_at(config(), Duration::from_secs(seconds));
        let reports = scenario.events.iter().filter(|event| **event == Event::ClockImplausible);
        assert_eq!(reports.count(), 1, "{year}");
        let run = scenario.running(&passed);
        scenario.done(&run);
    }
    let mut scenario = started_at(config(), UNIX_AT_START);
    assert!(!scenario.has_event(|event| *event == Event::ClockImplausible));
    scenario.deliver(&[&passed]);
    assert!(scenario.runs.is_empty());
}

#[test]
fn a_redelivered_message_runs_again_and_another_body_under_its_id_is_another_task() {
    let mut scenario = started();
    let five = plain_body();
    let six = five.replace("[5]", "[6]");
    for (body, args, is_reused) in [(&five, "[5]", 0), (&five, "[5]", 0), (&six, "[6]", 1)] {
        scenario.deliver_again("7", body, 1);
        let message = MessageId::new("7");
        let reused = Event::IdReused { queue: queue(), message };
        assert_eq!(scenario.events.iter().filter(|event| **event == reused).count(), is_reused);
        let run = scenario.runs.pop_front().unwrap();
        assert_eq!(run.args.as_str(), args);
        scenario.done(&run);
    }
    scenario.advance(Duration::from_millis(50));
    let (_, receipts) = scenario.take_deletes().unwrap();
    assert_eq!(receipts.len(), 3);
}

#[test]
fn a_deadline_passes_a_minute_late_because_clocks_differ() {
    let at = |late: Duration| {
        let deadline = UNIX_AT_START.as_millis() - late.as_millis();
        let body = our_body(1, None).replace("\"id\"", &format!("\"deadline\":{deadline},\"id\""));
        let mut worker = started();
        worker.deliver(&[&body]);
        worker.runs.len()
    };
    assert_eq!(at(Duration::from_secs(60)), 1);
    assert_eq!(at(Duration::from_secs(61)), 0);
}

#[test]
fn messages_that_may_have_crashed_workers_run_one_at_a_time() {
    let mut worker = started();
    let body = plain_body();
    let suspect = lost_body(5);
    worker.deliver_counted(&[(&suspect, 1), (&suspect, 1), (&body, 1)]);
    assert_eq!(worker.runs.len(), 1, "the message without lost deliveries comes first");
    let poll = worker.take_poll();
    assert!(poll.is_none(), "a crash must not affect other messages");
    for _ in 0..3 {
        let run = worker.runs.pop_front().unwrap();
        assert!(worker.runs.is_empty());
        worker.done(&run);
    }
    assert!(worker.take_poll().is_some());
}

#[test]
fn the_surplus_of_a_queue_that_returns_far_too_many_messages_is_ignored() {
    let mut worker = started();
    let body = plain_body();
    let bodies = vec![body.as_str(); 5_000];
    worker.deliver(&bodies);
    let mut released = 0;
    while worker.take_release().is_some() {
        released += 1;
    }
    assert_eq!(worker.runs.len(), 10);
    assert!(released <= 110, "{released} requests");
    assert!(worker.has_event(|event| matches!(event, Event::UnusableMessages { .. })));
}

//! What is posted, and what becomes of the letters.

use std::num::NonZeroU32;
use std::time::Duration;

use super::scenario::{
    Answer, Scenario, counts, dead, is_delete, is_post, is_reserve, is_touch, letter, name, task,
};
use crate::admin::{Ended, Filter, Obstacle, ProblemKind, Requeue, SweepConfig, Timer};
use crate::queue::{Body, QueueOp};
use crate::wire::crypto::samples::both;
use crate::wire::crypto::{EntropyPool, Policy};
use crate::wire::{Codec, DeadLetter, DeadLetterReason, Envelope};

fn requeue(requeue: Requeue) -> SweepConfig {
    SweepConfig::requeue(name("mail.dead"), requeue)
}

#[test]
fn dead_letters_return_to_their_queue_with_all_attempts() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..3).map(|number| dead("mail.send", number)));
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.end, report.posted, report.deleted), (Ended::Done, 3, 3));
    assert_eq!(scenario.size("mail.dead"), 0);
    let posted = scenario.bodies("mail");
    assert_eq!(posted.iter().map(|body| counts(body)).collect::<Vec<_>>(), [(1, 1); 3]);
}

#[test]
fn ten_thousand_letters_need_few_requests() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..10_000).map(|number| dead("mail.send", number)));
    scenario.post("mail.dead", (0..100).map(|number| dead("sms.send", number)));
    let filter = Filter::new().with_task("mail.*".parse().unwrap());
    let report = scenario.run(requeue(Requeue::new()).with_filter(filter).with_limit(20_000));
    assert_eq!((report.posted, report.deleted, report.released), (10_000, 10_000, 100));
    assert!(report.requests <= 500, "{report:?}");
}

#[test]
fn ten_thousand_letters_of_which_half_match_need_few_requests() {
    let mut scenario = Scenario::new();
    let task_of = |number| if number % 2 == 0 { "mail.send" } else { "sms.send" };
    scenario.post("mail.dead", (0..10_000).map(|number| dead(task_of(number), number)));
    let filter = || Filter::new().with_task("mail.*".parse().unwrap());
    let report = scenario.run(requeue(Requeue::new()).with_filter(filter()));
    assert_eq!((report.posted, report.deleted), (5_000, 5_000));
    assert!(report.requests <= 500, "{report:?}");
    // A release of each of the others would take a request; their leases end soon.
    assert_eq!((report.released, report.left_to_expire), (0, 5_000));
    assert!(report.leases_end_within.unwrap() <= Duration::from_secs(60), "{report:?}");
    assert!(!report.is_partial());
    scenario.pass(Duration::from_secs(60));
    assert_eq!(scenario.bodies("mail.dead").len(), 100);
}

#[test]
fn all_that_does_not_match_is_released_if_releases_are_sent_together() {
    let mut scenario = Scenario::new();
    scenario.backend.admin.pipelined_releases = 10;
    scenario.post("mail.dead", (0..500).map(|number| dead("sms.send", number)));
    scenario.post("mail.dead", [dead("mail.send", 500)]);
    let filter = Filter::new().with_task("mail.*".parse().unwrap());
    let report = scenario.run(requeue(Requeue::new()).with_filter(filter));
    assert_eq!((report.posted, report.released, report.left_to_expire), (1, 500, 0));
}

#[test]
fn what_does_not_match_stays_in_its_order() {
    let mut scenario = Scenario::new();
    let letters: Vec<Body> = (0..10)
        .map(|number| dead(if number % 2 == 0 { "mail.send" } else { "sms.send" }, number))
        .collect();
    scenario.post("mail.dead", letters.clone());
    let filter = Filter::new().with_task("mail.send".parse().unwrap());
    scenario.run(requeue(Requeue::new()).with_filter(filter));
    let others: Vec<&str> = letters.iter().skip(1).step_by(2).map(Body::as_str).collect();
    assert_eq!(scenario.bodies("mail.dead"), others);
}

#[test]
fn copies_are_posted_once_and_all_deleted() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [1, 2, 1, 1, 2].map(|number| dead("mail.send", number)));
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.matched, report.posted, report.deleted), (2, 2, 5));
    assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (2, 0));
}

#[test]
fn each_batch_is_posted_before_it_is_deleted() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..250).map(|number| dead("mail.send", number)));
    scenario.run(requeue(Requeue::new()));
    let work: Vec<bool> =
        scenario.requests.iter().filter(|op| is_post(op) || is_delete(op)).map(is_post).collect();
    assert_eq!(work, [true, false, true, false, true, false]);
}

#[test]
fn letters_of_several_queues_return_to_theirs() {
    let mut scenario = Scenario::new();
    let of_priority = |number| {
        let mut letter = letter(number, task("mail.send", number));
        letter.queue = name("mail.p3");
        letter.to_body()
    };
    let letters = (0..6).map(|number| match number % 2 {
        0 => dead("mail.send", number),
        _ => of_priority(number),
    });
    scenario.post("mail.dead", letters);
    scenario.run(requeue(Requeue::new()));
    assert_eq!((scenario.size("mail"), scenario.size("mail.p3")), (3, 3));
    assert_eq!(scenario.count(is_post), 2);
}

#[test]
fn a_letter_may_be_sent_elsewhere_and_later() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [dead("mail.send", 1)]);
    let elsewhere = Requeue::new().to(name("post")).with_delay(Duration::from_secs(60));
    scenario.run(requeue(elsewhere));
    assert_eq!((scenario.size("post"), scenario.size("mail")), (1, 0));
    assert!(scenario.bodies("post").is_empty());
    scenario.pass(Duration::from_secs(60));
    let body = scenario.bodies("post").remove(0);
    assert!(body.contains("\"due\":17000000600"), "{body}");
}

#[test]
fn the_attempts_may_be_kept() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [dead("mail.send", 1)]);
    scenario.run(requeue(Requeue::new().keep_attempts()));
    assert_eq!(counts(&scenario.bodies("mail")[0]), (11, 1));
}

#[test]
fn a_letter_whose_deadline_has_passed_needs_permission() {
    let overdue = task("mail.send", 1).as_str().replace("\"attempt\":11", "\"deadline\":1");
    let run = |options| {
        let mut scenario = Scenario::new();
        scenario.post("mail.dead", [letter(1, Body::new(overdue.as_str())).to_body()]);
        scenario.post("mail.dead", [dead("mail.send", 2)]);
        let report = scenario.run(requeue(options));
        (report.posted, report.refused, scenario.problems.pop())
    };
    let (posted, refused, problem) = run(Requeue::new());
    assert_eq!((posted, refused), (1, 1));
    assert_eq!(problem.unwrap().kind, ProblemKind::Obstacle(Obstacle::DeadlinePassed));
    assert_eq!(run(Requeue::new().drop_deadline()), (2, 0, None));
}

#[test]
fn unreadable_bytes_return_unchanged_if_that_is_requested() {
    let mut scenario = Scenario::new();
    let broken = letter(1, Body::new("$ivy2$k1$AAAA")).to_body();
    // One that was too large for an envelope.
    let bare = task("mail.send", 2);
    scenario.post("mail.dead", [broken, bare.clone()]);
    scenario.run(requeue(Requeue::new().raw()));
    assert_eq!(scenario.bodies("mail"), ["$ivy2$k1$AAAA", bare.as_str()]);
}

/// Bytes that are not a text, and the letter of such bytes.
fn not_texts() -> [Body; 2] {
    let bytes =
        Body::from_bytes(br#"{"name":"t","options":{},"args":[]}"#.map(|byte| byte | 0x80).into());
    [letter(1, bytes.clone()).to_body(), bytes]
}

#[test]
fn bytes_that_are_not_a_text_are_requeued_unchanged() {
    let mut scenario = Scenario::new();
    scenario.backend.posts_bytes = true;
    let [letter, bytes] = not_texts();
    scenario.post("mail.dead", [letter, bytes.clone()]);
    let report = scenario.run(requeue(Requeue::new().raw()));
    assert_eq!((report.posted, report.deleted), (2, 2));
    assert_eq!(scenario.ready("mail"), [bytes.clone(), bytes]);
}

#[test]
fn bytes_that_are_not_a_text_stay_if_they_cannot_be_posted_or_are_to_be_read() {
    let unreadable = Obstacle::Unreadable(DeadLetterReason::BadJson);
    for (options, posts_bytes, obstacle) in [
        (Requeue::new().raw(), false, Obstacle::NotText),
        (Requeue::new(), true, unreadable),
        (Requeue::new(), false, unreadable),
    ] {
        let mut scenario = Scenario::new();
        scenario.backend.posts_bytes = posts_bytes;
        scenario.post("mail.dead", not_texts());
        let report = scenario.run(requeue(options));
        assert_eq!((report.posted, report.deleted, report.refused), (0, 0, 2));
        assert_eq!(scenario.problems(), [&ProblemKind::Obstacle(obstacle); 2]);
        assert_eq!(scenario.ready("mail.dead"), not_texts());
    }
}

#[test]
fn letters_of_different_bytes_are_not_copies() {
    let mut scenario = Scenario::new();
    scenario.answer = Answer::Cancel;
    let letter = |byte| letter(1, Body::from_bytes(vec![byte])).to_body();
    // As texts, both would be a replacement character.
    scenario.post("mail.dead", [0xfe, 0xff, 0xff].map(letter));
    scenario.run(requeue(Requeue::new().raw()));
    let copies: Vec<usize> = scenario.rows.iter().map(|row| row.copies).collect();
    assert_eq!(copies, [1, 2]);
}

#[test]
fn a_sealed_letter_without_its_key_stays_although_its_bytes_are_requested_unchanged() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [Body::new("$ivy2$k1$AAAA")]);
    let report = scenario.run(requeue(Requeue::new().raw()));
    assert_eq!((report.posted, report.refused), (0, 1));
    assert_eq!(scenario.bodies("mail.dead"), ["$ivy2$k1$AAAA"]);
    let problem = scenario.problems.pop().unwrap();
    assert!(matches!(problem.kind, ProblemKind::Obstacle(Obstacle::Sealed(_))), "{problem:?}");
}

/// As a sealed letter that was requeued with its bytes unchanged and dead-lettered again.
#[test]
fn the_sealed_letter_in_a_letter_is_requeued_with_its_key() {
    let codec = Codec::new(&both().with_policy(Policy::v2())).unwrap();
    let mut pool = EntropyPool::from_seed(&[1; 32]);
    let envelope = Envelope::parse(task("mail.send", 1).as_str()).unwrap();
    let inner = letter(1, codec.seal(&envelope, &name("mail"), &mut pool));
    let sealed = codec.seal_dead_letter(&inner, &name("mail.dead"), &mut pool);
    assert!(sealed.as_str().starts_with("$ivy2$"));
    let again = DeadLetter { reason: DeadLetterReason::BadTag, ..letter(2, sealed) };
    let mut scenario = Scenario::new();
    scenario.codec = codec.clone();
    scenario.post("mail.dead", [again.to_body()]);
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.refused), (1, 0), "{:?}", scenario.problems);
    let posted = Body::new(scenario.bodies("mail").remove(0));
    assert_eq!(codec.open(&posted, &name("mail")).unwrap().args, envelope.args);
}

#[test]
fn a_letter_without_an_envelope_returns_to_the_queue_that_its_queue_belongs_to() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [task("mail.send", 2)]);
    scenario.run(requeue(Requeue::new()));
    assert_eq!(counts(&scenario.bodies("mail")[0]), (1, 1));
}

#[test]
fn one_letter_of_each_task_is_posted_if_that_is_requested() {
    let mut scenario = Scenario::new();
    let died_again = letter(3, task("mail.send", 1)).to_body();
    scenario.post("mail.dead", [dead("mail.send", 1), died_again.clone(), dead("mail.send", 2)]);
    let report = scenario.run(requeue(Requeue::new().one_per_task()));
    assert_eq!((report.posted, report.others_of_task, report.is_partial()), (2, 1, false));
    assert_eq!(scenario.problems(), [&ProblemKind::OtherOfTask]);
    // The latest one is posted.
    assert_eq!(scenario.bodies("mail.dead"), [dead("mail.send", 1).as_str()]);
}

#[test]
fn a_rate_spreads_the_posts_and_letters_are_reserved_again_if_leases_must_last() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..20).map(|number| dead("mail.send", number)));
    let slow = NonZeroU32::new(2).unwrap();
    let report = scenario.run(requeue(Requeue::new().with_rate(slow)));
    let took = scenario.now.since(crate::Moment::EPOCH);
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(12), "{took:?}");
    assert_eq!((report.posted, scenario.count(is_touch)), (20, 0));
    assert!(scenario.waits.iter().all(|wait| *wait == Timer::Rate));

    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..700).map(|number| dead("mail.send", number)));
    let report = scenario.run(requeue(Requeue::new().with_rate(NonZeroU32::MIN)));
    assert_eq!((report.posted, report.leases_lost, report.left_to_expire), (700, 0, 0));
    // Those that wait for long are reserved again, a hundred with each request.
    let (reserved, renewed) = (scenario.count(is_reserve), scenario.count(is_touch));
    assert!(reserved > 10 && reserved < 40 && renewed < 350, "{reserved}, {renewed}");
}

/// A worker would not run it, whether or not its bytes are unchanged.
#[test]
fn an_invalid_dead_letter_is_never_posted_as_a_task() {
    for options in [Requeue::new(), Requeue::new().raw()] {
        let mut scenario = Scenario::new();
        let letter = dead("mail.send", 1);
        let invalid = letter.as_str().replacen("\"queue\":\"mail\"", "\"queue\":\"\"", 1);
        scenario.post("mail.dead", [Body::new(invalid)]);
        let report = scenario.run(SweepConfig::requeue(name("mail.dead"), options));
        assert_eq!((report.posted, report.refused), (0, 1));
        assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (0, 1));
    }
}

#[test]
fn deleting_posts_nothing() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..150).map(|number| dead("mail.send", number)));
    scenario.post("mail.dead", [Body::new("<html>")]);
    let reasons = Filter::new().with_reasons([DeadLetterReason::RetriesExhausted]);
    let config = SweepConfig::delete(name("mail.dead")).with_filter(reasons);
    let report = scenario.run(config);
    assert_eq!((report.deleted, report.posted, scenario.count(is_post)), (150, 0, 0));
    assert_eq!(scenario.bodies("mail.dead"), ["<html>"]);
}

#[test]
fn dead_letters_move_to_another_dead_letter_queue_unchanged() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [dead("mail.send", 1), task("mail.send", 2)]);
    let config = SweepConfig::transfer(name("mail.dead"), name("old.dead"), Requeue::new());
    let report = scenario.run(config);
    assert_eq!((report.posted, report.refused), (1, 1));
    assert_eq!(scenario.bodies("old.dead"), [dead("mail.send", 1).as_str()]);
    assert_eq!(scenario.problems(), [&ProblemKind::Obstacle(Obstacle::NotADeadLetter)]);
}

#[test]
fn a_sealed_letter_without_its_key_is_not_moved_and_the_key_is_asked_for() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [dead("mail.send", 1), Body::new("$ivy2$k1$AAAA")]);
    let config = SweepConfig::transfer(name("mail.dead"), name("old.dead"), Requeue::new());
    let report = scenario.run(config);
    assert_eq!((report.posted, report.refused), (1, 1));
    let problems = scenario.problems();
    assert!(matches!(problems[..], [ProblemKind::Obstacle(Obstacle::Sealed(_))]), "{problems:?}");
}

#[test]
fn a_sealed_message_without_its_key_moves_to_no_other_queue_although_its_bytes_are_requested_unchanged()
 {
    for requeue in [Requeue::new(), Requeue::new().raw()] {
        let mut scenario = Scenario::new();
        scenario.post("mail", [Body::new("$ivy2$k1$AAAA")]);
        let report = scenario.run(SweepConfig::transfer(name("mail"), name("post"), requeue));
        assert_eq!((report.posted, report.refused), (0, 1));
        assert_eq!(scenario.bodies("mail"), ["$ivy2$k1$AAAA"]);
        let problems = scenario.problems();
        assert!(
            matches!(problems[..], [ProblemKind::Obstacle(Obstacle::Sealed(_))]),
            "{problems:?}"
        );
    }
}

#[test]
fn a_request_is_not_larger_than_the_backend_accepts() {
    let mut scenario = Scenario::new();
    scenario.backend.max_request = 1_000;
    scenario.post("mail.dead", (0..20).map(|number| dead("mail.send", number)));
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!(report.posted, 20);
    for op in scenario.requests.iter().filter(|op| is_post(op)) {
        let QueueOp::Post { messages, .. } = op else { panic!() };
        let bytes: usize = messages.items().iter().map(|it| it.body.as_str().len()).sum();
        assert!(bytes < 1_000, "{bytes}");
    }
}

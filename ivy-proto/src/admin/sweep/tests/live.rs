//! Moving messages of a queue that workers serve.

use std::time::Duration;

use super::scenario::{
    Answer, Scenario, counts, dead, is_post, is_release, is_reserve, name, task,
};
use crate::WallClock;
use crate::admin::{
    CannotSweep, Ended, Filter, Obstacle, ProblemKind, Requeue, Sweep, SweepConfig, Truncated,
};
use crate::queue::{Body, Capabilities, QueueOp};
use crate::wire::Codec;

fn transfer() -> SweepConfig {
    SweepConfig::transfer(name("mail"), name("post"), Requeue::new())
}

fn mails() -> Filter {
    Filter::new().with_task("mail.*".parse().unwrap())
}

#[test]
fn the_question_comes_before_anything_is_reserved() {
    let mut scenario = Scenario::new();
    scenario.answer = Answer::Cancel;
    scenario.post("mail", [task("mail.send", 1)]);
    let report = scenario.run(transfer());
    assert_eq!(report.end, Ended::Cancelled);
    assert_eq!(scenario.requests, [QueueOp::GetQueue { queue: name("mail") }]);
    let plan = scenario.plan.unwrap();
    assert_eq!((plan.size, plan.answer_within), (Some(1), Some(Duration::from_secs(300))));
}

#[test]
fn what_does_not_match_is_released_before_the_others_are_moved() {
    let mut scenario = Scenario::new();
    let bodies: Vec<Body> = (0..300)
        .map(|number| task(if number % 3 == 0 { "mail.send" } else { "sms.send" }, number))
        .collect();
    scenario.post("mail", bodies.clone());
    let report = scenario.run(transfer().with_filter(mails()));
    assert_eq!((report.posted, report.deleted, report.released), (100, 100, 200));
    let first_post = scenario.requests.iter().position(is_post).unwrap();
    let last_release = scenario.requests.iter().rposition(is_release).unwrap();
    assert!(last_release < first_post);
    let others: Vec<&str> = bodies
        .iter()
        .map(Body::as_str)
        .filter(|body| body.contains("sms.send"))
        .take(100)
        .collect();
    assert_eq!(scenario.bodies("mail"), others);
    assert_eq!(counts(&scenario.bodies("post")[0]), (1, 1));
    assert!(scenario.requests.iter().filter(|op| is_reserve(op)).all(
        |op| matches!(op, QueueOp::Reserve { lease, .. } if *lease == Duration::from_secs(60))
    ));
}

#[test]
fn at_most_a_thousand_messages_are_looked_at_and_all_others_are_released() {
    let mut scenario = Scenario::new();
    scenario.post("mail", (0..1_050).map(|number| task("sms.send", number)));
    let report = scenario.run(transfer().with_filter(mails()));
    assert_eq!((report.looked_at, report.released), (1_000, 1_000));
    assert_eq!(report.truncated, Some(Truncated::Limit));
}

#[test]
fn messages_that_cannot_be_moved_are_released_and_reported() {
    let mut scenario = Scenario::new();
    scenario.post("mail", [dead("mail.send", 1), Body::new("<html>"), task("mail.send", 2)]);
    let report = scenario.run(transfer());
    assert_eq!((report.posted, report.refused, report.released), (1, 2, 2));
    assert_eq!(scenario.problems()[0], &ProblemKind::Obstacle(Obstacle::ADeadLetter));
    assert_eq!(scenario.bodies("mail").len(), 2);
}

#[test]
fn an_interrupted_move_releases_everything() {
    let mut scenario = Scenario::new();
    scenario.post("mail", (0..250).map(|number| task("mail.send", number)));
    // While the second batch is reserved.
    scenario.interrupts = [2].into();
    let report = scenario.run(transfer());
    assert_eq!((report.end, report.looked_at), (Ended::Interrupted, 200));
    assert_eq!((report.released, report.posted), (200, 0));
}

#[test]
fn the_bytes_of_messages_return_to_the_dead_letter_queue_of_their_queue_unchanged() {
    let to = |queue: &str| SweepConfig::transfer(name("mail"), name(queue), Requeue::new().raw());
    let mut scenario = Scenario::new();
    // A sealed letter, which is bound to the dead-letter queue, and a letter.
    let bodies = [Body::new("$ivy2$k1$AAAA"), dead("mail.send", 1)];
    scenario.post("mail", bodies.clone());
    let report = scenario.run(to("mail.dead"));
    assert_eq!((report.posted, report.refused), (2, 0), "{:?}", scenario.problems);
    assert_eq!(scenario.bodies("mail.dead"), bodies.map(|body| body.as_str().to_owned()));
    let refused = |config| {
        let backend = Capabilities::broker();
        Sweep::new(config, &backend, Codec::plain(), [1; 32], WallClock::default()).unwrap_err()
    };
    let another = refused(to("post.dead"));
    assert!(matches!(another, CannotSweep::TasksAndDeadLetters { .. }), "{another}");
}

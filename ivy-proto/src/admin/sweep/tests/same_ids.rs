//! Messages that share an id, as identical elements that another program wrote to a server.

use std::time::Duration;

use super::scenario::*;
use crate::admin::{Filter, Requeue, SweepConfig};
use crate::queue::Body;

const FOREIGN: &str = "<html>";

fn sharing(bodies: &[&str]) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.shares_an_id = true;
    scenario.post("mail.dead", bodies.iter().map(|body| Body::new(*body)));
    scenario
}

fn raw() -> SweepConfig {
    SweepConfig::requeue(name("mail.dead"), Requeue::new().raw())
}

fn shown(scenario: &Scenario) -> Vec<&str> {
    scenario.rows.iter().map(|row| row.message.as_str()).collect()
}

#[test]
fn each_is_shown_and_released() {
    for config in [SweepConfig::look(name("mail.dead")), raw()] {
        let mut scenario = sharing(&[FOREIGN; 3]);
        scenario.answer = Answer::Cancel;
        let report = scenario.run(config);
        assert_eq!(shown(&scenario), ["raw-1", "raw-1.2", "raw-1.3"]);
        assert_eq!((report.looked_at, report.released, report.left_to_expire), (3, 3, 0));
        assert_eq!(scenario.bodies("mail.dead"), [FOREIGN; 3]);
    }
}

#[test]
fn each_is_requeued_and_deleted() {
    let mut scenario = sharing(&[FOREIGN; 3]);
    let report = scenario.run(raw());
    assert_eq!((report.posted, report.deleted, report.left_to_expire), (3, 3, 0));
    assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (3, 0));
}

#[test]
fn one_is_deleted_by_its_number() {
    let mut scenario = sharing(&[FOREIGN, FOREIGN, "other"]);
    let filter = Filter::new().with_id("raw-1.3");
    let config = SweepConfig::delete(name("mail.dead")).with_filter(filter);
    let report = scenario.run(config);
    assert_eq!((report.deleted, report.released, report.left_to_expire), (1, 2, 0));
    assert_eq!(scenario.bodies("mail.dead"), [FOREIGN; 2]);
}

#[test]
fn none_is_taken_for_another_one_when_they_are_reserved_again() {
    let mut scenario = sharing(&[FOREIGN, "other", FOREIGN, "third"]);
    scenario.answer = Answer::After(200);
    let report = scenario.run(raw());
    assert_eq!((report.posted, report.deleted, report.left_to_expire), (4, 4, 0));
    assert_eq!(report.looked_at, 4);
    let mut posted = scenario.bodies("mail");
    posted.sort_unstable();
    assert_eq!(posted, [FOREIGN, FOREIGN, "other", "third"]);
    scenario.pass(Duration::from_secs(600));
    assert_eq!(scenario.size("mail.dead"), 0);
}

#[test]
fn one_that_arrives_during_a_slow_answer_stays() {
    let mut scenario = sharing(&[FOREIGN; 2]);
    scenario.answer = Answer::After(200);
    scenario.arrives_at_wait = Some(Body::new("later"));
    let report = scenario.run(raw());
    assert_eq!((report.posted, report.deleted, report.left_to_expire), (2, 2, 0));
    assert_eq!(scenario.bodies("mail.dead"), ["later"]);
}

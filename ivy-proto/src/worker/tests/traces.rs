//! What a run says about the trace of its caller.

use std::time::Duration;

use super::scenario::*;
use crate::worker::{Relation, TraceRelation};

const REPLY: &str = "ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA";

fn relation(body: &str) -> Relation {
    started().running(body).relation
}

#[test]
fn a_call_continues_the_trace_of_its_caller_and_a_send_is_linked() {
    assert_eq!(relation(&our_body(1, Some(REPLY))), Relation::Parent);
    assert_eq!(relation(&our_body(1, None)), Relation::Link);
}

#[test]
fn a_later_attempt_and_a_redelivery_are_linked() {
    assert_eq!(relation(&our_body(2, Some(REPLY))), Relation::Link);
    let mut worker = started();
    worker.deliver_counted(&[(&our_body(1, Some(REPLY)), 2)]);
    assert_eq!(worker.runs.pop_front().unwrap().relation, Relation::Link);
}

#[test]
fn the_configured_relation_holds() {
    let linked = config().with_trace_relation(TraceRelation::Link);
    let run = started_with(linked).running(&our_body(1, Some(REPLY)));
    assert_eq!(run.relation, Relation::Link);
    let always = config().with_trace_relation(TraceRelation::Parent);
    assert_eq!(started_with(always).running(&our_body(2, None)).relation, Relation::Parent);
}

#[test]
fn a_message_of_the_node_package_has_neither_context_nor_wait() {
    let body = format!(r#"{{"name":"{TASK}","options":{{}},"args":[5]}}"#);
    let run = started().running(&body);
    assert_eq!((run.trace, run.waited, run.relation), (None, None, Relation::Link));
}

#[test]
fn a_run_says_how_long_it_has_waited() {
    let mut worker = started();
    worker.advance(Duration::from_secs(5));
    let due = format!("\"v\":1,\"due\":{},", (UNIX_AT_START + Duration::from_secs(2)).as_millis());
    let run = worker.running(&our_body(1, None).replace("\"v\":1,", &due));
    assert_eq!(run.waited, Some(Duration::from_secs(3)));
}

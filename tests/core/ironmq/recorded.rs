//! Recorded responses of an IronMQ server, and what they mean.

use ivy_core_tests::check_seeds;
use ivy_core_tests::recorded::{Recorded, responses};
use ivy_proto::QueueName;
use ivy_proto::queue::{DeadLetterSetting, QueueInfo, QueueReply};

use crate::shapes::UNEXPECTED_BODIES;
use crate::support::*;

#[test]
fn recorded_and_unusual_responses_are_seeds_of_the_fuzz_target() {
    let head = |status: u16| format!("{status}\ncontent-type:application/json\n\n");
    let recorded = responses().into_iter().map(|response| head(response.status) + &response.body);
    let strange = UNEXPECTED_BODIES.iter().map(|body| head(200) + body);
    let refused = [
        "503\nretry-after:7\n\n{\"msg\":\"busy\"}",
        "503\ndate:Sun, 06 Nov 1994 08:49:37 GMT\nretry-after:Sun, 06 Nov 1994 08:49:57 GMT\n\n",
        "307\nlocation:https://other.example/x?y\n\n",
        "200\ncontent-encoding:gzip\n\n{}",
        "403\n\n{\"msg\":\"Reservation timed out\"}",
    ];
    let rows = recorded.chain(strange).chain(refused.map(str::to_owned));
    let rows =
        (0..).zip(rows).map(|(n, response): (u32, _)| (format!("response-{n}"), response.into()));
    check_seeds("ironmq_response", rows);
}

#[test]
fn recorded_responses_are_decoded() {
    for Recorded { op, status, body, reply } in responses() {
        assert_eq!(decode(&op, status, &body), Ok(reply), "{body}");
    }
}

#[test]
fn invalid_settings_count_as_missing() {
    let body = r#"{"queue":{"name":"mail","type":"stream","message_timeout":"60","message_expiration":-1,"size":1.5,"total_messages":null,"dead_letter":{"queue_name":""},"alerts":[{}]}}"#;
    assert_eq!(
        decode(&get_queue(), 200, body),
        Ok(QueueReply::Queue(Box::new(QueueInfo::new(queue()))))
    );
}

#[test]
fn a_dead_letter_rule_with_an_invalid_name_is_still_reported() {
    let body =
        r#"{"queue":{"name":"mail","dead_letter":{"queue_name":"a\u0000","max_reservations":3}}}"#;
    let Ok(QueueReply::Queue(info)) = decode(&get_queue(), 200, body) else { panic!("no queue") };
    let rule = DeadLetterSetting { queue: None, max_reservations: Some(3) };
    assert_eq!(info.settings.dead_letter, Some(rule));
}

#[test]
fn invalid_queue_names_are_left_out() {
    let body =
        r#"{"queues":[{"name":"a"},{"name":""},{"name":"a\u0000"},{},5,{"name":5},{"name":"b"}]}"#;
    let names = ["a", "b"].map(|name| QueueName::new(name).unwrap());
    assert_eq!(decode(&list_queues(), 200, body), Ok(QueueReply::Queues(names.to_vec())));
    assert_eq!(
        decode(&list_queues(), 200, r#"{"queues":null}"#),
        Ok(QueueReply::Queues(Vec::new()))
    );
}

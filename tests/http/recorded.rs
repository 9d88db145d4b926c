//! Answers as an IronMQ server gives them, and what they mean.

use std::time::Duration;

use ivy_proto::queue::{
    Body, DeadLetterSetting, DeliveryCount, PeekedMessage, QueueInfo, QueueKind, QueueOp,
    QueueReply, ReceivedBody, Reserved, ReservedMessage,
};
use ivy_proto::wire::RawJson;
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};
use ivy_tests::check_seeds;

use crate::shapes::STRANGE;
use crate::support::*;

/// An operation, the answer to it, and what that says.
pub(crate) struct Recorded {
    pub(crate) op: QueueOp,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) reply: QueueReply,
}

fn recorded(op: QueueOp, status: u16, body: &str, reply: QueueReply) -> Recorded {
    Recorded { op, status, body: body.to_owned(), reply }
}

fn reserved_message(id: &str, body: &str, count: u32, reservation: &str) -> ReservedMessage {
    ReservedMessage {
        receipt: Receipt {
            message: MessageId::new(id),
            reservation: ReservationId::new(reservation),
        },
        body: ReceivedBody::Text(Body::new(body)),
        deliveries: DeliveryCount::from_reserved_count(Some(count)),
    }
}

fn peeked_message(id: &str, body: &str, count: u32) -> PeekedMessage {
    PeekedMessage {
        id: MessageId::new(id),
        body: ReceivedBody::Text(Body::new(body)),
        reserved_count: Some(count),
    }
}

fn pull_queue() -> QueueInfo {
    let mut info = QueueInfo::new(queue());
    info.settings.kind = Some(QueueKind::Pull);
    info.settings.message_timeout = Some(Duration::from_secs(60));
    info.settings.message_expiration = Some(Duration::from_secs(604_800));
    info
}

fn queue_with_sizes() -> QueueInfo {
    let mut info = pull_queue();
    info.size = Some(3);
    info.total_messages = Some(5_000_000_000);
    info
}

fn queue_with_dead_letters() -> QueueInfo {
    let mut info = pull_queue();
    let queue = QueueName::new("mail.dead").unwrap();
    info.settings.dead_letter =
        Some(DeadLetterSetting { queue: Some(queue), max_reservations: Some(10) });
    info
}

fn push_queue() -> QueueInfo {
    let mut info = pull_queue();
    info.settings.kind = Some(QueueKind::Multicast);
    info.settings.push = Some(RawJson::parse(r#"{"subscribers":[],"retries":3}"#).unwrap());
    info
}

/// One or more answers to each kind of operation.
pub(crate) fn all() -> Vec<Recorded> {
    let rid = "b42dd6bc2a2a4a2d95ab4b0d65ab2f9b";
    let two = Reserved {
        messages: vec![
            reserved_message(
                "6000653546228216707",
                r#"{"name":"a","options":{},"args":[5]}"#,
                1,
                rid,
            ),
            reserved_message("6000653546228216708", "", 7, "0d9f2d05e58e4e1e9f0aa5d9e7c6ce36"),
        ],
        unusable: 0,
    };
    let touched = Receipt { reservation: ReservationId::new("new"), ..receipt() };
    vec![
        recorded(
            post(&["a"]),
            201,
            r#"{"ids":["6000653546228216707"],"msg":"Messages put on queue."}"#,
            QueueReply::Posted(vec![MessageId::new("6000653546228216707")]),
        ),
        recorded(
            post(&["a", "b"]),
            200,
            r#"{"ids":[6000653546228216707,"2"],"msg":"Messages put on queue."}"#,
            QueueReply::Posted(vec![MessageId::new("6000653546228216707"), MessageId::new("2")]),
        ),
        recorded(
            reserve(10),
            200,
            r#"{"messages":[{"id":"6000653546228216707","body":"{\"name\":\"a\",\"options\":{},\"args\":[5]}","reserved_count":1,"reservation_id":"b42dd6bc2a2a4a2d95ab4b0d65ab2f9b"},{"id":"6000653546228216708","body":"","reserved_count":7,"reservation_id":"0d9f2d05e58e4e1e9f0aa5d9e7c6ce36"}]}"#,
            QueueReply::Reserved(two),
        ),
        recorded(reserve(10), 200, r#"{"messages":[]}"#, QueueReply::Reserved(Reserved::default())),
        recorded(
            get(),
            200,
            r#"{"message":{"id":"6000653546228216707","body":"hi","reserved_count":0}}"#,
            QueueReply::Message(peeked_message("6000653546228216707", "hi", 0)),
        ),
        recorded(
            peek(),
            200,
            r#"{"messages":[{"id":"1","body":"a","reserved_count":0},{"id":"2","body":"b","reserved_count":2}]}"#,
            QueueReply::Peeked(vec![peeked_message("1", "a", 0), peeked_message("2", "b", 2)]),
        ),
        recorded(delete(), 200, r#"{"msg":"Deleted"}"#, QueueReply::Deleted),
        recorded(delete_many(), 200, r#"{"msg":"Deleted"}"#, QueueReply::Deleted),
        recorded(
            touch(),
            200,
            r#"{"reservation_id":"new","msg":"Touched"}"#,
            QueueReply::Touched(touched),
        ),
        recorded(release(), 200, r#"{"msg":"Released"}"#, QueueReply::Released),
        recorded(clear(), 200, r#"{"msg":"Cleared"}"#, QueueReply::Cleared),
        recorded(
            get_queue(),
            200,
            r#"{"queue":{"project_id":"5e3a6f0c1b2d4e5f6a7b8c9d","name":"mail","type":"pull","message_timeout":60,"message_expiration":604800,"size":3,"total_messages":5000000000}}"#,
            QueueReply::Queue(queue_with_sizes()),
        ),
        recorded(
            create_queue(),
            200,
            r#"{"queue":{"name":"mail","type":"pull","message_timeout":60,"message_expiration":604800,"dead_letter":{"queue_name":"mail.dead","max_reservations":10}}}"#,
            QueueReply::Queue(queue_with_dead_letters()),
        ),
        recorded(
            update_queue(),
            200,
            r#"{"queue":{"name":"mail","type":"multicast","message_timeout":60,"message_expiration":604800,"push":{"subscribers":[],"retries":3}}}"#,
            QueueReply::Queue(push_queue()),
        ),
        recorded(delete_queue(), 200, r#"{"msg":"Deleted."}"#, QueueReply::QueueDeleted),
        recorded(
            list_queues(),
            200,
            r#"{"queues":[{"name":"a"},{"name":"mail.p9"}]}"#,
            QueueReply::Queues(vec![
                QueueName::new("a").unwrap(),
                QueueName::new("mail.p9").unwrap(),
            ]),
        ),
        recorded(list_queues(), 200, r#"{"queues":[]}"#, QueueReply::Queues(Vec::new())),
    ]
}

#[test]
fn recorded_and_strange_answers_are_seeds_of_the_fuzz_target() {
    let head = |status: u16| format!("{status}\ncontent-type:application/json\n\n");
    let recorded = all().into_iter().map(|answer| head(answer.status) + &answer.body);
    let strange = STRANGE.iter().map(|body| head(200) + body);
    let refused = [
        "503\nretry-after:7\n\n{\"msg\":\"busy\"}",
        "503\ndate:Sun, 06 Nov 1994 08:49:37 GMT\nretry-after:Sun, 06 Nov 1994 08:49:57 GMT\n\n",
        "307\nlocation:https://other.example/x?y\n\n",
        "200\ncontent-encoding:gzip\n\n{}",
        "403\n\n{\"msg\":\"Reservation timed out\"}",
    ];
    let rows = recorded.chain(strange).chain(refused.map(str::to_owned));
    let rows = (0..).zip(rows).map(|(n, answer): (u32, _)| (format!("answer-{n}"), answer.into()));
    check_seeds("ironmq_answer", rows);
}

#[test]
fn recorded_answers_are_understood() {
    for Recorded { op, status, body, reply } in all() {
        assert_eq!(decode(&op, status, &body), Ok(reply), "{body}");
    }
}

#[test]
fn settings_that_are_not_understood_are_taken_as_not_told() {
    let body = r#"{"queue":{"name":"mail","type":"stream","message_timeout":"60","message_expiration":-1,"size":1.5,"total_messages":null,"dead_letter":{"queue_name":""},"alerts":[{}]}}"#;
    assert_eq!(decode(&get_queue(), 200, body), Ok(QueueReply::Queue(QueueInfo::new(queue()))));
}

#[test]
fn a_dead_letter_rule_with_an_unusable_name_is_still_told() {
    let body =
        r#"{"queue":{"name":"mail","dead_letter":{"queue_name":"a\u0000","max_reservations":3}}}"#;
    let Ok(QueueReply::Queue(info)) = decode(&get_queue(), 200, body) else { panic!("no queue") };
    let rule = DeadLetterSetting { queue: None, max_reservations: Some(3) };
    assert_eq!(info.settings.dead_letter, Some(rule));
}

#[test]
fn names_of_queues_that_cannot_be_used_are_left_out() {
    let body =
        r#"{"queues":[{"name":"a"},{"name":""},{"name":"a\u0000"},{},5,{"name":5},{"name":"b"}]}"#;
    let names = ["a", "b"].map(|name| QueueName::new(name).unwrap());
    assert_eq!(decode(&list_queues(), 200, body), Ok(QueueReply::Queues(names.to_vec())));
    assert_eq!(
        decode(&list_queues(), 200, r#"{"queues":null}"#),
        Ok(QueueReply::Queues(Vec::new()))
    );
}

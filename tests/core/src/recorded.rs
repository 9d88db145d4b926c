//! Responses as an IronMQ server sends them, and notices as workers write them, with what they
//! mean.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::time::Duration;

use ivy_proto::queue::{
    Body, DeadLetterSetting, DeliveryCount, PeekedMessage, QueueInfo, QueueOp, QueueReply,
    ReceivedBody, Reserved, ReservedMessage,
};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};

use crate::fuzz::ironmq_operations::*;

/// Notices as the Node package and ivy's workers write them.
pub const NOTICES: [&str; 6] = [
    r#"{"id":"6000653546228216707","name":"testpackage.factorial","args":[5],"options":{"retry":true,"maxRetries":3},"result":[120],"notify":true,"queue":"testpackage"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","outcome":"ok"}},"result":["\ud83d\ude80 \u4efb\u52a1"],"notify":true,"queue":"mail"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","outcome":"ok","error":{"kind":"ResultTooLarge","message":"the result does not fit into a notice","attempts":1}}},"result":[],"notify":true,"queue":"mail"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA","attempt":2,"due":1700000004000,"lost":1,"later":2,"requeued":3,"outcome":"dead","error":{"kind":"RetriesExhausted","message":"no","attempts":2}}},"result":[],"notify":true,"queue":"mail"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA","outcome":"held","error":{"kind":"UnknownTask","message":"no","attempts":0}}},"result":[],"notify":true,"queue":"mail"}"#,
    r#"{"id":7,"name":"t","args":[[],{}],"options":{},"result":[1,2],"notify":true,"queue":"q"}"#,
];

/// An operation, a response to it, and its meaning.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The operation.
    pub op: QueueOp,
    /// The status of the response.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// Its meaning.
    pub reply: QueueReply,
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
    info.settings.reservable = Some(true);
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
    info.settings.reservable = Some(false);
    info
}

/// One or more responses to each kind of operation.
pub fn responses() -> Vec<Recorded> {
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
            QueueReply::all_posted([MessageId::new("6000653546228216707")]),
        ),
        recorded(
            post(&["a", "b"]),
            200,
            r#"{"ids":[6000653546228216707,"2"],"msg":"Messages put on queue."}"#,
            QueueReply::all_posted([MessageId::new("6000653546228216707"), MessageId::new("2")]),
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
        recorded(delete(), 200, r#"{"msg":"Deleted"}"#, QueueReply::all_deleted(1)),
        recorded(delete_many(), 200, r#"{"msg":"Deleted"}"#, QueueReply::all_deleted(1)),
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
            QueueReply::Queue(Box::new(queue_with_sizes())),
        ),
        recorded(
            create_queue(),
            200,
            r#"{"queue":{"name":"mail","type":"pull","message_timeout":60,"message_expiration":604800,"dead_letter":{"queue_name":"mail.dead","max_reservations":10}}}"#,
            QueueReply::Queue(Box::new(queue_with_dead_letters())),
        ),
        recorded(
            get_queue(),
            200,
            r#"{"queue":{"name":"mail","type":"multicast","message_timeout":60,"message_expiration":604800,"push":{"subscribers":[],"retries":3}}}"#,
            QueueReply::Queue(Box::new(push_queue())),
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

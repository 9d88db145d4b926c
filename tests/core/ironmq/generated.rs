//! Arbitrary responses and requests.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ivy_core_tests::fuzz::ironmq_response;
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use crate::support::*;

/// JSON values with the keys of the protocol, in valid and invalid places.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("6000653546228216707".to_owned()),
        Just("\"6000653546228216707\"".to_owned()),
        Just("\"mail\"".to_owned()),
        Just("-1e400".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let key = prop::sample::select(vec![
        "msg",
        "ids",
        "messages",
        "message",
        "queue",
        "queues",
        "id",
        "body",
        "reservation_id",
        "reserved_count",
        "name",
        "type",
        "size",
        "dead_letter",
        "queue_name",
        "push",
        "x",
    ]);
    leaf.prop_recursive(5, 40, 5, move |value| {
        let entry =
            (key.clone(), value.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            prop::collection::vec(value, 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec(entry, 0..5)
                .prop_map(|entries| format!("{{{}}}", entries.join(","))),
        ]
    })
}

fn response_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        json().prop_map(String::into_bytes),
        // As an object, and sometimes truncated.
        (json(), 0..3usize).prop_map(|(value, cut)| {
            let mut body = format!("{{\"messages\":[{value}],\"msg\":\"ok\"}}").into_bytes();
            body.truncate(body.len() - cut);
            body
        }),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = prop::sample::select(vec![
        "content-type",
        "content-encoding",
        "retry-after",
        "date",
        "location",
        "x-other",
    ]);
    let byte = prop_oneof![Just(b'\t'), 0x20..=0x7eu8, 0x80..=0xffu8];
    let value = prop_oneof![
        prop::collection::vec(byte, 0..40),
        "[0-9]{1,30}".prop_map(String::into_bytes),
        "(Mon|Tue), [0-9]{2} (Jan|Feb|Nov) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
            .prop_map(String::into_bytes),
        "https?://[a-z@:0-9.]{0,20}/[a-z?=]{0,5}".prop_map(String::into_bytes),
    ];
    let header = (name, value).prop_map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(&value).unwrap())
    });
    prop::collection::vec(header, 0..4)
}

fn queue_name() -> impl Strategy<Value = QueueName> {
    let text = prop_oneof![
        any::<String>(),
        "[./%?#a+ ]{1,8}",
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("任".repeat(85)),
    ];
    text.prop_filter_map("a queue's name", |text| QueueName::new(&text).ok())
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{19}",
        "\\PC{1,20}",
        "[./%?#\\r\\n\\x00 ]{1,8}",
        Just("\u{10ffff}".repeat(256))
    ]
}

fn receipt_of() -> impl Strategy<Value = Receipt> {
    (id(), any::<String>()).prop_map(|(message, reservation)| Receipt {
        message: MessageId::new(message),
        reservation: ReservationId::new(reservation),
    })
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn message() -> impl Strategy<Value = NewMessage> {
    (any::<String>(), duration())
        .prop_map(|(body, delay)| NewMessage { body: Body::new(body), delay })
}

/// Operations, each with the segments and query values that its URL must contain.
fn op() -> impl Strategy<Value = (QueueOp, Vec<String>)> {
    let queues = |queue: &QueueName| vec!["queues".to_owned(), queue.as_str().to_owned()];
    let messages = move |queue: &QueueName, rest: &[&str]| {
        let mut segments = queues(queue);
        segments.push("messages".to_owned());
        segments.extend(rest.iter().map(|segment| (*segment).to_owned()));
        segments
    };
    prop_oneof![
        (queue_name(), prop::collection::vec(message(), 1..4)).prop_map(move |(queue, list)| {
            let segments = messages(&queue, &[]);
            (QueueOp::Post { queue, messages: Batch::new(list).unwrap() }, segments)
        }),
        (queue_name(), any::<usize>(), duration(), duration()).prop_map(
            move |(queue, count, lease, wait)| {
                let mut segments = queues(&queue);
                segments.push("reservations".to_owned());
                (QueueOp::Reserve { queue, count, lease, wait }, segments)
            }
        ),
        (queue_name(), id()).prop_map(move |(queue, id)| {
            let segments = messages(&queue, &[&id]);
            (QueueOp::Get { queue, message: MessageId::new(id) }, segments)
        }),
        (queue_name(), receipt_of()).prop_map(move |(queue, receipt)| {
            let segments = messages(&queue, &[receipt.message.as_str()]);
            (QueueOp::Delete { queue, receipt }, segments)
        }),
        (queue_name(), receipt_of(), duration()).prop_map(move |(queue, receipt, lease)| {
            let segments = messages(&queue, &[receipt.message.as_str(), "touch"]);
            (QueueOp::Touch { queue, receipt, lease }, segments)
        }),
        (queue_name(), receipt_of(), duration()).prop_map(move |(queue, receipt, delay)| {
            let segments = messages(&queue, &[receipt.message.as_str(), "release"]);
            (QueueOp::Release { queue, receipt, delay, failed: false }, segments)
        }),
        (queue_name(), prop::collection::vec(receipt_of(), 1..4)).prop_map(
            move |(queue, receipts)| {
                let segments = messages(&queue, &[]);
                (QueueOp::DeleteMany { queue, receipts: Batch::new(receipts).unwrap() }, segments)
            }
        ),
        queue_name().prop_map(move |queue| {
            let segments = queues(&queue);
            (QueueOp::DeleteQueue { queue }, segments)
        }),
    ]
}

fn address() -> impl Strategy<Value = (Address, Vec<String>)> {
    let segment = prop_oneof!["[./%?#a ]{1,6}", "\\PC{1,40}", Just("..".to_owned())];
    let parts = (prop::collection::vec(segment.clone(), 0..4), segment);
    parts.prop_filter_map("an address", |(prefix, project)| {
        let address = Address::new(Scheme::Http, "localhost", &project).ok()?;
        let address = address.with_prefix(prefix.clone()).ok()?;
        let mut segments = prefix;
        segments.extend(["3".to_owned(), "projects".to_owned(), project]);
        Some((address, segments))
    })
}

proptest! {
    #[test]
    fn any_response_is_decoded_without_panic_and_success_needs_proof(
        status in prop_oneof![Just(200u16), Just(201), 100..1000u16],
        headers in headers(),
        body in response_body(),
    ) {
        let mut response = format!("{status}\n").into_bytes();
        for (name, value) in &headers {
            response.extend([name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"].concat());
        }
        response.extend(b"\n");
        response.extend(body);
        ironmq_response(&response);
    }

    #[test]
    fn each_part_of_a_path_decodes_to_its_name(
        (op, op_segments) in op(),
        (address, mut segments) in address(),
    ) {
        let request = IronMq::new(&address, Token::new(TOKEN).unwrap()).encode(&op);
        segments.extend(op_segments);
        let path = request.uri().path();
        let written = path.strip_prefix('/').unwrap().split('/');
        let read: Vec<String> = written
            .inspect(|segment| assert!(!["", ".", ".."].contains(segment), "{path}"))
            .map(|segment| percent_decode_str(segment).decode_utf8().unwrap().into_owned())
            .collect();
        prop_assert_eq!(read, segments);
        prop_assert_eq!(request.uri().query(), None);
    }

    #[test]
    fn a_posted_body_round_trips(messages in prop::collection::vec(message(), 1..4)) {
        let bodies: Vec<String> = messages.iter().map(|m| m.body.as_str().to_owned()).collect();
        let op = QueueOp::Post { queue: queue(), messages: Batch::new(messages).unwrap() };
        let sent: serde_json::Value = serde_json::from_slice(ironmq().encode(&op).body()).unwrap();
        let sent = sent["messages"].as_array().unwrap().iter();
        let sent: Vec<String> = sent.map(|m| m["body"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(sent, bodies);
    }
}

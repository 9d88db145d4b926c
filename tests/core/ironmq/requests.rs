//! The exact requests: method, path and body of each operation.

use std::time::Duration;

use http::Request;
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};

use crate::support::*;

/// Method, path below the project's, and body.
fn sent(op: &QueueOp) -> (String, String, String) {
    let request = ironmq().encode(op);
    let url = request.uri().to_string();
    let base = format!("https://mq.example/3/projects/{PROJECT}");
    let path = url.strip_prefix(&base).unwrap_or_else(|| panic!("{url} is outside of the project"));
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    (request.method().to_string(), path.to_owned(), body)
}

fn check(op: &QueueOp, method: &str, path: &str, body: &str) {
    assert_eq!(sent(op), (method.to_owned(), path.to_owned(), body.to_owned()));
}

fn message(body: &str, delay: Duration) -> NewMessage {
    NewMessage { body: Body::new(body), delay }
}

fn other_receipt() -> Receipt {
    Receipt { message: MessageId::new("2"), reservation: ReservationId::new("r2") }
}

#[test]
fn a_post_contains_its_messages_in_order() {
    let messages =
        vec![message("{\"name\":\"a\"}", Duration::ZERO), message("b", Duration::from_secs(60))];
    let op = QueueOp::Post { queue: queue(), messages: Batch::new(messages).unwrap() };
    let body = r#"{"messages":[{"body":"{\"name\":\"a\"}"},{"body":"b","delay":60}]}"#;
    check(&op, "POST", "/queues/mail/messages", body);
}

#[test]
fn a_reserve_contains_number_lease_and_wait() {
    let body = r#"{"n":10,"timeout":30,"wait":30}"#;
    check(&reserve(10), "POST", "/queues/mail/reservations", body);
}

#[test]
fn a_reserve_without_a_wait_has_no_field_for_it() {
    let (lease, wait) = (Duration::from_secs(60), Duration::ZERO);
    let op = QueueOp::Reserve { queue: queue(), count: 1, lease, wait };
    check(&op, "POST", "/queues/mail/reservations", r#"{"n":1,"timeout":60}"#);
}

#[test]
fn a_peek_has_no_body() {
    check(&get(), "GET", "/queues/mail/messages/6000653546228216707", "");
    check(&peek(), "GET", "/queues/mail/messages?n=10", "");
    check(&get_queue(), "GET", "/queues/mail", "");
}

#[test]
fn operations_on_a_reserved_message_contain_the_reservation() {
    let path = "/queues/mail/messages/6000653546228216707";
    let rid = r#""reservation_id":"b42dd6bc2a2a4a2d95ab4b0d65ab2f9b""#;
    check(&delete(), "DELETE", path, &format!("{{{rid}}}"));
    check(&touch(), "POST", &format!("{path}/touch"), &format!("{{{rid},\"timeout\":30}}"));
    check(&release(), "POST", &format!("{path}/release"), &format!("{{{rid}}}"));
    let later = QueueOp::Release {
        queue: queue(),
        receipt: receipt(),
        delay: Duration::from_secs(5),
        failed: true,
    };
    check(&later, "POST", &format!("{path}/release"), &format!("{{{rid},\"delay\":5}}"));
}

#[test]
fn a_batch_delete_names_every_message() {
    let receipts = Batch::new(vec![receipt(), other_receipt()]).unwrap();
    let op = QueueOp::DeleteMany { queue: queue(), receipts };
    let body = r#"{"ids":[{"id":"6000653546228216707","reservation_id":"b42dd6bc2a2a4a2d95ab4b0d65ab2f9b"},{"id":"2","reservation_id":"r2"}]}"#;
    check(&op, "DELETE", "/queues/mail/messages", body);
}

#[test]
fn only_a_clear_sends_a_delete_without_ids() {
    check(&clear(), "DELETE", "/queues/mail/messages", "{}");
    assert_eq!(Batch::<Receipt>::new(Vec::new()), None);
}

#[test]
fn queues_are_created_and_deleted_under_their_name() {
    check(&create_queue(), "PUT", "/queues/mail", r#"{"queue":{}}"#);
    check(&delete_queue(), "DELETE", "/queues/mail", "{}");
}

#[test]
fn a_list_may_have_a_start_and_a_prefix() {
    check(&list_queues(), "GET", "/queues?per_page=30", "");
    let op = QueueOp::ListQueues {
        prefix: "a&b=".to_owned(),
        after: Some(QueueName::new("a b").unwrap()),
        count: 1000,
    };
    check(&op, "GET", "/queues?per_page=100&previous=a%20b&prefix=a%26b%3D", "");
}

#[test]
fn durations_are_rounded_up_to_whole_seconds_and_kept_within_the_limits() {
    let most = Duration::MAX;
    for (lease, wait, expected) in [
        (Duration::ZERO, Duration::ZERO, r#"{"n":1,"timeout":1}"#),
        (Duration::from_millis(1500), Duration::from_nanos(1), r#"{"n":1,"timeout":2,"wait":1}"#),
        (most, most, r#"{"n":1,"timeout":86400,"wait":30}"#),
    ] {
        let op = QueueOp::Reserve { queue: queue(), count: 1, lease, wait };
        assert_eq!(sent(&op).2, expected);
    }
    let op = QueueOp::Post { queue: queue(), messages: Batch::one(message("a", most)) };
    assert_eq!(sent(&op).2, r#"{"messages":[{"body":"a","delay":604800}]}"#);
}

#[test]
fn one_to_a_hundred_messages_can_be_requested() {
    for (count, sent_count) in [(0, 1), (1, 1), (100, 100), (usize::MAX, 100)] {
        assert!(sent(&reserve(count)).2.starts_with(&format!("{{\"n\":{sent_count},")));
        let op = QueueOp::Peek { queue: queue(), count };
        assert_eq!(sent(&op).1, format!("/queues/mail/messages?n={sent_count}"));
    }
}

#[test]
fn names_and_ids_cannot_leave_their_path_segment() {
    for (name, segment) in [
        ("a/b", "a%2Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("../x", "..%2Fx"),
        ("%2f", "%252f"),
        ("a b+c", "a%20b%2Bc"),
        ("任务", "%E4%BB%BB%E5%8A%A1"),
    ] {
        let op = QueueOp::GetQueue { queue: QueueName::new(name).unwrap() };
        assert_eq!(sent(&op).1, format!("/queues/{segment}"));
        let op = QueueOp::Get { queue: queue(), message: MessageId::new(name) };
        assert_eq!(sent(&op).1, format!("/queues/mail/messages/{segment}"));
    }
    let op = QueueOp::Get { queue: queue(), message: MessageId::new("1\r\nHost: evil") };
    assert_eq!(sent(&op).1, "/queues/mail/messages/1%0D%0AHost%3A%20evil");
}

#[test]
fn the_deletion_of_a_message_without_an_id_cannot_become_that_of_all() {
    for id in [String::new(), "9".repeat(70_000)] {
        let receipt = Receipt { message: MessageId::new(id), ..receipt() };
        let op = QueueOp::Delete { queue: queue(), receipt };
        assert_eq!(sent(&op).1, "/queues/mail/messages/-");
    }
}

fn header<'a>(request: &'a Request<bytes::Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn every_request_has_the_token_and_the_accepted_types() {
    for op in all_ops() {
        let request = ironmq().encode(&op);
        assert_eq!(header(&request, "authorization"), Some(&*format!("OAuth {TOKEN}")));
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(header(&request, "accept"), Some("application/json"));
        assert_eq!(header(&request, "accept-encoding"), Some("identity"));
        let agent = concat!("ivy/", env!("CARGO_PKG_VERSION"));
        assert_eq!(header(&request, "user-agent"), Some(agent));
        let content_type = (!request.body().is_empty()).then_some("application/json");
        assert_eq!(header(&request, "content-type"), content_type);
        assert_eq!(request.headers().len(), 4 + usize::from(content_type.is_some()));
    }
}

#[test]
fn neither_a_request_nor_its_encoder_shows_the_token() {
    let request = ironmq().encode(&clear());
    let shown = format!("{request:?} {:?}", ironmq());
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_server_behind_a_path_and_another_port_is_reached() {
    let address = Address::new(Scheme::Http, "localhost", PROJECT).unwrap();
    let address = address.with_port(8080).unwrap();
    let address = address.with_prefix(vec!["some".to_owned(), "p/th".to_owned()]).unwrap();
    let ironmq = IronMq::new(&address, Token::new(TOKEN).unwrap());
    let expected = format!("http://localhost:8080/some/p%2Fth/3/projects/{PROJECT}/queues/mail");
    assert_eq!(ironmq.encode(&get_queue()).uri().to_string(), expected);
}

#[test]
fn the_limit_of_a_response_fits_the_requested_messages() {
    let frame = 64 * 1024;
    let ironmq = ironmq().with_max_body(1000);
    for (op, limit) in [
        (reserve(10), 10 * 2000 + frame),
        (reserve(usize::MAX), 100 * 2000 + frame),
        (peek(), 10 * 2000 + frame),
        (get(), 2000 + frame),
        (post(&["a"]), frame),
        (delete(), frame),
    ] {
        assert_eq!(ironmq.response_limit(&op), limit, "{op:?}");
    }
    assert_eq!(ironmq.with_max_body(usize::MAX).response_limit(&reserve(2)), usize::MAX);
}

#[test]
fn the_timeout_of_a_request_is_its_wait_plus_ten_seconds() {
    assert_eq!(reserve(1).time_limit(), Duration::from_secs(40));
    assert_eq!(delete().time_limit(), Duration::from_secs(10));
}

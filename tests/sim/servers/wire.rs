//! IronMQ's HTTP as bytes, from the server's side: decodes requests and encodes responses.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use ivy_proto::broker::{self, Refusal, Target};
use ivy_proto::queue::{Body, NewMessage, QueueSettings};
use ivy_proto::{MessageId, QueueName, ReservationId};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::json;

/// Decodes a request of ivy. Anything else is an error of its sender.
pub fn parse(request: &Request<Bytes>) -> broker::Request {
    let path = request.uri().path();
    let (_, path) = path.split_once("/queues/").expect("requests concern queues only");
    let parts: Vec<&str> = path.split('/').collect();
    let queue = QueueName::new(&decoded(parts[0])).expect("the name is valid");
    let body = request.body();
    match (request.method(), &parts[1..]) {
        (&Method::POST, ["messages"]) => {
            let posted: Posted = read(body);
            let messages = posted.messages.into_iter().map(|message| NewMessage {
                body: Body::new(message.body),
                delay: Duration::from_secs(message.delay),
            });
            broker::Request::Post { queue, messages: messages.collect() }
        }
        (&Method::POST, ["reservations"]) => {
            let reservations: Reservations = read(body);
            broker::Request::Reserve {
                queue,
                count: reservations.n,
                timeout: Some(Duration::from_secs(reservations.timeout)),
                wait: Duration::from_secs(reservations.wait),
                delete: false,
            }
        }
        (&Method::POST, ["messages", id, "touch"]) => {
            let lease: Lease = read(body);
            let timeout = lease.timeout.map(Duration::from_secs);
            broker::Request::Touch { queue, target: lease.target(id), timeout }
        }
        (&Method::POST, ["messages", id, "release"]) => {
            let lease: Lease = read(body);
            let delay = Duration::from_secs(lease.delay);
            broker::Request::Release { queue, target: lease.target(id), delay, failed: false }
        }
        (&Method::DELETE, ["messages", id]) => {
            let lease: Lease = read(body);
            broker::Request::Delete { queue, target: lease.target(id) }
        }
        (&Method::DELETE, ["messages"]) => {
            let deleted: Deleted = read(body);
            let targets = deleted.ids.into_iter().map(|entry| Target {
                message: MessageId::new(entry.id),
                reservation: Some(ReservationId::new(entry.reservation_id)),
            });
            broker::Request::DeleteMany { queue, targets: targets.collect() }
        }
        (&Method::GET, []) => broker::Request::GetQueue { queue },
        (&Method::PUT, []) => {
            broker::Request::PutQueue { queue, settings: QueueSettings::default() }
        }
        (method, parts) => panic!("unexpected request {method} {parts:?}"),
    }
}

/// The broker's reply as an IronMQ server would send it.
pub fn http_response(result: &Result<broker::Response, Refusal>) -> Response<Bytes> {
    let (status, body) = match result {
        Ok(response) => response_body(response),
        Err(refusal) => {
            let status = match refusal {
                Refusal::QueueNotFound | Refusal::MessageNotFound => 404,
                Refusal::ReservationTimedOut => 403,
                Refusal::TooLarge => 413,
                _ => 400,
            };
            (status, json!({"msg": refusal.to_string()}).to_string())
        }
    };
    response(status, body.into())
}

/// A response with this status and body.
pub fn response(status: u16, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).expect("the status is valid");
    response
}

fn response_body(response: &broker::Response) -> (u16, String) {
    match response {
        broker::Response::Posted(ids) => {
            let ids: Vec<&str> = ids.iter().map(MessageId::as_str).collect();
            (201, json!({"ids": ids, "msg": "Messages put on queue."}).to_string())
        }
        broker::Response::PostedEach(entries) if entries.iter().all(Result::is_ok) => {
            response_body(&broker::Response::Posted(entries.iter().flatten().cloned().collect()))
        }
        broker::Response::DeletedEach(entries) if entries.iter().all(Result::is_ok) => {
            response_body(&broker::Response::Deleted)
        }
        // It has no representation in bytes.
        broker::Response::PostedEach(_) | broker::Response::DeletedEach(_) => (500, String::new()),
        broker::Response::Reserved(deliveries) => {
            let mut text = "{\"messages\":[".to_owned();
            for (position, delivery) in deliveries.iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                let body =
                    serde_json::to_string(delivery.body.as_str()).expect("a body is a string");
                text.push_str(&format!(
                    "{comma}{{\"id\":\"{}\",\"body\":{body},\"reserved_count\":{},\
                     \"reservation_id\":\"{}\"}}",
                    delivery.message.as_str(),
                    delivery.reserved_count,
                    delivery.reservation.as_str(),
                ));
            }
            text.push_str("]}");
            (200, text)
        }
        broker::Response::Touched(receipt) => {
            let reservation = receipt.reservation.as_str();
            (200, json!({"reservation_id": reservation, "msg": "Touched"}).to_string())
        }
        broker::Response::Queue(info) => {
            let queue = json!({"name": info.name.as_str(), "size": info.size});
            (200, json!({"queue": queue}).to_string())
        }
        broker::Response::Deleted => (200, r#"{"msg":"Deleted"}"#.to_owned()),
        broker::Response::Released => (200, r#"{"msg":"Released"}"#.to_owned()),
        other => panic!("unexpected reply {other:?}"),
    }
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8().expect("names are UTF-8").into_owned()
}

fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> T {
    serde_json::from_slice(body).expect("ivy writes valid JSON")
}

#[derive(Deserialize)]
struct Posted {
    messages: Vec<PostedMessage>,
}

#[derive(Deserialize)]
struct PostedMessage {
    body: String,
    #[serde(default)]
    delay: u64,
}

#[derive(Deserialize)]
struct Reservations {
    n: usize,
    timeout: u64,
    #[serde(default)]
    wait: u64,
}

#[derive(Deserialize)]
struct Lease {
    reservation_id: String,
    timeout: Option<u64>,
    #[serde(default)]
    delay: u64,
}

impl Lease {
    fn target(self, id: &str) -> Target {
        Target {
            message: MessageId::new(decoded(id)),
            reservation: Some(ReservationId::new(self.reservation_id)),
        }
    }
}

#[derive(Deserialize)]
struct Deleted {
    ids: Vec<DeletedMessage>,
}

#[derive(Deserialize)]
struct DeletedMessage {
    id: String,
    reservation_id: String,
}

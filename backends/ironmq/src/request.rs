//! Encodes operations as requests.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Serialize;

use ivy_proto::backend::segment;

use crate::path::message_segment;
use ivy_proto::QueueName;
use ivy_proto::Receipt;
use ivy_proto::queue::{Batch, NewMessage, QueueOp, QueueSettings};
use ivy_proto::wire::json::push_escaped;

/// The range of a lease, in seconds. The documented minimum is 30; shorter ones work.
const LEASE: (u64, u64) = (1, 86_400);
/// The longest wait of a reserve, in seconds.
const MAX_WAIT: u64 = 30;
/// The longest delay, in seconds: a week.
const MAX_DELAY: u64 = 604_800;
/// The maximum number of messages, or names, per request.
pub(crate) const MAX_COUNT: usize = 100;
/// Names are shorter than this, in characters, so a longer prefix matches nothing, like one of this
/// length.
const MAX_PREFIX_LENGTH: usize = 256;

/// An upper bound of what a message takes in a post in addition to its body.
const MESSAGE_OVERHEAD: usize = 32;
/// An upper bound of what one of IronMQ's receipts takes in a delete.
const RECEIPT_SIZE: usize = 96;

/// A request: a method, a path below the project's, and a body.
pub(crate) struct RestCall {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
}

/// The number of messages or names to request, within the limits.
pub(crate) fn clamped_count(count: usize) -> usize {
    count.clamp(1, MAX_COUNT)
}

/// The request of the operation.
pub(crate) fn call(op: &QueueOp) -> RestCall {
    match op {
        QueueOp::Post { queue, messages } => RestCall {
            method: Method::POST,
            path: messages_of(queue),
            body: Some(post_body(messages)),
        },
        QueueOp::Reserve { queue, count, lease, wait } => {
            let body = ReserveBody {
                n: clamped_count(*count),
                timeout: seconds(*lease, LEASE.0, LEASE.1),
                wait: seconds(*wait, 0, MAX_WAIT),
            };
            post(format!("{}/reservations", path_of(queue)), &body)
        }
        QueueOp::Get { queue, message } => {
            get(format!("{}/{}", messages_of(queue), message_segment(message)))
        }
        QueueOp::Peek { queue, count } => {
            get(format!("{}?n={}", messages_of(queue), clamped_count(*count)))
        }
        QueueOp::Delete { queue, receipt } => {
            call_with(Method::DELETE, message_of(queue, receipt), &LeaseBody::new(receipt))
        }
        QueueOp::DeleteMany { queue, receipts } => {
            let body = Some(delete_body(receipts));
            RestCall { method: Method::DELETE, path: messages_of(queue), body }
        }
        QueueOp::Touch { queue, receipt, lease } => {
            let timeout = Some(seconds(*lease, LEASE.0, LEASE.1));
            let body = LeaseBody { timeout, ..LeaseBody::new(receipt) };
            post(format!("{}/touch", message_of(queue, receipt)), &body)
        }
        QueueOp::Release { queue, receipt, delay, .. } => {
            let delay = seconds(*delay, 0, MAX_DELAY);
            let body = LeaseBody { delay, ..LeaseBody::new(receipt) };
            post(format!("{}/release", message_of(queue, receipt)), &body)
        }
        QueueOp::Clear { queue } => call_with(Method::DELETE, messages_of(queue), &Empty {}),
        QueueOp::GetQueue { queue } => get(path_of(queue)),
        QueueOp::CreateQueue { queue } => {
            call_with(Method::PUT, path_of(queue), &QueueBody { queue: Empty {} })
        }
        QueueOp::UpdateQueue { queue, settings } => {
            let queue_body = QueueBody { queue: SettingsBody::new(settings) };
            call_with(Method::PATCH, path_of(queue), &queue_body)
        }
        QueueOp::DeleteQueue { queue } => call_with(Method::DELETE, path_of(queue), &Empty {}),
        QueueOp::ListQueues { prefix, after, count } => {
            let mut path = format!("/queues?per_page={}", clamped_count(*count));
            if let Some(after) = after {
                path.push_str(&format!("&previous={}", segment(after.as_str())));
            }
            let prefix: String = prefix.chars().take(MAX_PREFIX_LENGTH).collect();
            if !prefix.is_empty() {
                path.push_str(&format!("&prefix={}", segment(&prefix)));
            }
            get(path)
        }
    }
}

fn path_of(queue: &QueueName) -> String {
    format!("/queues/{}", segment(queue.as_str()))
}

fn messages_of(queue: &QueueName) -> String {
    format!("{}/messages", path_of(queue))
}

fn message_of(queue: &QueueName, receipt: &Receipt) -> String {
    format!("{}/{}", messages_of(queue), message_segment(&receipt.message))
}

fn get(path: String) -> RestCall {
    RestCall { method: Method::GET, path, body: None }
}

fn post(path: String, body: &impl Serialize) -> RestCall {
    call_with(Method::POST, path, body)
}

fn call_with(method: Method, path: String, body: &impl Serialize) -> RestCall {
    let body = serde_json::to_vec(body).expect("strings, numbers and JSON can be written as JSON");
    RestCall { method, path, body: Some(body.into()) }
}

/// Whole seconds, rounded up so that nothing is shorter than requested, within the limits.
fn seconds(duration: Duration, min: u64, max: u64) -> u64 {
    let rounded = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    rounded.clamp(min, max)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct Empty {}

/// The settings of a queue.
#[derive(Serialize)]
struct QueueBody<Settings> {
    queue: Settings,
}

/// Settings to be changed, in whole seconds.
#[derive(Serialize)]
struct SettingsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiration: Option<u64>,
}

impl SettingsBody {
    /// The dead-letter rule and the type of the queue are not changed: ivy sets neither.
    fn new(settings: &QueueSettings) -> Self {
        let whole = |time: Duration| seconds(time, 0, u64::MAX);
        SettingsBody {
            message_timeout: settings.message_timeout.map(whole),
            message_expiration: settings.message_expiration.map(whole),
        }
    }
}

/// `{"messages":[{"body":"..","delay":5},..]}`, without `delay` if there is none. Written without a
/// serializer, because a batch contains up to a hundred strings that are JSON themselves.
fn post_body(messages: &Batch<NewMessage>) -> Bytes {
    let sizes =
        messages.items().iter().map(|message| MESSAGE_OVERHEAD + message.body.as_str().len());
    let mut out = Vec::with_capacity(sizes.sum::<usize>() * 5 / 4);
    out.extend_from_slice(b"{\"messages\":[");
    for (index, message) in messages.items().iter().enumerate() {
        let opening: &[u8] = if index == 0 { b"{\"body\":\"" } else { b",{\"body\":\"" };
        out.extend_from_slice(opening);
        push_escaped(&mut out, message.body.as_str().as_bytes());
        out.push(b'"');
        let delay = seconds(message.delay, 0, MAX_DELAY);
        if delay > 0 {
            out.extend_from_slice(b",\"delay\":");
            out.extend_from_slice(itoa::Buffer::new().format(delay).as_bytes());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// `{"ids":[{"id":"..","reservation_id":".."},..]}`.
fn delete_body(receipts: &Batch<Receipt>) -> Bytes {
    let mut out = Vec::with_capacity(receipts.items().len() * RECEIPT_SIZE);
    out.extend_from_slice(b"{\"ids\":[");
    for (index, receipt) in receipts.items().iter().enumerate() {
        let opening: &[u8] = if index == 0 { b"{\"id\":\"" } else { b",{\"id\":\"" };
        out.extend_from_slice(opening);
        push_escaped(&mut out, receipt.message.as_bytes());
        out.extend_from_slice(b"\",\"reservation_id\":\"");
        push_escaped(&mut out, receipt.reservation.as_bytes());
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"]}");
    out.into()
}

#[derive(Serialize)]
struct ReserveBody {
    n: usize,
    timeout: u64,
    #[serde(skip_serializing_if = "is_zero")]
    wait: u64,
}

#[derive(Serialize)]
struct LeaseBody<'a> {
    reservation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    delay: u64,
}

impl<'a> LeaseBody<'a> {
    fn new(receipt: &'a Receipt) -> Self {
        LeaseBody { reservation_id: receipt.reservation.as_str(), timeout: None, delay: 0 }
    }
}

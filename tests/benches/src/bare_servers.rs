//! The baselines of `ivy serve`: hyper servers that send the same responses to the same requests.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::samples;

/// The queue whose posts may contain any number of messages, without parsing.
pub(crate) const ANY_COUNT: &str = "any";
/// The prefix of each message of a post.
const BODY: &[u8] = br#"{"body":"#;

/// What a server does with a body in addition to reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nothing: the responses are prebuilt.
    Bytes,
    /// It parses the body, copies its contents, and writes the response.
    Json,
}

/// Serves until the process ends.
///
/// # Panics
///
/// If no port can be bound.
pub fn serve(depth: Depth) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port can be bound");
        let address = listener.local_addr().expect("it is bound");
        writeln!(std::io::stdout(), "listening on http://{address}").expect("stdout is open");
        let prebuilt = Arc::new([Prebuilt::new(1), Prebuilt::new(100)]);
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("it is TCP");
            let prebuilt = Arc::clone(&prebuilt);
            let service = service_fn(move |request| respond(request, depth, Arc::clone(&prebuilt)));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

/// The responses for this many messages.
struct Prebuilt {
    posted: Bytes,
    reserved: Bytes,
    deleted: Bytes,
}

impl Prebuilt {
    fn new(count: usize) -> Self {
        Prebuilt { posted: posted(count), reserved: reserved(count), deleted: deleted() }
    }
}

async fn respond(
    request: Request<Incoming>,
    depth: Depth,
    prebuilt: Arc<[Prebuilt; 2]>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("the body is complete").to_bytes();
    // As in `/3/projects/P/queues/q100/messages`.
    let mut segments = head.uri.path().split('/').skip(5);
    let queue = segments.next();
    let (of, id) = (segments.next(), segments.next());
    let prebuilt = if queue == Some("q100") { &prebuilt[1] } else { &prebuilt[0] };
    let response_body = match (head.method, of, depth) {
        (Method::POST, Some("messages"), Depth::Bytes) if queue == Some(ANY_COUNT) => {
            posted(body.windows(BODY.len()).filter(|text| *text == BODY).count())
        }
        (Method::POST, Some("messages"), Depth::Bytes) => prebuilt.posted.clone(),
        (Method::POST, Some("messages"), Depth::Json) => {
            let post: Post<'_> = serde_json::from_slice(&body).expect("a post");
            let bodies: Vec<Box<str>> =
                post.messages.into_iter().map(|message| message.body.into()).collect();
            posted(black_box(bodies).len())
        }
        (Method::POST, _, Depth::Bytes) => prebuilt.reserved.clone(),
        (Method::POST, _, Depth::Json) => {
            let reserve: Reserve = serde_json::from_slice(&body).expect("a reserve");
            reserved(reserve.n)
        }
        (Method::DELETE, _, Depth::Json) if id.is_some() => {
            let delete: DeleteOne<'_> = serde_json::from_slice(&body).expect("a delete of one");
            black_box(delete);
            deleted()
        }
        (Method::DELETE, _, Depth::Json) if body.len() > 2 => {
            let delete: Delete<'_> = serde_json::from_slice(&body).expect("a delete");
            black_box(delete);
            deleted()
        }
        _ => prebuilt.deleted.clone(),
    };
    let mut response = Response::new(Full::new(response_body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[derive(Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    body: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Reserve {
    n: usize,
}

#[derive(Deserialize)]
struct Delete<'a> {
    #[serde(borrow, rename = "ids")]
    _ids: Vec<Target<'a>>,
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(rename = "id")]
    _id: &'a str,
    #[serde(rename = "reservation_id")]
    _reservation: &'a str,
}

#[derive(Deserialize)]
struct DeleteOne<'a> {
    #[serde(rename = "reservation_id")]
    _reservation: &'a str,
}

#[derive(Serialize)]
struct Posted {
    ids: Vec<&'static str>,
    msg: &'static str,
}

#[derive(Serialize)]
struct Reserved {
    messages: Vec<Delivery>,
}

#[derive(Serialize)]
struct Delivery {
    id: String,
    body: &'static str,
    reserved_count: u32,
    reservation_id: &'static str,
}

const ID: &str = "1000000000000000001";

fn posted(count: usize) -> Bytes {
    json(&Posted { ids: vec![ID; count], msg: "Messages put on queue." })
}

/// Every message that was ever reserved has an id of its own.
fn reserved(count: usize) -> Bytes {
    static RESERVED: AtomicU64 = AtomicU64::new(1_000_000_000_000_000_000);
    let first = RESERVED.fetch_add(count as u64, Ordering::Relaxed);
    let delivery = |id: u64| Delivery {
        id: id.to_string(),
        body: samples::SMALL,
        reserved_count: 1,
        reservation_id: "0123456789abcdef0123456789abcdef",
    };
    json(&Reserved { messages: (first..first + count as u64).map(delivery).collect() })
}

fn deleted() -> Bytes {
    Bytes::from_static(b"{\"msg\":\"Deleted\"}")
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("the response can be serialized").into()
}

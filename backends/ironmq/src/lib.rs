//! IronMQ v3 as a queue of ivy: its URLs and its HTTP protocol, without IO.
//!
//! Programs configure an IronMQ queue by a URL, through one of the adapters `ivy-tokio`,
//! `ivy-async-std` and `ivy-blocking`, whose feature `ironmq` includes this crate. [`IronMq`]
//! implements [`Exchange`]: it encodes each operation as an HTTP request, and decodes each response
//! into a reply or a fault. `ivy serve`, of the crate `ivy-cli`, is a server of this
//! protocol for development and tests.
//!
//! # URLs
//!
//! `ironmq://TOKEN@HOST[:PORT][/PREFIX...]/PROJECT_ID`, over HTTPS, port 443. `ironmq+http://` is
//! the same over plain HTTP, port 80, with a warning if the token is sent to another host. A
//! part that is left out is looked up in the [environment](#environment); if no host is found,
//! IronMQ's own is used. In a token, write a colon as `%3A`.
//!
//! ```
//! use ivy_proto::config::{Config, Environment};
//!
//! for url in [
//!     // A project on a server.
//!     "ironmq://TOKEN@mq.example/5e3a6f0c1b2d4e5f6a7b8c9d",
//!     // A local server without TLS.
//!     "ironmq+http://TOKEN@127.0.0.1:8080/5e3a6f0c1b2d4e5f6a7b8c9d",
//!     // A server behind a proxy: the requests go to https://mq.example:8443/queues/3/projects/...
//!     "ironmq://TOKEN@mq.example:8443/queues/5e3a6f0c1b2d4e5f6a7b8c9d",
//!     // Token and project from the environment, the host IronMQ's own.
//!     "ironmq://",
//! ] {
//!     let variables = |name: &str| match name {
//!         "IVY_QUEUE_URL" => Some(url.to_owned()),
//!         "IRON_MQ_TOKEN" => Some("TOKEN".to_owned()),
//!         "IRON_MQ_PROJECT_ID" => Some("5e3a6f0c1b2d4e5f6a7b8c9d".to_owned()),
//!         _ => None,
//!     };
//!     let environment = Environment::new(&variables, &|_| None);
//!     let config = Config::builder().backend(ivy_ironmq::plug()).resolve(&environment)?;
//!     assert!(config.queue.is_some());
//! }
//! # Ok::<(), ivy_proto::config::ConfigError>(())
//! ```
//!
//! # Environment
//!
//! A part that the URL leaves out, or every part if there is no URL, is the first found of:
//!
//! part | variables | keys of a file
//! --- | --- | ---
//! token | `IRON_MQ_TOKEN`, `IRON_TOKEN`, `IRONMQ_TOKEN` | `token`
//! project | `IRON_MQ_PROJECT_ID`, `IRON_PROJECT_ID`, `IRONMQ_PROJECT_ID`, `IRONMQ_PROJECT` | `project_id`
//! host | `IRON_MQ_HOST`, `IRON_HOST` | `host`
//! port | `IRON_MQ_PORT`, `IRON_PORT` | `port`
//! scheme | `IRON_MQ_SCHEME`, `IRON_MQ_PROTOCOL`, `IRON_SCHEME`, `IRON_PROTOCOL` | `scheme`, `protocol`
//!
//! The files are `./iron.json` and `~/.iron.json`, in this order, as in IronMQ's own clients; keys
//! below `iron_mq` take precedence over those at the root. A server named by a file is used only
//! with a token of the same file or of a weaker source, and no file turns off TLS if a URL or a
//! variable turns it on. Such a configuration is refused, because a user who can write to the
//! current directory could redirect the token.
//!
//! # Limits
//!
//! what | limit
//! --- | ---
//! messages in a post, a reserve or a delete | 100
//! a body | 256 KiB; some plans have less, see [`with_max_body`](IronMq::with_max_body)
//! a request | 256 KiB
//! a delay | 7 days, in whole seconds, rounded up
//! a lease | 1 s to 24 h, in whole seconds; IronMQ documents 30 s as the shortest, and a shorter one comes with a warning
//! the wait of a reserve | 30 s
//! a response | the size that its operation can require; a larger one is not read to its end and fails with `ReplyLost`
//! a redirect | not followed, because it would forward the token
//! `Retry-After` | respected up to 60 s
//!
//! # Promises
//!
//! * A posted message is stored on the server until it is deleted, or until it expires: 7 days
//!   after its post, unless the queue's `message_expiration` differs (30 days at most). Expired
//!   messages are deleted without a record, dead letters too.
//! * At least once: a message whose lease ends is delivered again, at its previous position. If the
//!   response to a post is lost and the message is posted again, it may exist twice; the task has
//!   the same id in both. If the response to a reserve is lost, its messages return when their
//!   leases end.
//! * A late worker does no harm: each delete, renewal and release contains its reservation, and the
//!   server refuses one that has ended.
//! * A batch is posted or deleted as a whole. A batch that is refused is retried in parts, so that
//!   one invalid message does not affect the others.
//! * Counts: `reserved_count` counts both reserves and renewals, so it is an upper bound on the
//!   deliveries. The number of lost deliveries is stored in the message, and a failed task is
//!   followed by a copy with the next attempt's number: first the copy is posted, then the original
//!   deleted.
//! * ivy sets no dead-letter rule on a queue, and warns at the start of a worker if the server has
//!   one: it would move messages without recording a reason.
//!
//! # Errors
//!
//! A request that fails returns a [`Fault`], which contains what happened, whether the request may
//! have taken effect anyway, and what to do. It never contains a token or a body, even if the
//! server repeats them.
//!
//! response | fault
//! --- | ---
//! 401 | `Unauthorized`
//! 403 | `LeaseLost` for a delete, a renewal or a release; `Refused` for the creation of a queue; else `Unauthorized`
//! 404 | `NoMessage` or `NoQueue`, depending on the operation
//! 408, 5xx | `ServerError`: it may have taken effect
//! 413 | `TooLarge`
//! 429 | `TooManyRequests`
//! 3xx | `Redirected`
//! another 4xx | `Refused`
//! anything else, including a success response that does not confirm the operation | `BadReply`: it may have taken effect
//! none: no connection | `Unreachable`
//! none: no secure connection | `Tls`
//! none in time, or one that was cut off | `ReplyLost`: it may have taken effect
//!
//! An invalid configuration returns a [`BadConfig`], in a
//! [`ConfigError`](ivy_proto::config::ConfigError) that names the source of the part.
//!
//! # Without an adapter
//!
//! ```
//! use ivy_ironmq::{Address, IronMq, Scheme, Token};
//! use ivy_proto::queue::{QueueOp, QueueReply};
//! use ivy_proto::QueueName;
//!
//! let address = Address::new(Scheme::Https, "mq.example", "5e3a6f0c1b2d4e5f6a7b8c9d")?;
//! let ironmq = IronMq::new(&address, Token::new("secret")?);
//!
//! let clear = QueueOp::Clear { queue: QueueName::new("mail")? };
//! let request = ironmq.encode(&clear);
//! assert_eq!(request.method(), "DELETE");
//! assert_eq!(
//!     request.uri(),
//!     "https://mq.example/3/projects/5e3a6f0c1b2d4e5f6a7b8c9d/queues/mail/messages",
//! );
//!
//! let response = http::Response::new(r#"{"msg":"Cleared"}"#.into());
//! assert_eq!(ironmq.decode(&clear, response), Ok(QueueReply::Cleared));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod advice;
mod bad_config;
mod error_response;
mod http_date;
mod iron_file;
mod json;
mod messages;
mod path;
mod plug;
mod redaction;
mod request;
mod response;
mod sources;
mod token;
mod url;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};

pub use address::{Address, InvalidAddress, Scheme};
pub use bad_config::BadConfig;
pub use plug::plug;
pub use token::{BadToken, Token};
pub use url::{ColonInToken, IronMqUrl};

use crate::redaction::Redaction;
use ivy_proto::backend::{Exchange, HttpRequest, Step};
use ivy_proto::queue::{
    Capabilities, Fault, FaultKind, Lease, QueueOp, QueueReply, ResponseDeviation, Retry,
};

/// The size of a response apart from its messages, in bytes.
const RESPONSE_OVERHEAD: usize = 64 * 1024;
/// The longest entry of a list of queues: a name of 255 bytes, each escaped as six.
const LISTED_QUEUE_SIZE: usize = 2 * 1024;

/// A project on an IronMQ v3 server: encodes a [`QueueOp`] as a request and decodes the response to
/// a [`QueueReply`] or a [`Fault`]. Its `Debug` output does not contain the token.
#[derive(Clone)]
pub struct IronMq {
    address: Address,
    base: String,
    token: Token,
    authorization: HeaderValue,
    max_body: usize,
}

impl IronMq {
    /// A project, with the body limit of IronMQ's largest plan.
    #[must_use]
    pub fn new(address: &Address, token: Token) -> Self {
        let max_body = capabilities().max_body;
        IronMq {
            address: address.clone(),
            base: address.to_string(),
            authorization: authorization(&token),
            token,
            max_body,
        }
    }

    /// The address of the project.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The token of the project.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Sets another limit for one body, in bytes.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Encodes the operation as a request. Durations are sent in whole seconds, rounded up;
    /// durations and numbers beyond IronMQ's limits are sent as the limit.
    ///
    /// The `Authorization` header is marked as sensitive, so that its `Debug` output does not show
    /// it.
    #[must_use]
    pub fn encode(&self, op: &QueueOp) -> Request<Bytes> {
        let call = request::call(op);
        let uri = Uri::try_from(format!("{}{}", self.base, call.path))
            .expect("base and path consist of escaped segments of limited length");
        let mut request = Request::new(call.body.clone().unwrap_or_default());
        *request.method_mut() = call.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("ivy/", env!("CARGO_PKG_VERSION"))),
        );
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }

    /// Decodes the response to the operation.
    ///
    /// # Errors
    /// The [`Fault`] that the response reports. [`FaultKind::BadReply`] if a success response does not
    /// confirm the operation, such as a post without one id for each message: then it is unknown
    /// whether the operation took effect.
    pub fn decode(&self, op: &QueueOp, response: Response<Bytes>) -> Result<QueueReply, Fault> {
        self.decode_noting(op, response, |_| {})
    }

    /// As [`decode`](IronMq::decode), and reports each [`ResponseDeviation`] despite which the response
    /// is accepted.
    ///
    /// # Errors
    /// As [`decode`](IronMq::decode).
    pub fn decode_noting(
        &self,
        op: &QueueOp,
        response: Response<Bytes>,
        note: impl FnMut(ResponseDeviation),
    ) -> Result<QueueReply, Fault> {
        let (head, body) = response.into_parts();
        let redaction = Redaction { token: &self.token, op };
        if matches!(head.status.as_u16(), 200 | 201) {
            return response::read(op, &head.headers, &body, note).map_err(|problem| {
                advice::advised(Fault::new(FaultKind::BadReply))
                    .with_status(head.status.as_u16())
                    .with_detail(problem.redacted(&redaction).to_string())
            });
        }
        let server_text = response::message(&body);
        let fault =
            error_response::fault(&redaction, head.status, &head.headers, server_text.as_deref());
        Err(advice::advised(fault))
    }

    /// The maximum size of the response to this operation, in bytes. A longer one is cut off and
    /// counts as [`FaultKind::ReplyLost`].
    #[must_use]
    pub fn response_limit(&self, op: &QueueOp) -> usize {
        let messages = match op {
            QueueOp::Reserve { count, .. } | QueueOp::Peek { count, .. } => {
                request::clamped_count(*count)
            }
            QueueOp::Get { .. } => 1,
            QueueOp::ListQueues { count, .. } => {
                return request::clamped_count(*count) * LISTED_QUEUE_SIZE + RESPONSE_OVERHEAD;
            }
            _ => 0,
        };
        messages.saturating_mul(self.max_body.saturating_mul(2)).saturating_add(RESPONSE_OVERHEAD)
    }
}

impl Exchange for IronMq {
    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn is_secure(&self) -> bool {
        self.address.scheme() == Scheme::Https
    }

    fn advice(&self, kind: FaultKind) -> Option<&'static str> {
        advice::about(kind)
    }

    fn start(&self, op: &QueueOp, _: Duration) -> Step {
        let request = HttpRequest::new(self.encode(op)).of(op);
        Step::Send(request.with_response_limit(self.response_limit(op)))
    }

    fn read(
        &self,
        op: &QueueOp,
        _: u8,
        response: Response<Bytes>,
        _: Duration,
        note: &mut dyn FnMut(ResponseDeviation),
    ) -> Step {
        Step::Done(self.decode_noting(op, response, note))
    }
}

impl fmt::Debug for IronMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IronMq").field("project", &self.base).finish_non_exhaustive()
    }
}

/// The capabilities of IronMQ v3.
#[must_use]
pub const fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::broker().with_retry(Retry::Successor);
    capabilities.lease = Lease::Timed {
        shortest: Duration::from_secs(1),
        longest: Duration::from_secs(86_400),
        documented: Duration::from_secs(30),
    };
    // The server counts reservations, however they end.
    capabilities.admin.release_counts = true;
    capabilities
}

/// The header that contains the token. Its `Debug` output does not show it.
fn authorization(token: &Token) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("OAuth {}", token.expose()))
        .expect("a token contains visible ASCII characters only");
    value.set_sensitive(true);
    value
}

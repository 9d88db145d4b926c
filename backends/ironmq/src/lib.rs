//! IronMQ v3 as a queue of ivy: its URLs and its HTTP interface, without IO.
//!
//! A program names an IronMQ queue by a URL, through one of the adapters `ivy-tokio`, `ivy-async-std`
//! and `ivy-blocking`, whose feature `ironmq` brings this crate. [`IronMq`] is what stands behind it:
//! an [`Exchange`], which makes one HTTP request of each operation, and a reply or a fault of each
//! response. `ivy serve`, of the crate `ivy-cli`, is a server of this interface for development and
//! tests.
//!
//! # URLs
//!
//! `ironmq://TOKEN@HOST[:PORT][/PREFIX...]/PROJECT_ID`, over HTTPS, port 443. `ironmq+http://` is the
//! same over plain HTTP, port 80, with a warning where the token travels to another machine. A part
//! that is left out is looked up as the [environment](#environment) says, and the host is IronMQ's own
//! if it is found nowhere. In a token, a colon is written as `%3A`.
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
//! What the URL leaves out, and all of it where there is no URL, is the first that is found of:
//!
//! part | variables | keys of a file
//! --- | --- | ---
//! token | `IRON_MQ_TOKEN`, `IRON_TOKEN`, `IRONMQ_TOKEN` | `token`
//! project | `IRON_MQ_PROJECT_ID`, `IRON_PROJECT_ID`, `IRONMQ_PROJECT_ID`, `IRONMQ_PROJECT` | `project_id`
//! host | `IRON_MQ_HOST`, `IRON_HOST` | `host`
//! port | `IRON_MQ_PORT`, `IRON_PORT` | `port`
//! scheme | `IRON_MQ_SCHEME`, `IRON_MQ_PROTOCOL`, `IRON_SCHEME`, `IRON_PROTOCOL` | `scheme`, `protocol`
//!
//! The files are `./iron.json` and `~/.iron.json`, in this order, as IronMQ's own clients have them; keys
//! below `iron_mq` come before those at the root. A server that a file names is used only with a token
//! of the same file or of a weaker source, and no file turns off TLS where a URL or a variable says
//! otherwise. Such a configuration is refused, since a user who can write to the current folder could
//! redirect the token.
//!
//! # Limits
//!
//! what | limit
//! --- | ---
//! messages in a post, a reserve or a delete | 100
//! a body | 256 KiB; plans may have less, see [`with_max_body`](IronMq::with_max_body)
//! a request | 256 KiB
//! a delay | 7 days, in whole seconds, rounded up
//! a lease | 1 s to 24 h, in whole seconds; IronMQ documents 30 s as the shortest, and a shorter one comes with a warning
//! the wait of a reserve | 30 s
//! a response | what its operation can bring; what is longer is not read
//! a redirect | not followed, since it would carry the token along
//! `Retry-After` | heeded up to 60 s
//!
//! # Promises
//!
//! * A message that was posted is on the server until it is deleted, or until its age: 7 days from its
//!   post, unless the queue's `message_expiration` says otherwise (30 days at most). What expires is
//!   gone without a trace, dead letters too.
//! * At least once: a message whose lease ends is delivered again, at the place that it had. Where the
//!   response to a post is lost, the message may be there twice once it is posted again; the task has
//!   one id in both. Where the response to a reserve is lost, its messages return when their leases end.
//! * A late worker does no harm: each delete, renewal and release carries its reservation, and the
//!   server refuses one that is over.
//! * A batch that is posted or deleted is accepted as a whole. What is refused as a whole is tried again
//!   in parts, so that one bad message costs no other.
//! * Counts: `reserved_count` counts reserves and renewals in one, so it is an upper bound of the
//!   deliveries. The number of lost ones travels in the message, and a failed task is followed by a copy
//!   with the next attempt's number: the copy first, the delete second.
//! * ivy sets no dead-letter rule on a queue, and warns at the start of a worker where the server has one:
//!   it would move messages without a reason.
//!
//! # Errors
//!
//! A request that fails is a [`Fault`], which says what happened, whether the request may have had an
//! effect all the same, and what to do. It never holds a token or a body, even where the server
//! repeats them.
//!
//! response | fault
//! --- | ---
//! 401 | `Unauthorized`
//! 403 | `LeaseLost` to a delete, a renewal or a release; `Refused` to the creation of a queue; else `Unauthorized`
//! 404 | `NoMessage` or `NoQueue`, by what was asked
//! 408, 5xx | `ServerError`: it may have had its effect
//! 413 | `TooLarge`
//! 429 | `TooManyRequests`
//! 3xx | `Redirected`
//! another 4xx | `Refused`
//! anything else, a success that does not show what proves it included | `BadResponse`: it may have had its effect
//!
//! What is wrong with a configuration is a [`BadConfig`], in a
//! [`ConfigError`](ivy_proto::config::ConfigError) that says where the part stands.
//!
//! # By hand
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
//! let answer = http::Response::new(r#"{"msg":"Cleared"}"#.into());
//! assert_eq!(ironmq.decode(&clear, answer), Ok(QueueReply::Cleared));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod advice;
mod bad_config;
mod http_date;
mod iron_file;
mod json;
mod messages;
mod path;
mod plug;
mod redaction;
mod refusal;
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
use ivy_proto::queue::{Capabilities, Fault, FaultKind, Lease, Oddity, QueueOp, QueueReply, Retry};

/// The part of an answer around its messages, in bytes.
const RESPONSE_FRAME: usize = 64 * 1024;
/// The longest entry of a list of queues: a name of 255 bytes, each escaped as six.
const LISTED_QUEUE: usize = 2 * 1024;

/// A project on an IronMQ v3 server, as a dialect: [`QueueOp`] to request, answer to
/// [`QueueReply`] or [`Fault`]. Its `Debug` does not show the token.
#[derive(Clone)]
pub struct IronMq {
    address: Address,
    base: String,
    token: Token,
    authorization: HeaderValue,
    max_body: usize,
}

impl IronMq {
    /// The dialect of this project, for bodies as large as IronMQ's largest plan takes.
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

    /// Where the project is found.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What opens it.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The same, with another limit for one body, in bytes.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The request that does the operation. Durations travel as whole seconds, rounded up; they
    /// and numbers beyond IronMQ's limits are sent as the limit.
    ///
    /// The `Authorization` header is marked as sensitive, so that its `Debug` does not show it.
    #[must_use]
    pub fn encode(&self, op: &QueueOp) -> Request<Bytes> {
        let call = request::call(op);
        let uri = Uri::try_from(format!("{}{}", self.base, call.path))
            .expect("base and path are made of escaped segments of limited length");
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

    /// Reads the answer to the operation.
    ///
    /// # Errors
    /// The [`Fault`] that the answer is. Where the server claims success and does not show what
    /// proves it, such as one id for each posted message, that is [`FaultKind::BadResponse`], and
    /// whether the operation had its effect is unknown.
    pub fn decode(&self, op: &QueueOp, answer: Response<Bytes>) -> Result<QueueReply, Fault> {
        self.decode_noting(op, answer, |_| {})
    }

    /// The same, and notes each [`Oddity`] that the answer is believed in spite of.
    ///
    /// # Errors
    /// As [`decode`](IronMq::decode).
    pub fn decode_noting(
        &self,
        op: &QueueOp,
        answer: Response<Bytes>,
        note: impl FnMut(Oddity),
    ) -> Result<QueueReply, Fault> {
        let (head, body) = answer.into_parts();
        let redaction = Redaction { token: &self.token, op };
        if matches!(head.status.as_u16(), 200 | 201) {
            return response::read(op, &head.headers, &body, note).map_err(|problem| {
                advice::advised(Fault::new(FaultKind::BadResponse))
                    .with_status(head.status.as_u16())
                    .with_detail(problem.redacted(&redaction).to_string())
            });
        }
        let said = response::message(&body);
        let fault = refusal::fault(&redaction, head.status, &head.headers, said.as_deref());
        Err(advice::advised(fault))
    }

    /// How many bytes of the answer to this operation are read. A longer one is cut off and
    /// counts as [`FaultKind::AnswerLost`].
    #[must_use]
    pub fn response_limit(&self, op: &QueueOp) -> usize {
        let messages = match op {
            QueueOp::Reserve { count, .. } | QueueOp::Peek { count, .. } => {
                request::clamped_count(*count)
            }
            QueueOp::Get { .. } => 1,
            QueueOp::ListQueues { count, .. } => {
                return request::clamped_count(*count) * LISTED_QUEUE + RESPONSE_FRAME;
            }
            _ => 0,
        };
        messages.saturating_mul(self.max_body.saturating_mul(2)).saturating_add(RESPONSE_FRAME)
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

    fn ask(&self, op: &QueueOp, _: Duration) -> Step {
        let request = HttpRequest::new(self.encode(op)).of(op);
        Step::Ask(request.with_response_limit(self.response_limit(op)))
    }

    fn read(
        &self,
        op: &QueueOp,
        _: u8,
        response: Response<Bytes>,
        _: Duration,
        note: &mut dyn FnMut(Oddity),
    ) -> Step {
        Step::Done(self.decode_noting(op, response, note))
    }
}

impl fmt::Debug for IronMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IronMq").field("project", &self.base).finish_non_exhaustive()
    }
}

/// What IronMQ v3 can do.
#[must_use]
pub const fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::broker().with_retry(Retry::Successor);
    capabilities.lease = Lease::Timed {
        shortest: Duration::from_secs(1),
        longest: Duration::from_secs(86_400),
        documented: Duration::from_secs(30),
    };
    capabilities
}

/// The header that carries the token, which its `Debug` does not show.
fn authorization(token: &Token) -> HeaderValue {
    let mut value = HeaderValue::try_from(format!("OAuth {}", token.expose()))
        .expect("a token holds visible ASCII characters only");
    value.set_sensitive(true);
    value
}

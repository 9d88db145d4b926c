//! The IronMQ v3 dialect: operations as HTTP requests, and HTTP answers as replies or faults.
//!
//! [`IronMq`] is an [`Exchange`]: stateless, and without IO. Each operation is one request.
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
mod answer;
mod bad_config;
mod discretion;
mod http_date;
mod iron_file;
mod json;
mod messages;
mod path;
mod plug;
mod refusal;
mod request;
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

use crate::discretion::Discretion;
use ivy_proto::backend::{Exchange, HttpRequest, Step};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, Lease, Oddity, QueueOp, QueueReply, Retry};

/// The part of an answer around its messages, in bytes.
const ANSWER_FRAME: usize = 64 * 1024;
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
        let discretion = Discretion { token: &self.token, op };
        if matches!(head.status.as_u16(), 200 | 201) {
            return answer::read(op, &head.headers, &body, note).map_err(|flaw| {
                advice::advised(Fault::new(FaultKind::BadResponse))
                    .with_status(head.status.as_u16())
                    .with_detail(flaw.told_with(&discretion).to_string())
            });
        }
        let said = answer::message(&body);
        let fault = refusal::fault(&discretion, head.status, &head.headers, said.as_deref());
        Err(advice::advised(fault))
    }

    /// How many bytes of the answer to this operation are read. A longer one is cut off and
    /// counts as [`FaultKind::AnswerLost`].
    #[must_use]
    pub fn answer_limit(&self, op: &QueueOp) -> usize {
        let messages = match op {
            QueueOp::Reserve { count, .. } | QueueOp::Peek { count, .. } => request::asked(*count),
            QueueOp::Get { .. } => 1,
            QueueOp::ListQueues { count, .. } => {
                return request::asked(*count) * LISTED_QUEUE + ANSWER_FRAME;
            }
            _ => 0,
        };
        messages.saturating_mul(self.max_body.saturating_mul(2)).saturating_add(ANSWER_FRAME)
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
        Step::Ask(request.with_response_limit(self.answer_limit(op)))
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
    let mut capabilities = Capabilities::broker().with_retry(Retry::Succeed);
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

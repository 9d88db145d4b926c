//! Backends on HTTP servers: operations as requests, responses as replies.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply, ResponseDeviation};

/// The default time limit of a request.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The default limit of a response body, in bytes.
const RESPONSE_LIMIT: usize = 64 * 1024;

/// The maximum number of requests of an [`Exchange`] per operation.
pub const MAX_REQUESTS: usize = 4;

/// A queue backend on an HTTP server: one request and response per operation, or several in
/// sequence.
///
/// An exchange does no IO and has no state; each call receives the operation. The driver sends the
/// request that [`start`](Exchange::start) returns, passes the response to [`read`](Exchange::read),
/// and continues until the operation is [`Done`](Step::Done). It sends at most [`MAX_REQUESTS`]
/// requests per operation, follows no redirect, and reports a request that failed or a response
/// that it could not receive as a [`Fault`] of its own:
/// [`Unreachable`](crate::queue::FaultKind::Unreachable), [`Tls`](crate::queue::FaultKind::Tls) or
/// [`ReplyLost`](crate::queue::FaultKind::ReplyLost).
pub trait Exchange: Any + fmt::Debug + Send + Sync {
    /// What the backend supports. Read once, when a machine is created.
    fn capabilities(&self) -> Capabilities;

    /// Whether requests are encrypted, that is, whether their URLs begin with `https://`.
    fn is_secure(&self) -> bool;

    /// Advice for a fault of this kind, if this server needs other advice than the default. Used
    /// for faults that the driver reports; those of the exchange contain their own.
    fn advice(&self, kind: FaultKind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// The first request of an operation, or its outcome if no request is needed: an unsupported
    /// operation fails before anything is sent. `unix_time` is the time since 1970-01-01T00:00:00Z,
    /// for signed requests.
    fn start(&self, op: &QueueOp, unix_time: Duration) -> Step;

    /// Reads the response to the request with this [`stage`](HttpRequest::stage). Calls `note` for
    /// each [`ResponseDeviation`] in a response that is accepted.
    fn read(
        &self,
        op: &QueueOp,
        stage: u8,
        response: Response<Bytes>,
        unix_time: Duration,
        note: &mut dyn FnMut(ResponseDeviation),
    ) -> Step;
}

/// The next step of an operation.
#[derive(Debug)]
#[must_use]
#[expect(clippy::large_enum_variant, reason = "a step is taken at once, and never stored")]
pub enum Step {
    /// The operation has ended.
    Done(Result<QueueReply, Fault>),
    /// Send this request, and pass its response to [`Exchange::read`].
    Send(HttpRequest),
}

/// A request, and the limits of its response.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The request to send.
    pub request: Request<Bytes>,
    /// The time limit for the complete response, including connecting. Default: 10 s.
    pub time_limit: Duration,
    /// The maximum size of the response body, in bytes. A longer one is not read to its end, and
    /// counts as lost. Default: 64 KiB.
    pub response_limit: usize,
    /// The position of the request in its operation, passed to [`Exchange::read`] with the
    /// response. Default: 0.
    pub stage: u8,
}

impl HttpRequest {
    /// A request with the default limits.
    #[must_use]
    pub fn new(request: Request<Bytes>) -> Self {
        HttpRequest { request, time_limit: TIME_LIMIT, response_limit: RESPONSE_LIMIT, stage: 0 }
    }

    /// Sets the time limit of this operation.
    #[must_use]
    pub fn of(self, op: &QueueOp) -> Self {
        self.with_time_limit(op.time_limit())
    }

    /// Sets the time limit.
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets the limit of the response body, in bytes.
    #[must_use]
    pub fn with_response_limit(mut self, bytes: usize) -> Self {
        self.response_limit = bytes;
        self
    }

    /// Sets the stage.
    #[must_use]
    pub fn with_stage(mut self, stage: u8) -> Self {
        self.stage = stage;
        self
    }
}

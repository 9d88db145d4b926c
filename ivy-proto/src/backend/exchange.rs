//! Backends that speak HTTP: operations as requests, and responses as replies.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::queue::{Capabilities, Fault, FaultKind, Oddity, QueueOp, QueueReply};

/// How long a request takes at most where nothing else is said.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long a response is at most where nothing else is said, in bytes.
const RESPONSE_LIMIT: usize = 64 * 1024;

/// The most requests of an [`Exchange`] for one operation.
pub const MOST_REQUESTS: usize = 4;

/// A queue backend on an HTTP server: one request and its response for each operation, or several one
/// after the other.
///
/// An exchange does no IO and keeps no state; what it needs to know of an operation is handed to it each
/// time. The driver sends what [`ask`](Exchange::ask) returns, hands the response to
/// [`read`](Exchange::read), and goes on until the operation is [`Done`](Step::Done). It sends at most
/// [`MOST_REQUESTS`] requests for one operation, follows no redirect, and
/// reports what it could not send or read as a [`Fault`] of its own:
/// [`Unreachable`](crate::queue::FaultKind::Unreachable), [`Tls`](crate::queue::FaultKind::Tls) or
/// [`AnswerLost`](crate::queue::FaultKind::AnswerLost).
pub trait Exchange: Any + fmt::Debug + Send + Sync {
    /// What the backend can do. The machines ask once, when they are made.
    fn capabilities(&self) -> Capabilities;

    /// Whether requests are encrypted: whether their URLs begin with `https://`.
    fn is_secure(&self) -> bool;

    /// What a person can do about a fault of this kind, where this server needs to be told of in other
    /// words than any. For the faults that the driver reports; those of the exchange carry their own.
    fn advice(&self, kind: FaultKind) -> Option<&'static str> {
        let _ = kind;
        None
    }

    /// The first request of an operation, or its outcome where none is needed: an operation that the
    /// server does not have fails before anything is sent. `unix_time` is the time since
    /// 1970-01-01T00:00:00Z, for requests that are signed.
    fn ask(&self, op: &QueueOp, unix_time: Duration) -> Step;

    /// Reads the response to the request with this [`stage`](HttpRequest::stage). Calls `note` for each
    /// [`Oddity`] that the response is accepted in spite of.
    fn read(
        &self,
        op: &QueueOp,
        stage: u8,
        response: Response<Bytes>,
        unix_time: Duration,
        note: &mut dyn FnMut(Oddity),
    ) -> Step;
}

/// What is to be done next for an operation.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// The operation has ended.
    Done(Result<QueueReply, Fault>),
    /// Send this request, and hand its response to [`Exchange::read`].
    Ask(HttpRequest),
}

/// A request, and what is expected of its response.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpRequest {
    /// What is sent.
    pub request: Request<Bytes>,
    /// How long it may take until the response is there as a whole, connecting included. Default: 10 s.
    pub time_limit: Duration,
    /// The most bytes of the response's body. A longer one is not read to its end, and counts as lost.
    /// Default: 64 KiB.
    pub response_limit: usize,
    /// What the request is for. Default: [`RequestKind::Other`].
    pub kind: RequestKind,
    /// Which request of its operation it is, handed to [`Exchange::read`] with the response. Default: 0.
    pub stage: u8,
}

/// What a request is for, as far as it matters to the client that sends it: requests of one kind must
/// not delay those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKind {
    /// It asks for messages, and its server waits until there are some. There is one for each queue
    /// that a worker serves.
    LongPoll,
    /// It renews or ends a lease, and comes too late once the lease has ended. There may be one for
    /// each message that a worker holds, all at the same time.
    Lease,
    /// Anything else.
    #[default]
    Other,
}

impl HttpRequest {
    /// This request, with the default limits.
    #[must_use]
    pub fn new(request: Request<Bytes>) -> Self {
        HttpRequest {
            request,
            time_limit: TIME_LIMIT,
            response_limit: RESPONSE_LIMIT,
            kind: RequestKind::default(),
            stage: 0,
        }
    }

    /// The same, with the time limit and the kind of a request that does this operation.
    #[must_use]
    pub fn of(self, op: &QueueOp) -> Self {
        self.with_time_limit(op.time_limit()).with_kind(RequestKind::of(op))
    }

    /// The same, with another time limit.
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The same, with another limit for the response's body, in bytes.
    #[must_use]
    pub fn with_response_limit(mut self, bytes: usize) -> Self {
        self.response_limit = bytes;
        self
    }

    /// The same, for another purpose.
    #[must_use]
    pub fn with_kind(mut self, kind: RequestKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same, as another request of its operation.
    #[must_use]
    pub fn with_stage(mut self, stage: u8) -> Self {
        self.stage = stage;
        self
    }
}

impl RequestKind {
    /// The kind of a request that does this operation.
    #[must_use]
    pub fn of(op: &QueueOp) -> Self {
        match op {
            QueueOp::Reserve { wait, .. } if !wait.is_zero() => RequestKind::LongPoll,
            QueueOp::Touch { .. }
            | QueueOp::Release { .. }
            | QueueOp::Delete { .. }
            | QueueOp::DeleteMany { .. } => RequestKind::Lease,
            _ => RequestKind::Other,
        }
    }
}

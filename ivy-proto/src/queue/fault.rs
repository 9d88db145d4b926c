//! Failures of queue requests.

use std::fmt;
use std::time::Duration;

use crate::text::Escaped;

use super::op::QueueOp;

/// A request to a queue failed: what happened, whether it may have had an effect, and what to do
/// next. Never contains a token or a message body.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}; {}", .0.kind, status(.0.status), detail_text(&.0.detail), .0.advice())]
pub struct Fault(Box<Parts>);

/// Boxed, because a `Result` with a fault is frequent, and its success value is much smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    kind: FaultKind,
    status: Option<u16>,
    detail: String,
    retry_after: Option<Duration>,
    advice: Option<&'static str>,
}

impl Parts {
    fn advice(&self) -> &'static str {
        self.advice.unwrap_or_else(|| self.kind.advice())
    }
}

/// The kind of a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The request was not sent: there was no address or no connection.
    #[error("cannot reach the queue's server")]
    Unreachable,
    /// The TLS handshake failed: wrong host name, expired or unknown certificate.
    #[error("cannot make a secure connection to the queue's server")]
    Tls,
    /// The request was sent, but no complete reply arrived.
    #[error("the reply of the queue's server was lost")]
    ReplyLost,
    /// The reply does not follow the protocol.
    #[error("the queue's server sent an invalid reply")]
    BadReply,
    /// The server, or a proxy in front of it, failed (5xx).
    #[error("the queue's server failed")]
    ServerError,
    /// The server limits the rate of requests (429).
    #[error("the queue's server limits the rate of requests")]
    TooManyRequests,
    /// The server accepts no requests now: it is starting, its memory is full, or another server
    /// takes over. It did nothing.
    #[error("the queue's server accepts no requests now")]
    Unavailable,
    /// The credentials are wrong (401), or belong to another project.
    #[error("the queue's server refused the credentials")]
    Unauthorized,
    /// The server responded with a redirect, which is not followed, because the request would carry
    /// the token along.
    #[error("the queue's server redirected the request")]
    Redirected,
    /// The queue does not exist.
    #[error("the queue does not exist")]
    NoQueue,
    /// The message does not exist, or no longer exists.
    #[error("the message does not exist")]
    NoMessage,
    /// The reservation does not exist, or no longer exists.
    #[error("the reservation of the message was lost")]
    LeaseLost,
    /// The request is larger than the server accepts.
    #[error("the request is too large")]
    TooLarge,
    /// The server refused the request.
    #[error("the queue's server refused the request")]
    Refused,
    /// The backend does not support this operation: nothing was sent.
    #[error("this kind of queue cannot {what}")]
    Unsupported {
        /// The operation: "list queues".
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

/// Whether a failed request may have had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It had no effect, and may succeed if it is repeated.
    None,
    /// It may have had an effect: the reply was lost, not the request.
    Unknown,
    /// It had no effect, and will fail again if it is repeated unchanged.
    Refused,
}

impl FaultKind {
    /// The former name of [`ReplyLost`](FaultKind::ReplyLost).
    #[deprecated(note = "renamed to `ReplyLost`: HTTP requests have responses")]
    #[allow(non_upper_case_globals, reason = "it was a variant")]
    pub const AnswerLost: FaultKind = FaultKind::ReplyLost;

    /// The former name of [`BadReply`](FaultKind::BadReply).
    #[deprecated(note = "renamed to `BadReply`: HTTP requests have responses")]
    #[allow(non_upper_case_globals, reason = "it was a variant")]
    pub const BadResponse: FaultKind = FaultKind::BadReply;

    /// Its name, as in code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Unreachable => "Unreachable",
            FaultKind::Tls => "Tls",
            FaultKind::ReplyLost => "ReplyLost",
            FaultKind::BadReply => "BadReply",
            FaultKind::ServerError => "ServerError",
            FaultKind::TooManyRequests => "TooManyRequests",
            FaultKind::Unavailable => "Unavailable",
            FaultKind::Unauthorized => "Unauthorized",
            FaultKind::Redirected => "Redirected",
            FaultKind::NoQueue => "NoQueue",
            FaultKind::NoMessage => "NoMessage",
            FaultKind::LeaseLost => "LeaseLost",
            FaultKind::TooLarge => "TooLarge",
            FaultKind::Refused => "Refused",
            FaultKind::Unsupported { .. } => "Unsupported",
        }
    }

    /// What an operator or program can do about it, whatever the backend.
    fn advice(self) -> &'static str {
        match self {
            FaultKind::Unreachable => "check the address, and that the server runs",
            FaultKind::Tls => {
                "check the host name and the certificate, or configure the root certificate of your own authority"
            }
            FaultKind::ReplyLost | FaultKind::ServerError | FaultKind::TooManyRequests => {
                "it can be retried"
            }
            FaultKind::BadReply => {
                "check that the address is that of the queue's server, and that no proxy responds instead"
            }
            FaultKind::Unavailable => "it is retried; if this lasts, check the server",
            FaultKind::Unauthorized => "check the credentials",
            FaultKind::Redirected => "use the address that the server redirects to",
            FaultKind::NoQueue => "a queue is created by its first message",
            FaultKind::NoMessage => "it was done or deleted, or has expired",
            FaultKind::LeaseLost => "another worker may have the message now",
            FaultKind::TooLarge => "send less, or send a reference to the data",
            FaultKind::Refused => "it will be refused again until the cause is removed",
            FaultKind::Unsupported { instead, .. } => instead,
        }
    }
}

impl Fault {
    /// A fault of this kind without details.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        let (status, detail, retry_after, advice) = (None, String::new(), None, None);
        Fault(Box::new(Parts { kind, status, detail, retry_after, advice }))
    }

    /// The backend does not support this operation. `instead` says what to do instead.
    #[must_use]
    pub fn unsupported(op: &QueueOp, instead: &'static str) -> Self {
        Fault::new(FaultKind::Unsupported { what: op.what(), instead })
    }

    /// Replaces the default advice of this kind by advice that fits the backend.
    #[must_use]
    pub fn with_advice(mut self, advice: &'static str) -> Self {
        self.0.advice = Some(advice);
        self
    }

    /// Adds the status code of the response.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the error text of the server or the system. It is escaped and truncated when printed,
    /// and must not contain a secret or a body.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Adds the server (`host:port`) that could not be reached, because its address may be
    /// configured far from here. Only for faults of the connection.
    #[must_use]
    pub fn with_server(mut self, server: &str) -> Self {
        let of_the_connection =
            matches!(self.0.kind, FaultKind::Unreachable | FaultKind::Tls | FaultKind::ReplyLost);
        if of_the_connection && !server.is_empty() {
            self.0.detail = format!("{server}: {}", self.0.detail);
        }
        self
    }

    /// Adds the time after which the server accepts requests again.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    /// What happened, without what to do next: where that differs, because the request may have had
    /// an effect.
    #[must_use]
    pub fn without_advice(&self) -> String {
        let Parts { kind, status, detail, .. } = &*self.0;
        format!("{kind}{}{}", self::status(*status), detail_text(detail))
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// The status code of the response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// When the server accepts requests again, if it reported it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the request may have had an effect.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self.0.kind {
            FaultKind::Unreachable
            | FaultKind::Tls
            | FaultKind::TooManyRequests
            | FaultKind::Unavailable => Effect::None,
            FaultKind::ReplyLost | FaultKind::BadReply | FaultKind::ServerError => Effect::Unknown,
            FaultKind::Unauthorized
            | FaultKind::Redirected
            | FaultKind::NoQueue
            | FaultKind::NoMessage
            | FaultKind::LeaseLost
            | FaultKind::TooLarge
            | FaultKind::Refused
            | FaultKind::Unsupported { .. } => Effect::Refused,
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, status, detail, retry_after, advice: _ } = &*self.0;
        f.debug_struct("Fault")
            .field("kind", kind)
            .field("status", status)
            .field("detail", detail)
            .field("retry_after", retry_after)
            .finish()
    }
}

fn status(status: Option<u16>) -> String {
    status.map(|status| format!(" (status {status})")).unwrap_or_default()
}

fn detail_text(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {}", Escaped(detail)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told_without_advice() {
        let fault = Fault::new(FaultKind::ReplyLost).with_status(504).with_detail("a\nb");
        let happened = fault.without_advice();
        assert_eq!(happened, "the reply of the queue's server was lost (status 504): a\\nb");
        assert_eq!(fault.to_string(), format!("{happened}; it can be retried"));
    }

    #[test]
    fn a_backend_gives_its_own_advice() {
        let fault = Fault::new(FaultKind::Unauthorized).with_advice("ask for a new token");
        let expected = "the queue's server refused the credentials; ask for a new token";
        assert_eq!(fault.to_string(), expected);
    }

    #[test]
    fn an_unsupported_operation_is_named_with_an_alternative() {
        let op = QueueOp::ListQueues { prefix: String::new(), after: None, count: 1 };
        let fault = Fault::unsupported(&op, "ask the server's own console");
        let expected = "this kind of queue cannot list queues; ask the server's own console";
        assert_eq!((fault.to_string().as_str(), fault.effect()), (expected, Effect::Refused));
    }
}

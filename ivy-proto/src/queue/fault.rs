//! How asking a queue can fail.

use std::fmt;
use std::time::Duration;

use crate::text::Escaped;

use super::op::QueueOp;

/// A request to a queue failed: what happened, whether it may have had an effect all the same, and
/// what to do next. Never holds a token or a message body.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}; {}", .0.kind, status(.0.status), said(&.0.detail), .0.advice())]
pub struct Fault(Box<Parts>);

/// Boxed, since faults stand in the place of results that are much smaller and far more frequent.
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

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The request never left: no address, no connection.
    #[error("cannot reach the queue's server")]
    Unreachable,
    /// No secure connection could be made: wrong host name, expired or unknown certificate.
    #[error("cannot make a secure connection to the queue's server")]
    Tls,
    /// The request left, and no whole answer came back.
    #[error("the answer of the queue's server was lost")]
    AnswerLost,
    /// An answer came that is not one of this protocol.
    #[error("the queue's server gave an answer that is not understood")]
    BadResponse,
    /// The server, or a proxy in front of it, failed (5xx).
    #[error("the queue's server failed")]
    ServerError,
    /// The server asks to be left alone for a while (429).
    #[error("the queue's server asks to slow down")]
    TooManyRequests,
    /// The server takes no requests now: it starts, its memory is full, or another server takes over.
    /// It did nothing.
    #[error("the queue's server takes no requests now")]
    Unavailable,
    /// The credentials are wrong (401), or not for this project.
    #[error("the queue's server refused the credentials")]
    Unauthorized,
    /// The server sent us elsewhere, which is not followed, since it would carry the token along.
    #[error("the queue's server redirected the request")]
    Redirected,
    /// The queue does not exist.
    #[error("the queue does not exist")]
    NoQueue,
    /// The message does not exist, or no longer.
    #[error("the message does not exist")]
    NoMessage,
    /// The reservation is not, or no longer, ours.
    #[error("the reservation of the message was lost")]
    LeaseLost,
    /// The request is larger than the server accepts.
    #[error("the request is too large")]
    TooLarge,
    /// The server understood and refused the request.
    #[error("the queue's server refused the request")]
    Refused,
    /// The backend does not have this operation: nothing was sent.
    #[error("this kind of queue cannot {what}")]
    Unsupported {
        /// What it cannot do: "list queues".
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

/// Whether a failed request may have had its effect all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It surely had none, and may have one if it is tried again.
    None,
    /// It may have had it: the answer was lost, not the request.
    Unknown,
    /// It had none, and will have none if it is repeated unchanged.
    Refused,
}

impl FaultKind {
    /// What a person or program can do about it, whatever the backend is.
    fn advice(self) -> &'static str {
        match self {
            FaultKind::Unreachable => "check the address, and that the server runs",
            FaultKind::Tls => {
                "check the host name and the certificate, or hand in the root of your own authority"
            }
            FaultKind::AnswerLost | FaultKind::ServerError | FaultKind::TooManyRequests => {
                "it can be tried again"
            }
            FaultKind::BadResponse => {
                "check that the address is that of the queue's server, and no proxy answers in its place"
            }
            FaultKind::Unavailable => "it is tried again; if this lasts, look at the server",
            FaultKind::Unauthorized => "check the credentials",
            FaultKind::Redirected => "use the address that the server names",
            FaultKind::NoQueue => "a queue comes into being with its first message",
            FaultKind::NoMessage => "it was deleted or has expired",
            FaultKind::LeaseLost => "another worker may hold the message now",
            FaultKind::TooLarge => "send less, or send a reference to the data",
            FaultKind::Refused => "repeating it will not help",
            FaultKind::Unsupported { instead, .. } => instead,
        }
    }
}

impl Fault {
    /// A fault of this kind without further detail.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        let (status, detail, retry_after, advice) = (None, String::new(), None, None);
        Fault(Box::new(Parts { kind, status, detail, retry_after, advice }))
    }

    /// The backend does not have this operation. `instead` says what to do in its place.
    #[must_use]
    pub fn unsupported(op: &QueueOp, instead: &'static str) -> Self {
        Fault::new(FaultKind::Unsupported { what: op.what(), instead })
    }

    /// The same, with advice that fits the backend: a text that says what a person can do. It takes
    /// the place of what is said of all faults of this kind.
    #[must_use]
    pub fn with_advice(mut self, advice: &'static str) -> Self {
        self.0.advice = Some(advice);
        self
    }

    /// The same, with the status code that the server gave.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// The same, with what the server or the system said. It is escaped and cut when printed, and
    /// must not hold a secret or a body.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The same, naming the server (`host:port`) that could not be talked to, since its address may
    /// come from far away. Only for faults of the connection.
    #[must_use]
    pub fn with_server(mut self, server: &str) -> Self {
        let of_the_connection =
            matches!(self.0.kind, FaultKind::Unreachable | FaultKind::Tls | FaultKind::AnswerLost);
        if of_the_connection && !server.is_empty() {
            self.0.detail = format!("{server}: {}", self.0.detail);
        }
        self
    }

    /// The same, with the time after which the server wants to be asked again.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// The status code of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// When the server wants to be asked again, if it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the request may have had its effect all the same.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self.0.kind {
            FaultKind::Unreachable
            | FaultKind::Tls
            | FaultKind::TooManyRequests
            | FaultKind::Unavailable => Effect::None,
            FaultKind::AnswerLost | FaultKind::BadResponse | FaultKind::ServerError => {
                Effect::Unknown
            }
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

fn said(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {}", Escaped(detail)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_gives_its_own_advice() {
        let fault = Fault::new(FaultKind::Unauthorized).with_advice("ask for a new token");
        let told = "the queue's server refused the credentials; ask for a new token";
        assert_eq!(fault.to_string(), told);
    }

    #[test]
    fn an_operation_that_a_backend_does_not_have_is_named_with_what_to_do_instead() {
        let op = QueueOp::ListQueues { prefix: String::new(), after: None, count: 1 };
        let fault = Fault::unsupported(&op, "ask the server's own console");
        let told = "this kind of queue cannot list queues; ask the server's own console";
        assert_eq!((fault.to_string().as_str(), fault.effect()), (told, Effect::Refused));
    }
}

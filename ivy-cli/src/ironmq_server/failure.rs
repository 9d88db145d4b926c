//! Failures: error responses to requests.

use std::borrow::Cow;

use hyper::StatusCode;
use ivy_proto::broker::Refusal;

/// An error response: a status and the text of its `msg`.
///
/// The statuses are those of IronMQ v3: 400 for a malformed request or a value out of range, 401
/// for a wrong token or project, 403 for a reservation that has ended, 404 for a missing resource,
/// 405 for a wrong verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: Cow<'static, str>,
    /// The verbs that the resource supports, if the status is 405.
    pub(crate) allow: Option<&'static str>,
}

impl Failure {
    /// The request is malformed.
    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, message)
    }

    /// The token is missing or wrong, or the project is another one.
    pub(crate) fn unauthorized() -> Self {
        Failure::new(StatusCode::UNAUTHORIZED, "Invalid project/token combination")
    }

    /// There is no resource at this address.
    pub(crate) fn no_such_resource() -> Self {
        Failure::not_found("Not found")
    }

    /// The requested item does not exist.
    pub(crate) fn not_found(message: &'static str) -> Self {
        Failure::new(StatusCode::NOT_FOUND, message)
    }

    /// The resource supports these verbs only.
    pub(crate) fn wrong_verb(allow: &'static str) -> Self {
        let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
        Failure { allow: Some(allow), ..failure }
    }

    /// The server itself has failed.
    pub(crate) fn internal() -> Self {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }

    fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Failure { status, message: message.into(), allow: None }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::QueueNotFound | Refusal::MessageNotFound => StatusCode::NOT_FOUND,
            Refusal::ReservationTimedOut | Refusal::KindIsFixed => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        };
        Failure::new(status, refusal.to_string())
    }
}

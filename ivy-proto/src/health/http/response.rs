//! Writes a response.

use crate::metrics::{OPENMETRICS_CONTENT_TYPE, Snapshot};

use super::request::{Method, Refusal};

const TEXT: &str = "text/plain; charset=utf-8";

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 431.
    RequestHeaderFieldsTooLarge,
    /// 503.
    ServiceUnavailable,
    /// 505.
    VersionNotSupported,
}

impl Status {
    /// Its number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::BadRequest => 400,
            Status::NotFound => 404,
            Status::MethodNotAllowed => 405,
            Status::RequestHeaderFieldsTooLarge => 431,
            Status::ServiceUnavailable => 503,
            Status::VersionNotSupported => 505,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::BadRequest => "Bad Request",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestHeaderFieldsTooLarge => "Request Header Fields Too Large",
            Status::ServiceUnavailable => "Service Unavailable",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

/// A response. The connection is closed after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: Status,
    content_type: &'static str,
    body: String,
}

impl Response {
    /// A response with a text for people.
    #[must_use]
    pub const fn text(status: Status, body: String) -> Self {
        Response { status, content_type: TEXT, body }
    }

    /// A response with metrics, in the format of OpenMetrics.
    #[must_use]
    pub const fn metrics(body: String) -> Self {
        Response { status: Status::Ok, content_type: OPENMETRICS_CONTENT_TYPE, body }
    }

    /// A response with everything that was counted.
    #[must_use]
    pub fn openmetrics(snapshot: &Snapshot) -> Self {
        let mut body = String::new();
        // Writing to a `String` does not fail.
        let _ = snapshot.write_openmetrics(&mut body);
        Response::metrics(body)
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The bytes of the response to a request of this method: its head, and its body, which is empty
    /// for `HEAD`.
    #[must_use]
    pub fn into_head_and_body(self, method: Method) -> (String, String) {
        let Response { status, content_type, body } = self;
        let (code, reason, length) = (status.code(), status.reason(), body.len());
        let allow = match status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let head = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        );
        match method {
            Method::Get => (head, body),
            Method::Head => (head, String::new()),
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Response::text(refusal.status(), format!("{refusal}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: Response, method: Method) -> String {
        let (head, body) = response.into_head_and_body(method);
        head + &body
    }

    #[test]
    fn a_response_has_a_length_and_ends_the_connection() {
        let response = Response::text(Status::Ok, "ok\n".to_owned());
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 3\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nok\n";
        assert_eq!(written(response.clone(), Method::Get), expected);
        assert_eq!(written(response, Method::Head), expected.strip_suffix("ok\n").unwrap());
    }

    #[test]
    fn a_refused_method_is_told_which_ones_are_answered() {
        let text = written(Refusal::Method.into(), Method::Get);
        assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{text}");
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"), "{text}");
        assert!(!written(Refusal::UnknownPath.into(), Method::Get).contains("Allow"));
    }

    #[test]
    fn metrics_have_their_own_type() {
        let text = written(Response::metrics("# EOF\n".to_owned()), Method::Get);
        assert!(text.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0;"));
    }
}

//! Responses of servers and proxies that did not execute the request.

use bytes::Bytes;
use http::{HeaderValue, Response};
use ivy_sim::wire;

use crate::fault_injection::one_of;

/// A status that states that nothing was executed.
pub(super) fn refusal(rng: &mut ivy_proto::Rng) -> Response<Bytes> {
    let status = one_of(rng, &[400, 401, 403, 404, 409, 413, 429, 429]);
    let mut response = wire::response(status, Bytes::from_static(b"{\"msg\":\"no\"}"));
    add_retry_after(&mut response, rng);
    response
}

/// A status that does not state whether the request was executed.
pub(super) fn failure(rng: &mut ivy_proto::Rng) -> Response<Bytes> {
    let status = one_of(rng, &[408, 500, 502, 503, 504]);
    let mut response = wire::response(status, Bytes::from_static(b"<html>"));
    add_retry_after(&mut response, rng);
    response
}

fn add_retry_after(response: &mut Response<Bytes>, rng: &mut ivy_proto::Rng) {
    let texts = ["", "", "1", "7", "3600", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"];
    let text = one_of(rng, &texts);
    if !text.is_empty() {
        let value = HeaderValue::from_static(text);
        response.headers_mut().insert("retry-after", value);
        let date = HeaderValue::from_static("Wed, 21 Oct 2015 07:27:58 GMT");
        response.headers_mut().insert("date", date);
    }
}

/// The response of a proxy instead of the server.
pub(super) fn proxy_response(rng: &mut ivy_proto::Rng) -> Response<Bytes> {
    let (status, body) = one_of(
        rng,
        &[
            (200, "<html>Welcome to our Wi-Fi</html>"),
            (200, ""),
            (200, "null"),
            (200, "[]"),
            (200, "{}"),
            (202, "{\"msg\":\"accepted\"}"),
            (204, ""),
            (302, ""),
            (307, ""),
        ],
    );
    wire::response(status, Bytes::from_static(body.as_bytes()))
}

//! Responses of an IronMQ server, or of anything that responds instead of it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::ironmq_operations::{TOKEN, all_ops, assert_proved, ironmq};

/// A fault's text is short, whatever the response contains.
const MAX_FAULT: usize = 8192;

/// A three-digit status, header lines, an empty line and the body. Input without this head is the
/// body of a success.
pub fn ironmq_response(input: &[u8]) {
    let response = read_head(input).unwrap_or_else(|| Response::new(Bytes::copy_from_slice(input)));
    let succeeded = matches!(response.status().as_u16(), 200 | 201);
    for op in all_ops() {
        match ironmq().decode(&op, response.clone()) {
            Ok(reply) => {
                assert!(succeeded, "{op:?}: {reply:?}");
                assert_proved(&op, &reply);
            }
            Err(fault) => {
                let shown = format!("{fault} {fault:?}");
                assert!(shown.len() < MAX_FAULT, "{} bytes", shown.len());
                assert!(!shown.contains(TOKEN));
                assert!(!fault.to_string().contains(char::is_control), "{shown}");
            }
        }
    }
}

fn read_head(input: &[u8]) -> Option<Response<Bytes>> {
    let end = input.windows(2).position(|bytes| bytes == b"\n\n")?;
    let mut lines = input[..end].split(|byte| *byte == b'\n');
    let mut response = Response::new(Bytes::copy_from_slice(&input[end + 2..]));
    *response.status_mut() = StatusCode::from_bytes(lines.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        response.headers_mut().append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(response)
}

//! Error responses: the fault for each status and operation.

use std::time::Duration;

use http::header::{DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Uri};

use crate::http_date::unix_seconds;
use crate::redaction::Redaction;
use ivy_proto::queue::{Fault, FaultKind, QueueOp};

/// The longest `Retry-After` that is respected.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The fault of a response with this status. `server_text` is the server's own text, if any; it is a hint
/// only, because no two servers use the same text.
pub(crate) fn fault(
    redaction: &Redaction<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    server_text: Option<&str>,
) -> Fault {
    let kind = kind(redaction.op, status.as_u16(), server_text);
    let mut fault = Fault::new(kind).with_status(status.as_u16());
    let detail = match kind {
        FaultKind::Redirected => redirect_origin(headers)
            .and_then(|origin| redaction.quote(&origin))
            .map(|origin| format!("to {origin}")),
        _ => server_text.and_then(|server_text| redaction.quote(server_text)),
    };
    if let Some(detail) = detail {
        fault = fault.with_detail(detail);
    }
    if let (FaultKind::ServerError | FaultKind::TooManyRequests, Some(after)) =
        (kind, retry_after(headers))
    {
        fault = fault.with_retry_after(after);
    }
    fault
}

fn kind(op: &QueueOp, status: u16, server_text: Option<&str>) -> FaultKind {
    match status {
        300..400 => FaultKind::Redirected,
        401 => FaultKind::Unauthorized,
        403 => forbidden(op),
        404 => missing(op, server_text),
        // A proxy that timed out may have forwarded the request before.
        408 | 500..600 => FaultKind::ServerError,
        413 => FaultKind::TooLarge,
        429 => FaultKind::TooManyRequests,
        400..500 => FaultKind::Refused,
        // Success statuses that IronMQ does not use (202, 204, ...), and codes outside of HTTP.
        _ => FaultKind::BadReply,
    }
}

/// IronMQ returns 403 only if a reservation has ended or a queue's type cannot be changed. For
/// other operations it can only concern the project.
fn forbidden(op: &QueueOp) -> FaultKind {
    match op {
        QueueOp::Delete { .. }
        | QueueOp::DeleteMany { .. }
        | QueueOp::Touch { .. }
        | QueueOp::Release { .. } => FaultKind::LeaseLost,
        QueueOp::CreateQueue { .. } | QueueOp::UpdateQueue { .. } => FaultKind::Refused,
        QueueOp::Post { .. }
        | QueueOp::Reserve { .. }
        | QueueOp::Get { .. }
        | QueueOp::Peek { .. }
        | QueueOp::Clear { .. }
        | QueueOp::GetQueue { .. }
        | QueueOp::DeleteQueue { .. }
        | QueueOp::ListQueues { .. } => FaultKind::Unauthorized,
    }
}

fn missing(op: &QueueOp, server_text: Option<&str>) -> FaultKind {
    match op {
        // If the queue does not exist, its messages do not either, and that is what the holder of
        // one must know.
        QueueOp::Delete { .. }
        | QueueOp::DeleteMany { .. }
        | QueueOp::Touch { .. }
        | QueueOp::Release { .. } => FaultKind::NoMessage,
        QueueOp::Get { .. } if server_text == Some("Queue not found") => FaultKind::NoQueue,
        QueueOp::Get { .. } => FaultKind::NoMessage,
        QueueOp::Reserve { .. }
        | QueueOp::Peek { .. }
        | QueueOp::Clear { .. }
        | QueueOp::GetQueue { .. }
        | QueueOp::UpdateQueue { .. }
        | QueueOp::DeleteQueue { .. } => FaultKind::NoQueue,
        // These operations need nothing that could be missing, except the project or the API
        // itself.
        QueueOp::Post { .. } | QueueOp::CreateQueue { .. } | QueueOp::ListQueues { .. } => {
            FaultKind::Refused
        }
    }
}

/// When to retry: in seconds, or as a date, which is read relative to the server's own clock,
/// because the local one may differ. Invalid values are ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too many digits can fail here.
        text.parse().unwrap_or(u64::MAX)
    } else {
        let now = unix_seconds(headers.get(DATE)?.to_str().ok()?)?;
        unix_seconds(text)?.checked_sub(now)?
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The target of a redirect, without path, query and user, each of which may contain a secret.
fn redirect_origin(headers: &HeaderMap) -> Option<String> {
    let target: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let port = target.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", target.scheme_str()?, target.host()?))
}

//! How a request failed.

use std::error::Error;
use std::io;

use http_body_util::LengthLimitError;
use ivy_proto::queue::{Fault, FaultKind};

use crate::tls::is_tls;

/// The fault of a connection that could not be opened.
pub(super) fn open_fault(error: &io::Error) -> Fault {
    let kind = if is_tls(error) { FaultKind::Tls } else { FaultKind::Unreachable };
    Fault::new(kind).with_detail(innermost(error))
}

/// The fault of a response that failed on an established connection.
pub(super) fn response_fault(error: &hyper::Error) -> Fault {
    let kind = if error.is_parse() { FaultKind::BadReply } else { FaultKind::ReplyLost };
    Fault::new(kind).with_detail(innermost(error))
}

/// The fault of a response whose body failed.
pub(super) fn body_fault(error: &(dyn Error + Send + Sync + 'static), limit: usize) -> Fault {
    if error.is::<LengthLimitError>() {
        let detail = format!("its body has more than {limit} bytes");
        return Fault::new(FaultKind::ReplyLost).with_detail(detail);
    }
    match error.downcast_ref::<hyper::Error>() {
        Some(error) => response_fault(error),
        None => Fault::new(FaultKind::ReplyLost).with_detail(innermost(error)),
    }
}

/// The error of the system, TLS or HTTP. The outer errors only say that a client failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

//! Advice about faults that is specific to IronMQ.

use ivy_proto::queue::{Fault, FaultKind};

/// The advice about faults of this kind, if it differs from the general one.
pub(crate) fn about(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::Tls => Some(
            "check the host name and the certificate, add the root certificate of your own authority, or use ironmq+http:// (IRON_MQ_SCHEME=http) if the server has no TLS",
        ),
        FaultKind::BadReply => Some(
            "check that the address is that of an IronMQ v3 server and that no proxy responds instead of it",
        ),
        FaultKind::Unauthorized => {
            Some("check host, project id and token; credentials of older API versions do not work")
        }
        _ => None,
    }
}

/// Adds that advice to a fault.
pub(crate) fn advised(fault: Fault) -> Fault {
    match about(fault.kind()) {
        Some(advice) => fault.with_advice(advice),
        None => fault,
    }
}

//! What a person can do about a fault, where IronMQ needs to be told of in its own words.

use ivy_proto::queue::{Fault, FaultKind};

/// The advice about faults of this kind, if it is another than that of any queue.
pub(crate) fn about(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::Tls => Some(
            "check the host name and the certificate, hand in the root of your own authority, or say that the server has no TLS (ironmq+http://, IRON_MQ_SCHEME=http)",
        ),
        FaultKind::BadResponse => Some(
            "check that the address is that of an IronMQ v3 server, and no proxy answers in its place",
        ),
        FaultKind::Unauthorized => Some(
            "check host, project id and token; credentials of an older API version do not work",
        ),
        _ => None,
    }
}

/// The fault with that advice.
pub(crate) fn advised(fault: Fault) -> Fault {
    match about(fault.kind()) {
        Some(advice) => fault.with_advice(advice),
        None => fault,
    }
}

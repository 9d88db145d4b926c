//! What the fuzz targets do with their input, one function for each target.
//!
//! Each accepts any bytes and panics if an invariant is violated. The targets in `fuzz/` only call
//! them, as do the tests that replay the seeds; therefore they use only the core and the backends.

mod broker;
mod config;
mod ironmq;
pub mod ironmq_operations;
mod presence;
mod producer;
mod redis;
mod sealed;
mod wire;
mod worker;

pub use broker::broker_inputs;
pub use config::config_url;
pub use ironmq::ironmq_response;
pub use presence::presence;
pub use producer::producer_inputs;
pub use redis::redis_session;
pub use sealed::{bridge_frame, keyset, v2_frame};
pub use wire::{body, legacy_frame, notice};
pub use worker::worker_inputs;

use std::error::Error;
use std::time::Duration;

use ivy_proto::queue::{Fault, FaultKind};

/// A fault of any kind, after which the queue may request a pause of some seconds.
fn any_fault(kind: u8, retry_after: Option<u16>) -> Fault {
    const KINDS: [FaultKind; 13] = [
        FaultKind::Unreachable,
        FaultKind::Tls,
        FaultKind::ReplyLost,
        FaultKind::BadReply,
        FaultKind::ServerError,
        FaultKind::TooManyRequests,
        FaultKind::Unauthorized,
        FaultKind::Redirected,
        FaultKind::NoQueue,
        FaultKind::NoMessage,
        FaultKind::LeaseLost,
        FaultKind::TooLarge,
        FaultKind::Refused,
    ];
    let fault = Fault::new(KINDS[usize::from(kind) % KINDS.len()]);
    match retry_after {
        Some(seconds) => fault.with_retry_after(Duration::from_secs(seconds.into())),
        None => fault,
    }
}

/// The element with this number, modulo their count.
fn pick<T>(mut from: impl ExactSizeIterator<Item = T>, which: u8) -> Option<T> {
    let length = from.len().max(1);
    from.nth(usize::from(which) % length)
}

/// An error's text is short, whatever the input: it contains at most a name, escaped and truncated.
const MAX_ERROR_LEN: usize = 2000;

fn is_short(error: &impl Error) {
    let text = error.to_string();
    assert!(text.len() <= MAX_ERROR_LEN, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

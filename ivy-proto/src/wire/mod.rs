//! Bytes to values and back: message bodies, frames, notices, dead letters.

mod raw;
mod reason;
mod trace;

pub use raw::RawJson;
pub use reason::{DeadLetterReason, UnknownReason};
pub use trace::TraceParent;

//! Redis as a queue: what its keys hold, what is sent for each operation, what the answers mean, and which
//! operations are under way.
//!
//! Everything but [`Operations`] is a function of its arguments.

mod checks;
mod command;
mod decode;
mod element;
mod encode;
mod exchange;
mod keys;
mod names;
mod operations;
mod receipt;
mod refusal;
mod scripts;
mod touches;
mod upkeep;

use std::time::Duration;

use ivy_proto::queue::{Capabilities, Lease};

pub use keys::BadPrefix;

pub(crate) use decode::error as said;
pub(crate) use keys::Prefix;
pub(crate) use operations::{Io, Operations};
pub(crate) use refusal::{is_read_only, is_unknown_script};

/// The largest body that is posted, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The most bytes of one request.
const MAX_REQUEST: usize = 1 << 20;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What a queue over Redis can do.
pub(crate) fn capabilities() -> Capabilities {
    let shortest = Duration::from_secs(1);
    let mut capabilities =
        Capabilities::broker().with_max_body(MAX_BODY).with_reserves_taken_back();
    capabilities.max_request = MAX_REQUEST;
    capabilities.lease =
        Lease::Timed { shortest, longest: Duration::from_secs(86_400), documented: shortest };
    capabilities.max_delay = YEAR;
    capabilities
}

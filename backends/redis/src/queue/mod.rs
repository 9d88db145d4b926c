//! Redis as a queue: its keys, its commands and replies, and the operations in flight.
//!
//! Everything except [`Operations`] consists of values and pure functions.

mod checks;
mod command;
mod command_batch;
mod decode;
mod element;
mod encode;
mod fault;
mod ids;
mod in_flight;
mod keys;
mod maintenance;
mod next_due;
mod receipt;
mod scripts;
mod short_text;
mod unconfirmed_touches;
mod unusable;

use std::time::Duration;

use ivy_proto::queue::{Capabilities, Lease};

pub use keys::BadPrefix;

pub(crate) use command::{Command, ScriptRef};
pub(crate) use decode::error_text;
pub(crate) use fault::{is_read_only, is_unknown_script};
pub(crate) use in_flight::{Context, Operations};
pub(crate) use keys::Prefix;

/// The largest body that is posted, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The maximum size of one request, in bytes.
const MAX_REQUEST: usize = 1 << 20;
/// How many requests for sizes, or releases by an operator, are sent together.
const MAX_PIPELINED: usize = 1000;
/// The longest delay of a message: a year.
const MAX_DELAY: Duration = Duration::from_secs(365 * 86_400);

/// The capabilities of a queue over Redis.
pub(crate) fn capabilities() -> Capabilities {
    let shortest = Duration::from_secs(1);
    let mut capabilities =
        Capabilities::broker().with_max_body(MAX_BODY).with_reserves_taken_back();
    capabilities.max_request = MAX_REQUEST;
    capabilities.lease =
        Lease::Timed { shortest, longest: Duration::from_secs(86_400), documented: shortest };
    capabilities.max_delay = MAX_DELAY;
    capabilities.admin.concurrent_infos = MAX_PIPELINED;
    capabilities.posts_bytes = true;
    capabilities.admin.pipelined_releases = MAX_PIPELINED;
    capabilities
}

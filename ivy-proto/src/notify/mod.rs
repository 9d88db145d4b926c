//! Notifiers: their operations, as plain data.
//!
//! A notifier carries results from workers to callers, at most once and best effort: a subscriber
//! that is not connected misses what is published. Data that must not be lost is never sent this
//! way.

mod fault;

pub use fault::{NotifyFault, NotifyFaultKind};

use std::time::Duration;

use crate::name::ChannelName;
use crate::queue::Body;

/// A subscription that is lost sooner than this counts as one more consecutive failure, so that a
/// server that accepts and then disconnects is not retried without a pause.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);

/// A payload to be published on a notification channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The channel.
    pub channel: ChannelName,
    /// The published text.
    pub payload: Body,
}

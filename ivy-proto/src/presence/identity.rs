//! Who a worker is.

use std::fmt;
use std::str::FromStr;

use crate::id::{InvalidTaskId, TaskId};

use super::short_text::ShortText;

/// Identifies a worker from its start until its end: 128 random bits. A worker that is started
/// again has another one, and counts from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(TaskId);

impl WorkerId {
    /// Creates the id from sixteen random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        WorkerId(TaskId::from_random(bytes))
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Written like a [`TaskId`]: 22 characters of base64url.
impl FromStr for WorkerId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        text.parse().map(WorkerId)
    }
}

/// What a worker publishes about its process. The core knows none of it by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The version of ivy.
    pub version: ShortText,
    /// The runtime that executes the worker.
    pub runtime: ShortText,
    /// The name of the host, unless it is hidden or unknown.
    pub host: Option<ShortText>,
    /// The id of the process, unless it is hidden.
    pub pid: Option<u32>,
}

impl Identity {
    /// A worker of this version and runtime, without host and process.
    #[must_use]
    pub fn new(version: &str, runtime: &str) -> Self {
        let (version, runtime) = (ShortText::lossy(version), ShortText::lossy(runtime));
        Identity { version, runtime, host: None, pid: None }
    }

    /// Adds the host, if it is known, and the id of the process.
    #[must_use]
    pub fn with_process(mut self, host: Option<&str>, pid: u32) -> Self {
        self.host = host.map(ShortText::lossy);
        self.pid = Some(pid);
        self
    }
}

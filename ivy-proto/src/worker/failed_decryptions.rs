//! Counts, per queue, failed decryptions of frames in the Node package's format.
//!
//! These frames are not authenticated, so anyone who can post messages and observe what becomes of
//! them can decrypt another message with thousands of tries. After a few failures in a minute, the
//! queue is paused.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::QueueName;
use crate::time::Moment;

/// Up to this many failures in a minute are considered mistakes.
const MAX_FAILURES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct FailedDecryptions(BTreeMap<QueueName, (Moment, u32)>);

impl FailedDecryptions {
    /// Counts a failure. Returns whether the limit is exceeded; then the count restarts.
    pub(super) fn record(&mut self, queue: &QueueName, now: Moment) -> bool {
        let (since, count) = self.0.entry(queue.clone()).or_insert((now, 0));
        if now.since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= MAX_FAILURES {
            return false;
        }
        (*since, *count) = (now, 0);
        true
    }
}

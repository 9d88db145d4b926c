//! Frames of the original that fail to open, counted queue by queue.
//!
//! Nothing authenticates them, so whoever can post and watch what becomes of a message can learn
//! what is inside another one by trying, with thousands of tries. Beyond a few in a minute, the
//! queue is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::QueueName;
use crate::time::Moment;

/// So many failures in a minute are taken for mistakes.
const MOST: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct FailedOpenings(BTreeMap<QueueName, (Moment, u32)>);

impl FailedOpenings {
    /// Counts one. Says whether it is one too many; then it counts from zero again.
    pub(super) fn record(&mut self, queue: &QueueName, now: Moment) -> bool {
        let (since, count) = self.0.entry(queue.clone()).or_insert((now, 0));
        if now.since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= MOST {
            return false;
        }
        (*since, *count) = (now, 0);
        true
    }
}

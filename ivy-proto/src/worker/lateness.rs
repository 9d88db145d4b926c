//! Noticing that the worker is woken too late to keep its leases.
//!
//! A driver wakes the machine when something is due. One whose threads are blocked, by a handler that
//! computes or waits without giving way, does so too late: leases end unrenewed, and their tasks run
//! twice, though nothing is wrong with the queue. Moments stand still while the system is suspended,
//! and what is late while no message is held does no harm.

use std::time::Duration;

use crate::event::Event;
use crate::time::Moment;

use super::Worker;

/// A fifth of a lease, at most so long, is too late: on a lease of which less is left, no handler is
/// started.
const MARGINS_IN_A_LEASE: u32 = 5;
const LONGEST_MARGIN: Duration = Duration::from_secs(5);
/// How often it is reported at most.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// When it was last reported that the worker was woken too late.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    reported_at: Option<Moment>,
}

impl Worker {
    /// Looks whether something was due long before now. To be asked before what is due is done.
    pub(super) fn check_lateness(&mut self) {
        let now = self.fx.now;
        let Some(due) = self.fx.timers.first_moment() else { return };
        let late = now.since(due);
        // What is held is looked through only if this may be too late for any lease.
        let Some(shortest) = self.config.capabilities.lease.shortest() else { return };
        if late < margin(shortest) || !self.lateness.may_report(now) {
            return;
        }
        let held = self.jobs.values().map(|held| held.lease.length());
        let Some(lease) = held.min().filter(|lease| late >= margin(*lease)) else { return };
        self.lateness.reported_at = Some(now);
        self.fx.event(Event::WokenLate { late, lease, held: self.jobs.len() });
    }
}

impl Lateness {
    fn may_report(&self, now: Moment) -> bool {
        self.reported_at.is_none_or(|reported| now >= reported + REPORT_EVERY)
    }
}

/// How late is too late for a lease.
fn margin(lease: Duration) -> Duration {
    (lease / MARGINS_IN_A_LEASE).min(LONGEST_MARGIN)
}

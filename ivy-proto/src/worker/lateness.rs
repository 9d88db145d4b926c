//! Detects that the worker is woken too late to renew its leases.
//!
//! The driver wakes the worker when a timer is due. If its threads are blocked, for instance by a
//! handler that computes without yielding, it does so late: leases end unrenewed and their tasks
//! run twice, although the queue works. The monotonic clock stands still while the system is
//! suspended. Lateness while no message is held is harmless.

use std::time::Duration;

use crate::event::Event;
use crate::time::Moment;

use super::Worker;

/// A wake-up is too late by a fifth of a lease, or by `MAX_MARGIN`: with less of the lease left,
/// no handler starts.
const MARGINS_IN_A_LEASE: u32 = 5;
const MAX_MARGIN: Duration = Duration::from_secs(5);
/// The shortest time between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Lateness {
    reported_at: Option<Moment>,
}

impl Worker {
    /// Reports if a timer was due long ago. Must run before the due timers are handled.
    pub(super) fn check_lateness(&mut self) {
        let now = self.fx.now;
        let Some(due) = self.fx.timers.first_moment() else { return };
        let late = now.since(due);
        // Look through the held messages only if this may be too late for some lease.
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

/// The lateness from which a lease is endangered.
fn margin(lease: Duration) -> Duration {
    (lease / MARGINS_IN_A_LEASE).min(MAX_MARGIN)
}

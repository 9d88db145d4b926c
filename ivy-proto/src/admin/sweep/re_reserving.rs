//! Reserves waiting dead letters again whose leases have ended.
//!
//! Leases are short, so that a command that is killed hides letters for a short time only. An answer
//! of the operator, or a slow rate, takes longer. A renewal needs one request for each message, a
//! reserve one for a hundred.

use std::time::Duration;

use crate::queue::QueueOp;
use crate::time::Moment;

use super::super::report::ProblemKind;
use super::groups::GroupId;
use super::io::Timer;
use super::leases::Readiness;
use super::requests::InFlight;
use super::reserving::BATCH;
use super::{Next, Stage, Sweep};

/// How often an empty queue is asked again: its server counts a lease from the arrival of a request,
/// which is later than here.
const TRIES: u32 = 3;
/// The pause before each of them.
const PAUSE: Duration = Duration::from_secs(1);

/// A search for the next waiting message.
#[derive(Debug, Default)]
pub(super) struct ReReserving {
    /// How many reserves in a row returned nothing.
    empty: u32,
    /// How many messages were reserved.
    reserved: usize,
    /// When the next reserve may be sent.
    next: Option<Moment>,
}

impl Sweep {
    /// Whether the lease of the next waiting message has ended, and it can be reserved again.
    /// Workers must not wait for messages that are only searched through, so those of their queues
    /// are not.
    pub(super) fn must_reserve_again(&self) -> bool {
        let next = self.work.waiting.front();
        next.is_some_and(|id| matches!(self.readiness(*id), Readiness::Lapsed))
    }

    /// Reserves messages until the next waiting one is among them.
    pub(super) fn reserve_again(&mut self) -> Next {
        let Stage::ReReserving(re_reserving) = &self.stage else { return Next::Ended };
        if !self.must_reserve_again() {
            self.stage = Stage::Working;
            return Next::Ended;
        }
        // Others than those that were looked at are in front of it.
        let is_too_far = re_reserving.reserved > self.report.looked_at + self.limits.messages;
        if re_reserving.empty >= TRIES || is_too_far {
            self.stage = Stage::Working;
            self.skip_lapsed();
            return Next::Ended;
        }
        let now = self.lease_now();
        if let Some(next) = re_reserving.next.filter(|next| *next > now) {
            return Next::Waits(Some(self.lease_timer(next, Timer::Renewal)));
        }
        let (queue, lease) = (self.config.queue.clone(), self.limits.lease);
        let count = self.limits.reserve.min(BATCH);
        let op = QueueOp::Reserve { queue, count, lease, wait: Duration::ZERO };
        self.send(op, InFlight::Reserve { count, sent: now });
        Next::Sent
    }

    /// Records how many messages a reserve returned.
    pub(super) fn on_reserved_again(&mut self, count: usize) {
        let next = (count == 0).then(|| self.lease_now() + PAUSE);
        let Stage::ReReserving(re_reserving) = &mut self.stage else { return };
        re_reserving.empty = if count == 0 { re_reserving.empty + 1 } else { 0 };
        re_reserving.reserved += count;
        re_reserving.next = next;
    }

    /// Skips the waiting messages that others have, or that are gone.
    fn skip_lapsed(&mut self) {
        let waiting = std::mem::take(&mut self.work.waiting);
        let (lapsed, left): (Vec<GroupId>, Vec<GroupId>) =
            waiting.into_iter().partition(|id| matches!(self.readiness(*id), Readiness::Lapsed));
        self.work.waiting = left.into();
        for id in lapsed {
            self.report_problem(id, ProblemKind::LeaseLost);
        }
    }
}

//! Releases the messages that are not processed.

use std::time::Duration;

use crate::planted::{Bug, planted};
use crate::queue::{Effect, Fault, QueueOp, QueueReply};

use super::super::report::Ended;
use super::groups::Group;
use super::held_messages::{Held, HeldId, HeldState};
use super::io::{Phase, Progress};
use super::requests::InFlight;
use super::{Next, Stage, Sweep};

/// The maximum number of messages that are released one by one after the work.
const MOST_SINGLE_RELEASES: usize = 100;

/// The messages that are released.
#[derive(Debug)]
pub(super) struct Releasing {
    /// Those whose release was not sent yet. The newest one is the last.
    left: Vec<HeldId>,
    total: usize,
    /// Whether the sweep ends afterwards. Otherwise the work begins.
    last: bool,
}

impl Releasing {
    pub(super) fn is_last(&self) -> bool {
        self.last
    }

    pub(super) fn progress(&self, in_flight: usize) -> Progress {
        let done = self.total.saturating_sub(self.left.len() + in_flight);
        Progress { phase: Phase::Releasing, done, total: Some(self.total) }
    }
}

impl Sweep {
    /// Releases everything that is held, and ends.
    ///
    /// After the work, many messages that did not match are left to the ends of their leases if each
    /// release takes a round trip: it would take longer than that.
    pub(super) fn release_all(&mut self) {
        let mut left: Vec<HeldId> =
            self.held_messages.lasting(self.lease_now()).map(|(id, _)| id).collect();
        let is_slow = left.len() > MOST_SINGLE_RELEASES && self.limits.releases == 1;
        if is_slow && self.work.has_begun() && self.report.end == Ended::Done {
            left.clear();
        }
        if planted(Bug::SweepLeavesLeases) {
            left.truncate(1);
        }
        self.stage = Stage::Releasing(Releasing { total: left.len(), left, last: true });
    }

    /// Releases what will not be processed, and begins the work.
    pub(super) fn release_unselected(&mut self) {
        let is_left = |held: &Held| {
            let group = held.group.and_then(|group| self.groups.get(group));
            !group.is_some_and(Group::is_processed)
        };
        let left = self.held_messages.lasting(self.lease_now()).filter(|(_, held)| is_left(held));
        let left: Vec<HeldId> = left.map(|(id, _)| id).collect();
        self.stage = Stage::Releasing(Releasing { total: left.len(), left, last: false });
    }

    pub(super) fn release(&mut self) -> Next {
        let now = self.lease_now();
        let Stage::Releasing(releasing) = &mut self.stage else { return Next::Ended };
        while let Some(id) = releasing.left.pop() {
            if self.held_messages.lasts(id, now)
                && let Some(held) = self.held_messages.get(id)
            {
                let (queue, receipt) = (self.config.queue.clone(), held.receipt.clone());
                let (delay, failed) = (Duration::ZERO, false);
                let op = QueueOp::Release { queue, receipt, delay, failed };
                self.held_messages.set(id, HeldState::Releasing);
                self.send(op, InFlight::Release(id));
                return Next::Sent;
            }
        }
        if self.requests.in_flight() > 0 {
            return Next::Waits(None);
        }
        if releasing.last {
            self.finish();
        } else {
            self.begin_work();
        }
        Next::Ended
    }

    pub(super) fn on_released(&mut self, id: HeldId, reply: &Result<QueueReply, Fault>) {
        let state = match reply {
            Ok(_) => {
                self.report.released += 1;
                HeldState::Released
            }
            Err(fault) if fault.effect() == Effect::Refused => HeldState::Lost,
            // Released again: if the first request had an effect, this one is refused.
            Err(fault) => {
                let ends = self.ends();
                self.held_messages.set(id, HeldState::Held);
                if let Stage::Releasing(releasing) = &mut self.stage {
                    let place = releasing.left.partition_point(|left| *left < id);
                    releasing.left.insert(place, id);
                }
                if !self.requests.failed(fault, self.now, &mut self.rng) {
                    self.requests.end_rest();
                    if ends { self.finish() } else { self.fail(fault.clone()) }
                }
                return;
            }
        };
        self.requests.succeeded();
        self.held_messages.set(id, state);
    }
}

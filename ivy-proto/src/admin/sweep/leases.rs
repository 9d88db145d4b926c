//! Renews the leases of messages that wait for their turn.

use crate::queue::{Effect, Fault, QueueOp, QueueReply};
use crate::time::Moment;

use super::groups::GroupId;
use super::held_messages::{HeldId, HeldState};
use super::requests::InFlight;
use super::{Next, Sweep};

/// Whether a message can be processed now.
pub(super) enum Readiness {
    Ready,
    /// The lease of this copy ends too soon.
    Renew(HeldId),
    /// The lease of a copy has ended, and it may be reserved again.
    Lapsed,
    /// The lease of a copy has ended. Another operator may have it now.
    Lost,
}

impl Sweep {
    pub(super) fn readiness(&self, id: GroupId) -> Readiness {
        let Some(group) = self.groups.get(id) else { return Readiness::Lost };
        let now = self.lease_now();
        let mut readiness = Readiness::Ready;
        for copy in &group.copies {
            let Some(held) = self.held_messages.get(*copy) else { return Readiness::Lost };
            match held.state {
                HeldState::Deleted => {}
                HeldState::Held if held.lease_end > now + self.limits.for_work => {}
                HeldState::Held if held.lease_end > now => readiness = Readiness::Renew(*copy),
                HeldState::Held if !self.config.is_live() => return Readiness::Lapsed,
                HeldState::Held | HeldState::Releasing | HeldState::Released | HeldState::Lost => {
                    return Readiness::Lost;
                }
            }
        }
        readiness
    }

    /// A waiting message of a queue that workers serve whose lease must be renewed now. The others are
    /// [reserved again](Sweep::reserve_again) when their turn comes.
    pub(super) fn expiring_lease(&mut self) -> Option<HeldId> {
        let now = self.lease_now();
        while let Some((lease_end, id)) = self.work.leases.front().copied() {
            let held = self.held_messages.get(id)?;
            let is_current = held.lease_end == lease_end && held.state == HeldState::Held;
            if is_current && lease_end > now {
                return (lease_end <= now + self.limits.renewal).then_some(id);
            }
            self.work.leases.pop_front();
        }
        None
    }

    /// A message of the next batch whose lease ends too soon. They are renewed first, so that the batch
    /// is posted as one.
    pub(super) fn expiring_in_batch(&self) -> Option<HeldId> {
        let batch = self.work.waiting.iter().take(self.batch());
        batch.into_iter().find_map(|id| match self.readiness(*id) {
            Readiness::Renew(held) => Some(held),
            Readiness::Ready | Readiness::Lapsed | Readiness::Lost => None,
        })
    }

    /// When the next lease must be renewed, by the clock of leases.
    pub(super) fn next_renewal(&self) -> Option<Moment> {
        let (lease_end, _) = self.work.leases.front()?;
        let now = self.lease_now();
        Some(now + lease_end.since(now).saturating_sub(self.limits.renewal))
    }

    pub(super) fn renew(&mut self, id: HeldId) -> Next {
        let Some(held) = self.held_messages.get(id) else { return Next::Ended };
        let (queue, receipt) = (self.config.queue.clone(), held.receipt.clone());
        let (lease, sent) = (self.limits.lease, self.lease_now());
        self.send(QueueOp::Touch { queue, receipt, lease }, InFlight::Touch { held: id, sent });
        Next::Sent
    }

    pub(super) fn on_touched(
        &mut self,
        id: HeldId,
        sent: Moment,
        reply: Result<QueueReply, Fault>,
    ) {
        match reply {
            Ok(QueueReply::Touched(receipt)) => {
                self.requests.succeeded();
                let lease_end = sent + self.limits.lease;
                self.held_messages.renew(id, receipt, lease_end);
                self.work.leases.push_back((lease_end, id));
            }
            // Unreachable: another reply is a misuse.
            Ok(_) => {}
            Err(fault) if fault.effect() == Effect::Refused => {
                self.requests.succeeded();
                self.held_messages.set(id, HeldState::Lost);
            }
            // The old receipt is used again: it is valid, or refused if the renewal had an effect.
            Err(fault) => self.try_again(fault),
        }
    }
}

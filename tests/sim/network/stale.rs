//! A server that accepts a receipt whose lease has ended instead of the one that holds the message
//! now, as SQS may do: only the worker's own clock keeps a late worker from harming another.

use ivy_proto::broker::{Request, Target};
use ivy_proto::queue::{Fault, QueueOp, QueueReply};
use ivy_proto::{Moment, Receipt};

use crate::host::PendingOp;
use crate::network::receipts;
use crate::task::{Cause, ProcessId};
use crate::world::World;

impl World {
    /// The request as such a server interprets it.
    pub(super) fn accept_stale_receipts(&mut self, mut request: Request) -> Request {
        let now = self.broker_now();
        match &mut request {
            Request::Delete { target, .. }
            | Request::Touch { target, .. }
            | Request::Release { target, .. } => self.accept_stale_receipt(target, now),
            Request::DeleteEach { targets, .. } => {
                for target in targets {
                    self.accept_stale_receipt(target, now);
                }
            }
            _ => {}
        }
        request
    }

    fn accept_stale_receipt(&mut self, target: &mut Target, now: Moment) {
        let Some(current) = self.checker.current_reservation(&target.message, now) else { return };
        if target.reservation.as_ref() != Some(&current) {
            target.reservation = Some(current);
            // From now on two may believe that they hold it.
            self.checker.add_cause_to_message(&target.message, Cause::Delivery);
        }
    }

    /// A worker sends no request with a receipt whose lease has ended by its own clock if the
    /// server would accept it, nor with a connection that it knows to have ended.
    pub(super) fn check_receipts(&mut self, who: ProcessId, op: &QueueOp) {
        let host = &self.hosts[who.host];
        if host.has_outputs_left {
            return;
        }
        let local = host.clock.show(self.now);
        let named: &[Receipt] = match op {
            QueueOp::Delete { receipt, .. }
            | QueueOp::Touch { receipt, .. }
            | QueueOp::Release { receipt, .. } => std::slice::from_ref(receipt),
            QueueOp::DeleteMany { receipts, .. } => receipts.items(),
            _ => &[],
        };
        for receipt in named {
            let ends = self.lease_ends.get(&(who, receipt.clone())).copied();
            let is_over = ends.is_some_and(|ends| ends <= local);
            if (is_over || self.knows_lease_ended(who, receipt))
                && !self.checker.may_be_duplicated(&receipt.message)
            {
                let message = &receipt.message;
                self.checker
                    .broken("S4", || format!("{who:?} used the receipt of {message} too late"));
            }
        }
    }

    /// The latest end of leases, as their worker can know it.
    pub(crate) fn note_leases(
        &mut self,
        who: ProcessId,
        pending: &PendingOp,
        reply: &Result<QueueReply, Fault>,
    ) {
        if self.setup.backend.refuses_late_receipts() {
            return;
        }
        let local = self.hosts[who.host].clock.show(self.now);
        let granted = local + self.setup.lease();
        for receipt in receipts(reply) {
            self.lease_ends.insert((who, receipt), granted);
        }
        if let (Ok(QueueReply::Touched(renewed)), Some((receipt, ends))) = (reply, &pending.renews)
            && let Some(before) = self.lease_ends.remove(&(who, receipt.clone()))
        {
            // A reply that arrives after the end of the lease proves nothing.
            let ends = if local < before { before.max(*ends) } else { before };
            self.lease_ends.insert((who, renewed.clone()), ends);
        }
    }
}

//! Deletes messages from the swept queue, by their reservations.

use crate::queue::{Batch, Effect, Fault, FaultKind, QueueOp, QueueReply, entries};

use super::super::report::ProblemKind;
use super::held_messages::{HeldId, HeldState};
use super::requests::InFlight;
use super::{Next, Sweep};

impl Sweep {
    pub(super) fn delete_next(&mut self) -> Next {
        let most = if self.work.single_deletes > 0 { 1 } else { self.limits.delete };
        self.work.single_deletes = self.work.single_deletes.saturating_sub(1);
        let (mut ids, mut receipts) = (Vec::new(), Vec::new());
        while ids.len() < most
            && let Some(id) = self.work.deletes.pop_front()
        {
            // A receipt whose lease has ended may delete a message that another operator holds.
            if self.held_messages.lasts(id, self.lease_now()) {
                receipts.extend(self.held_messages.get(id).map(|held| held.receipt.clone()));
                ids.push(id);
            } else {
                self.is_lost(id, Fault::new(FaultKind::LeaseLost));
            }
        }
        let Some(receipts) = Batch::new(receipts) else { return Next::Ended };
        let queue = self.config.queue.clone();
        self.send(QueueOp::DeleteMany { queue, receipts }, InFlight::Delete(ids));
        Next::Sent
    }

    pub(super) fn on_deleted(&mut self, ids: Vec<HeldId>, reply: Result<QueueReply, Fault>) {
        match reply {
            Ok(QueueReply::Deleted(replied)) => match entries(replied, ids.len()) {
                Ok(entries) => self.on_deleted_each(ids, entries),
                Err(fault) => self.delete_again(ids, fault),
            },
            // Unreachable: another reply is a misuse.
            Ok(_) => {}
            Err(fault) if fault.effect() != Effect::Refused => self.delete_again(ids, fault),
            // One of several may be the cause.
            Err(_) if ids.len() > 1 => {
                self.requests.succeeded();
                self.work.single_deletes += ids.len();
                self.delete_first(ids);
            }
            Err(fault) => {
                let entries = ids.iter().map(|_| Err(fault.clone())).collect();
                self.on_deleted_each(ids, entries);
            }
        }
    }

    fn on_deleted_each(&mut self, ids: Vec<HeldId>, entries: Vec<Result<(), Fault>>) {
        let (mut again, mut failure) = (Vec::new(), None);
        let mut works = false;
        for (id, entry) in ids.into_iter().zip(entries) {
            match entry {
                Err(fault) if fault.effect() != Effect::Refused => {
                    again.push(id);
                    failure = Some(fault);
                    continue;
                }
                Err(fault) if fault.kind() != FaultKind::NoMessage => self.is_lost(id, fault),
                Err(_) if !self.may_be_deleted(id) => {
                    self.held_messages.set(id, HeldState::Lost);
                    self.report_problem_of(id, ProblemKind::Gone);
                }
                // It was deleted by a request whose reply was lost.
                Ok(()) | Err(_) => {
                    self.held_messages.set(id, HeldState::Deleted);
                    self.report.deleted += 1;
                }
            }
            works = true;
        }
        if works {
            self.requests.succeeded();
        }
        match failure {
            Some(fault) => self.delete_again(again, fault),
            None => self.delete_first(again),
        }
    }

    /// Whether an earlier request may have deleted it.
    fn may_be_deleted(&self, id: HeldId) -> bool {
        self.held_messages.get(id).is_some_and(|held| held.may_be_deleted)
    }

    fn delete_again(&mut self, ids: Vec<HeldId>, fault: Fault) {
        for id in ids.iter().filter(|_| fault.effect() == Effect::Unknown) {
            if let Some(held) = self.held_messages.get_mut(*id) {
                held.may_be_deleted = true;
            }
        }
        self.delete_first(ids);
        self.try_again(fault);
    }

    /// These messages are the next ones to be deleted.
    fn delete_first(&mut self, ids: Vec<HeldId>) {
        for id in ids.into_iter().rev() {
            self.work.deletes.push_front(id);
        }
    }

    /// Messages that may not be deleted.
    pub(super) fn may_remain(&mut self, ids: Vec<HeldId>, fault: &Fault) {
        for id in ids {
            self.report_problem_of(id, ProblemKind::Remains(fault.clone()));
        }
    }

    /// A message is not deleted, because its reservation has ended.
    fn is_lost(&mut self, id: HeldId, fault: Fault) {
        self.held_messages.set(id, HeldState::Lost);
        self.report_problem_of(id, ProblemKind::Remains(fault));
    }
}

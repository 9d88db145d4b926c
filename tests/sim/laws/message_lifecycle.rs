//! The lifecycle of single messages, reported from the keys of a server.

use ivy_proto::{MessageId, Moment, Receipt, ReservationId};

use super::{Holder, LawChecker};
use crate::task::{Cause, ProcessId};

impl LawChecker {
    /// A message was reserved.
    pub(crate) fn message_reserved(
        &mut self,
        who: ProcessId,
        id: &MessageId,
        reservation: ReservationId,
        until: Moment,
        counts: (u32, u32),
        broker_now: Moment,
    ) {
        let may_be_duplicated = self.may_be_duplicated(id);
        let Some(at) = self.ids.index_of(id) else { return };
        let message = &mut self.messages[at];
        let length = until.since(broker_now);
        let holder = Holder { who, connection: (who, 0), reservation, until, length };
        let before = message.holder.replace(holder);
        message.reserved += 1;
        message.counted += 1;
        let counted = (message.failed.min(255), message.lost.min(255));
        let alive = message.alive;
        if !may_be_duplicated && before.is_some() {
            self.broken("S4", || format!("{id} was delivered twice"));
        }
        if !may_be_duplicated && !alive {
            self.broken("S4", || format!("{id} was delivered after its deletion"));
        }
        if !may_be_duplicated && counts != counted {
            self.broken("L2", || {
                format!("{id} was delivered with the counts {counts:?} instead of {counted:?}")
            });
        }
    }

    /// A message was made ready after the end of its lease.
    pub(crate) fn message_returned(
        &mut self,
        id: &MessageId,
        may_be_early: bool,
        broker_now: Moment,
    ) {
        let Some(at) = self.ids.index_of(id) else { return };
        let message = &mut self.messages[at];
        let holder = message.holder.take();
        message.lost += 1;
        if let Some(task) = message.task {
            let attempt = message.attempt_info.attempt;
            *self.tasks[task].lost.entry(attempt).or_default() += 1;
        }
        let Some(holder) = holder else { return };
        self.grants.remove(&(holder.who, at));
        if may_be_early {
            self.add_cause_to_message(id, Cause::Delivery);
        } else if holder.until > broker_now && !self.may_be_duplicated(id) {
            self.broken("S4", || format!("{id} was put back before its lease had ended"));
        }
    }

    /// A message was released.
    pub(crate) fn message_released(
        &mut self,
        who: ProcessId,
        id: &MessageId,
        failed: bool,
        broker_now: Moment,
    ) {
        if let Some(receipt) = self.held_receipt(who, id) {
            self.released(who, &receipt, failed, broker_now);
        } else if let Some(message) = self.ids.index_of(id).and_then(|at| self.messages.get_mut(at))
        {
            // One of two copies with one id: a script that fails between its writes leaves them.
            *message.released_by.entry(who).or_default() += 1;
        }
    }

    /// The lease of a message was renewed.
    pub(crate) fn lease_renewed(
        &mut self,
        who: ProcessId,
        id: &MessageId,
        reservation: ReservationId,
        until: Moment,
        broker_now: Moment,
    ) {
        let Some(old) = self.held_receipt(who, id) else { return };
        let new = Receipt { message: id.clone(), reservation };
        let lease = until.since(broker_now);
        self.touched(who, &old, &new, lease, broker_now);
        let message = self.ids.index_of(id).and_then(|at| self.messages.get_mut(at));
        if let Some(holder) = message.and_then(|message| message.holder.as_mut()) {
            holder.until = until;
        }
    }

    /// A message was deleted by this worker.
    pub(crate) fn message_deleted(&mut self, who: ProcessId, id: &MessageId, broker_now: Moment) {
        match self.held_receipt(who, id) {
            Some(receipt) => self.deleted(who, &receipt, broker_now),
            // After a fault of the server it was not known to be held.
            None => {
                let reservation = ReservationId::new("");
                let receipt = Receipt { message: id.clone(), reservation };
                self.deleted(who, &receipt, broker_now);
            }
        }
    }

    /// The receipt of a held message. Only the worker that holds it may change it.
    fn held_receipt(&mut self, who: ProcessId, id: &MessageId) -> Option<Receipt> {
        let message = self.ids.index_of(id).and_then(|at| self.messages.get(at));
        let holder = message.and_then(|message| message.holder.clone())?;
        if holder.who != who && !self.may_be_duplicated(id) {
            let other = holder.who;
            self.broken("S4", || format!("{who:?} changed {id}, which {other:?} holds"));
        }
        Some(Receipt { message: id.clone(), reservation: holder.reservation })
    }

    /// The server lost its last writes, or everything, or a key: the state of a message is now this.
    pub(crate) fn message_changed_by_fault(
        &mut self,
        id: &MessageId,
        counts: Option<(u32, u32)>,
        holder: Option<(ProcessId, ReservationId, Moment)>,
    ) {
        let Some(at) = self.ids.index_of(id) else { return };
        let message = &mut self.messages[at];
        let was_alive = std::mem::replace(&mut message.alive, counts.is_some());
        let is_alive = message.alive;
        let length = message.holder.as_ref().map_or_else(Default::default, |holder| holder.length);
        message.holder = holder.map(|(who, reservation, until)| Holder {
            who,
            connection: (who, 0),
            reservation,
            until,
            length,
        });
        if let Some((failed, lost)) = counts {
            (message.failed, message.lost) = (failed, lost);
        }
        let is_work = !message.queue.as_str().ends_with(".dead");
        let Some(task) = message.task.map(|task| &mut self.tasks[task]) else { return };
        task.causes.add(Cause::Delivery);
        task.lost_by_server |= was_alive && !is_alive;
        match (was_alive, is_alive) {
            (true, false) if is_work => task.live -= 1,
            (false, true) if is_work => task.live += 1,
            _ => {}
        }
    }
}

//! The server of the dead letters: the broker, with the behaviour of each kind of server.

use std::time::Duration;

use ivy_proto::broker::{self, Request, RequestId, Response, Target};
use ivy_proto::queue::{Batch, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{MessageId, Receipt, ReservationId};

use super::world::{Sender, World};

impl World<'_> {
    pub(super) fn execute_without_first(
        &mut self,
        who: usize,
        op: QueueOp,
    ) -> Result<QueueReply, Fault> {
        let refused = || Fault::new(FaultKind::Refused);
        match op {
            QueueOp::Post { queue, messages } => {
                let rest = Batch::new(messages.into_items().split_off(1));
                let mut entries = vec![Err(refused())];
                if let Some(messages) = rest {
                    match self.execute(Sender::Sweep(who), QueueOp::Post { queue, messages })? {
                        QueueReply::Posted(others) => entries.extend(others),
                        other => return Ok(other),
                    }
                }
                Ok(QueueReply::Posted(entries))
            }
            QueueOp::DeleteMany { queue, receipts } => {
                let rest = Batch::new(receipts.into_items().split_off(1));
                let mut entries = vec![Err(refused())];
                if let Some(receipts) = rest {
                    match self
                        .execute(Sender::Sweep(who), QueueOp::DeleteMany { queue, receipts })?
                    {
                        QueueReply::Deleted(others) => entries.extend(others),
                        other => return Ok(other),
                    }
                }
                Ok(QueueReply::Deleted(entries))
            }
            op => self.execute(Sender::Sweep(who), op),
        }
    }

    /// Executes a request of an operator, or of the test, at the broker.
    pub(super) fn execute(&mut self, sender: Sender, mut op: QueueOp) -> Result<QueueReply, Fault> {
        self.separate_ids(&mut op);
        let mut request = match &op {
            // Such a server executes a batch as a whole or not at all.
            QueueOp::Post { queue, messages } if !self.setup.backend.replies_per_message() => {
                Request::Post { queue: queue.clone(), messages: messages.items().to_vec() }
            }
            QueueOp::DeleteMany { queue, receipts }
                if !self.setup.backend.replies_per_message() =>
            {
                let targets = receipts.items().iter().cloned().map(Target::from).collect();
                Request::DeleteMany { queue: queue.clone(), targets }
            }
            op => op.clone().into(),
        };
        if !self.setup.backend.refuses_late_receipts() {
            self.accept_late_receipts(&mut request);
        }
        self.pending += 1;
        let input = broker::Input::Request(RequestId(self.pending), request);
        self.broker.handle_input(input, self.now).expect("the request is valid");
        let broker::Output::Response(_, response) = self.broker.poll_output() else {
            panic!("the broker does not respond")
        };
        if let Ok(response) = &response {
            self.write_down(sender, &op, response);
        }
        let count = match &op {
            QueueOp::DeleteMany { receipts, .. } => receipts.items().len(),
            _ => 1,
        };
        match response {
            Ok(Response::Deleted) => Ok(QueueReply::all_deleted(count)),
            Ok(response) => {
                let mut reply = response.into();
                self.share_ids(&mut reply);
                Ok(reply)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Names the messages of an operation by their own ids.
    fn separate_ids(&self, op: &mut QueueOp) {
        let separate = |receipt: &mut Receipt| {
            if let Some(message) = self.messages.get(&receipt.reservation) {
                receipt.message.clone_from(message);
            }
        };
        match op {
            QueueOp::Touch { receipt, .. } | QueueOp::Release { receipt, .. } => separate(receipt),
            QueueOp::DeleteMany { receipts, .. } => {
                let mut items = receipts.items().to_vec();
                items.iter_mut().for_each(separate);
                *receipts = Batch::new(items).expect("the batch was not empty");
            }
            _ => {}
        }
    }

    /// Names the messages of a reply by the ids that their copies share.
    fn share_ids(&mut self, reply: &mut QueueReply) {
        if !self.setup.shares_ids {
            return;
        }
        let (letters, messages) = (&self.letters, &mut self.messages);
        let mut share = |receipt: &mut Receipt| {
            let shared = MessageId::new(format!("letter-{}", letters[&receipt.message]));
            let message = std::mem::replace(&mut receipt.message, shared);
            messages.insert(receipt.reservation.clone(), message);
        };
        match reply {
            QueueReply::Touched(receipt) => share(receipt),
            QueueReply::Reserved(reserved) => {
                reserved.messages.iter_mut().for_each(|message| share(&mut message.receipt));
            }
            _ => {}
        }
    }

    pub(super) fn accept_late_receipts(&self, request: &mut Request) {
        let current = |target: &mut Target| {
            if let Some(reservation) = self.reservations.get(&target.message) {
                target.reservation = Some(reservation.clone());
            }
        };
        match request {
            Request::Touch { target, .. } | Request::Release { target, .. } => current(target),
            Request::DeleteEach { targets, .. } => targets.iter_mut().for_each(current),
            _ => {}
        }
    }

    /// Records what the broker did, and checks it.
    pub(super) fn write_down(&mut self, sender: Sender, op: &QueueOp, response: &Response) {
        match (op, response) {
            (QueueOp::Post { messages, .. }, Response::Posted(_)) => {
                messages.items().iter().for_each(|message| self.was_posted(sender, message));
            }
            (QueueOp::Post { messages, .. }, Response::PostedEach(entries)) => {
                for (message, entry) in messages.items().iter().zip(entries) {
                    if entry.is_ok() {
                        self.was_posted(sender, message);
                    }
                }
            }
            (QueueOp::DeleteMany { receipts, .. }, Response::Deleted) => {
                receipts.items().iter().for_each(|receipt| self.was_deleted(&receipt.message));
            }
            (QueueOp::DeleteMany { receipts, .. }, Response::DeletedEach(entries)) => {
                for (receipt, entry) in receipts.items().iter().zip(entries) {
                    if entry.is_ok() {
                        self.was_deleted(&receipt.message);
                    }
                }
            }
            (_, Response::Reserved(deliveries)) => {
                let QueueOp::Reserve { lease, .. } = op else { return };
                for delivery in deliveries {
                    let reservation = delivery.reservation.clone();
                    self.note_lease(sender, reservation.clone(), *lease);
                    self.reservations.insert(delivery.message.clone(), reservation);
                }
            }
            (_, Response::Touched(receipt)) => {
                let QueueOp::Touch { lease, .. } = op else { return };
                self.note_lease(sender, receipt.reservation.clone(), *lease);
                self.reservations.insert(receipt.message.clone(), receipt.reservation.clone());
            }
            _ => {}
        }
    }

    pub(super) fn note_lease(
        &mut self,
        sender: Sender,
        reservation: ReservationId,
        lease: Duration,
    ) {
        if let Sender::Sweep(who) = sender {
            self.operators[who].leases.insert(reservation, self.now + lease);
        }
    }
}

/// The last entry of a reply is not known.
pub(super) fn unknown<T>(entries: &mut [Result<T, Fault>]) {
    if let Some(last) = entries.last_mut() {
        *last = Err(Fault::new(FaultKind::ReplyLost));
    }
}

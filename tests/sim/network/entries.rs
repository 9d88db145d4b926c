//! Servers that reply for each message of a batch: they may refuse one, or omit one.

use std::time::Duration;

use ivy_proto::OpId;
use ivy_proto::queue::{Batch, Fault as QueueFault, FaultKind, QueueOp, QueueReply};

use super::{Fate, Requester};
use crate::fault::Fault;
use crate::fault_injection::{InjectedFault, one_of};
use crate::host::ProcessInput;
use crate::task::{Cause, ProcessId};
use crate::world::World;

/// A message of a batch that the server does not execute.
#[derive(Clone, Debug)]
pub(super) struct LeftOut {
    place: usize,
    /// The reply for it, if any.
    fault: Option<QueueFault>,
}

impl LeftOut {
    /// The reply to the whole batch, built from the reply to the rest.
    pub(super) fn with_fault(
        &self,
        reply: Result<QueueReply, QueueFault>,
    ) -> Result<QueueReply, QueueFault> {
        let (place, fault) = (self.place, self.fault.clone());
        Ok(match reply? {
            QueueReply::Posted(mut entries) => {
                fault.into_iter().for_each(|fault| entries.insert(place, Err(fault)));
                QueueReply::Posted(entries)
            }
            QueueReply::Deleted(mut entries) => {
                fault.into_iter().for_each(|fault| entries.insert(place, Err(fault)));
                QueueReply::Deleted(entries)
            }
            other => other,
        })
    }
}

impl World {
    /// Executes a batch without one of its messages.
    pub(super) fn leave_one_out(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        op: &QueueOp,
        mut hit: InjectedFault,
    ) {
        let rng = &mut hit.detail;
        let kinds: &[FaultKind] = match (hit.fault, op) {
            (Fault::EntryRefused, QueueOp::Post { .. }) => {
                &[FaultKind::Refused, FaultKind::TooLarge, FaultKind::TooManyRequests]
            }
            (Fault::EntryRefused, _) => &[FaultKind::TooManyRequests, FaultKind::ServerError],
            _ => &[],
        };
        let fault = (!kinds.is_empty()).then(|| QueueFault::new(one_of(rng, kinds)));
        let cause = if fault.is_some() { Cause::Request } else { Cause::Response };
        self.checker.blame_request(op, cause);
        let place = rng.up_to(batch_size(op).saturating_sub(1) as u64) as usize;
        let left_out = LeftOut { place, fault };
        match without(op, place) {
            Some(rest) => {
                let requester = Requester::Machine(op_id);
                self.send(who, requester, rest, Duration::ZERO, Fate::LeftOut(left_out));
            }
            None => {
                let nothing = match op {
                    QueueOp::Post { .. } => QueueReply::Posted(Vec::new()),
                    _ => QueueReply::Deleted(Vec::new()),
                };
                self.is_answered(who, op_id);
                let heard =
                    ProcessInput::Response(op_id, left_out.with_fault(Ok(nothing)), self.now);
                self.soon(who, heard);
            }
        }
    }
}

/// The number of messages of a batch.
pub(super) fn batch_size(op: &QueueOp) -> usize {
    match op {
        QueueOp::Post { messages, .. } => messages.items().len(),
        QueueOp::DeleteMany { receipts, .. } => receipts.items().len(),
        _ => 0,
    }
}

/// The batch without this message, if another is left.
fn without(op: &QueueOp, place: usize) -> Option<QueueOp> {
    let mut op = op.clone();
    match &mut op {
        QueueOp::Post { messages, .. } => *messages = rest(messages, place)?,
        QueueOp::DeleteMany { receipts, .. } => *receipts = rest(receipts, place)?,
        _ => return None,
    }
    Some(op)
}

fn rest<T: Clone>(batch: &Batch<T>, place: usize) -> Option<Batch<T>> {
    let mut items = batch.items().to_vec();
    items.remove(place);
    Batch::new(items)
}

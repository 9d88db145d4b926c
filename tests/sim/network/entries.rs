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
pub(super) struct OmittedEntry {
    position: usize,
    /// The reply for it, if any.
    fault: Option<QueueFault>,
}

impl OmittedEntry {
    /// The reply to the whole batch, built from the reply to the rest.
    pub(super) fn with_fault(
        &self,
        reply: Result<QueueReply, QueueFault>,
    ) -> Result<QueueReply, QueueFault> {
        let (position, fault) = (self.position, self.fault.clone());
        Ok(match reply? {
            QueueReply::Posted(mut entries) => {
                fault.into_iter().for_each(|fault| entries.insert(position, Err(fault)));
                QueueReply::Posted(entries)
            }
            QueueReply::Deleted(mut entries) => {
                fault.into_iter().for_each(|fault| entries.insert(position, Err(fault)));
                QueueReply::Deleted(entries)
            }
            other => other,
        })
    }
}

impl World {
    /// Executes a batch without one of its messages.
    pub(super) fn send_without_one(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        op: &QueueOp,
        mut injected: InjectedFault,
    ) {
        let rng = &mut injected.detail;
        let kinds: &[FaultKind] = match (injected.fault, op) {
            (Fault::EntryRefused, QueueOp::Post { .. }) => {
                &[FaultKind::Refused, FaultKind::TooLarge, FaultKind::TooManyRequests]
            }
            (Fault::EntryRefused, _) => &[FaultKind::TooManyRequests, FaultKind::ServerError],
            _ => &[],
        };
        let fault = (!kinds.is_empty()).then(|| QueueFault::new(one_of(rng, kinds)));
        let cause = if fault.is_some() { Cause::Request } else { Cause::Reply };
        self.checker.add_cause_to_request(op, cause);
        let position = rng.up_to(batch_size(op).saturating_sub(1) as u64) as usize;
        let omitted = OmittedEntry { position, fault };
        match without(op, position) {
            Some(rest) => {
                let requester = Requester::Machine(op_id);
                self.send(who, requester, rest, Duration::ZERO, Fate::Omitted(omitted));
            }
            None => {
                let empty_reply = match op {
                    QueueOp::Post { .. } => QueueReply::Posted(Vec::new()),
                    _ => QueueReply::Deleted(Vec::new()),
                };
                self.mark_replied(who, op_id);
                let input =
                    ProcessInput::Reply(op_id, omitted.with_fault(Ok(empty_reply)), self.now);
                self.schedule_soon(who, input);
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
fn without(op: &QueueOp, position: usize) -> Option<QueueOp> {
    let mut op = op.clone();
    match &mut op {
        QueueOp::Post { messages, .. } => *messages = rest(messages, position)?,
        QueueOp::DeleteMany { receipts, .. } => *receipts = rest(receipts, position)?,
        _ => return None,
    }
    Some(op)
}

fn rest<T: Clone>(batch: &Batch<T>, position: usize) -> Option<Batch<T>> {
    let mut items = batch.items().to_vec();
    items.remove(position);
    Batch::new(items)
}

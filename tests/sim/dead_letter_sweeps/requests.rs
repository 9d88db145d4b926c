//! The requests of sweeps, and what happens to them.

use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{Moment, OpId};

use super::faults::SweepFault;
use super::server::unknown;
use super::world::{Due, LATE, Sender, WAY, World};

impl World<'_> {
    /// A sweep sends a request, to which a fault may happen.
    pub(super) fn request(&mut self, who: usize, id: OpId, op: QueueOp) {
        self.check_receipts(who, &op);
        let offered = SweepFault::of(&op, self.setup.backend);
        let fault = match self.left {
            0 => None,
            _ => {
                let chosen = self.choices.choose(offered.len() as u32 + 1);
                chosen.checked_sub(1).map(|chosen| offered[chosen as usize])
            }
        };
        let (now, arrives, replied) = (self.now, self.now + WAY, self.now + WAY + WAY);
        let lost = || Err(Fault::new(FaultKind::ReplyLost));
        if let Some(fault) = fault {
            self.left -= 1;
            self.faults.push((kind(&op), fault));
        }
        let reply = match fault {
            None => self.execute(Sender::Sweep(who), op),
            Some(SweepFault::NotSent) => Err(Fault::new(FaultKind::Unreachable)),
            Some(SweepFault::RequestLost) => lost(),
            Some(SweepFault::Refused) => Err(Fault::new(FaultKind::Refused)),
            Some(SweepFault::ReplyLost) => {
                let _ = self.execute(Sender::Sweep(who), op);
                lost()
            }
            Some(SweepFault::Doubled) => {
                self.operators[who].doubled += 1;
                self.late_request(replied + WAY, who, op.clone());
                self.execute(Sender::Sweep(who), op)
            }
            Some(SweepFault::ReplyLate) => {
                let reply = self.execute(Sender::Sweep(who), op);
                return self.at(replied + LATE, who, Due::Reply(id, reply));
            }
            Some(SweepFault::RequestLate) => {
                self.late_request(arrives + LATE, who, op);
                lost()
            }
            Some(SweepFault::EntryRefused) => self.execute_without_first(who, op),
            Some(SweepFault::EntryUnknown) => match self.execute(Sender::Sweep(who), op) {
                Ok(QueueReply::Posted(mut entries)) => {
                    unknown(&mut entries);
                    Ok(QueueReply::Posted(entries))
                }
                Ok(QueueReply::Deleted(mut entries)) => {
                    unknown(&mut entries);
                    Ok(QueueReply::Deleted(entries))
                }
                other => other,
            },
            Some(SweepFault::Interrupt) => {
                self.at(now, who, Due::Interrupt);
                self.execute(Sender::Sweep(who), op)
            }
            Some(SweepFault::InterruptTwice) => {
                self.at(now, who, Due::Interrupt);
                self.at(now, who, Due::Interrupt);
                self.execute(Sender::Sweep(who), op)
            }
            Some(SweepFault::CrashBefore) => return self.at(now, who, Due::Crash),
            Some(SweepFault::CrashAfter) => {
                let _ = self.execute(Sender::Sweep(who), op);
                return self.at(now, who, Due::Crash);
            }
        };
        self.at(replied, who, Due::Reply(id, reply));
    }

    fn late_request(&mut self, at: Moment, who: usize, op: QueueOp) {
        self.numbered += 1;
        let command = self.operators[who].commands;
        self.late.insert((at, self.numbered), (who, command, op));
    }
}

fn kind(op: &QueueOp) -> &'static str {
    match op {
        QueueOp::GetQueue { .. } => "size",
        QueueOp::Reserve { .. } => "reserve",
        QueueOp::Post { .. } => "post",
        QueueOp::DeleteMany { .. } => "delete",
        QueueOp::Touch { .. } => "touch",
        QueueOp::Release { .. } => "release",
        _ => "other",
    }
}

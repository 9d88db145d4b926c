//! The laws of sweeps.

use std::collections::BTreeSet;

use ivy_proto::MessageId;
use ivy_proto::admin::{Ended, Report};
use ivy_proto::broker;
use ivy_proto::queue::{NewMessage, QueueOp};
use ivy_proto::wire::Envelope;

use super::faults::SweepFault;
use super::letters::{EXCLUDED, number_of};
use super::world::{Action, LATE, Sender, World};

impl World<'_> {
    pub(super) fn was_posted(&mut self, sender: Sender, message: &NewMessage) {
        if let Sender::Test = sender {
            return;
        }
        let envelope = Envelope::parse(message.body.as_str()).expect("a task was posted");
        let number = number_of(&envelope);
        if !self.setup.changes() || self.setup.action == Action::Delete {
            self.broken("A4", format!("letter {number} was posted"));
        }
        *self.posted.entry(number).or_default() += 1;
        if let Sender::Sweep(who) = sender {
            let operator = &mut self.operators[who];
            let count = operator.posted.entry(number).or_default();
            *count += 1;
            let allowed = 1 + operator.doubled + u32::from(self.setup.again_if_unknown);
            if *count > allowed {
                self.broken("A2", format!("a sweep posted letter {number} more than once"));
            }
        }
        let excused = self.faults.iter().filter(|(kind, fault)| fault.excuses_a_copy(kind));
        let excused = excused.count();
        if self.posted[&number] > 1 + excused as u32 {
            self.broken("A2", format!("letter {number} was posted more than once without a cause"));
        }
    }

    pub(super) fn was_deleted(&mut self, message: &MessageId) {
        let Some(number) = self.letters.remove(message) else { return };
        if !self.setup.changes() {
            self.broken("A4", format!("letter {number} was deleted"));
        }
        if number == EXCLUDED {
            self.broken("A1", format!("letter {number} was deleted, which the filter excludes"));
        }
        if self.setup.action == Action::Requeue && !self.posted.contains_key(&number) {
            self.broken("A1", format!("letter {number} was deleted before its task was posted"));
        }
    }

    /// A sweep uses no receipt whose lease has ended by its own clock.
    pub(super) fn check_receipts(&mut self, who: usize, op: &QueueOp) {
        let receipts = match op {
            QueueOp::DeleteMany { receipts, .. } => receipts.items(),
            QueueOp::Touch { receipt, .. } | QueueOp::Release { receipt, .. } => {
                std::slice::from_ref(receipt)
            }
            _ => &[],
        };
        let leases = &self.operators[who].leases;
        let ended = |reservation| leases.get(reservation).is_some_and(|ends| *ends <= self.now);
        if receipts.iter().any(|receipt| ended(&receipt.reservation)) {
            self.broken("A6", format!("a receipt was used too late by {op:?}"));
        }
    }

    pub(super) fn check_report(&mut self, who: usize, report: &Report) {
        let operator = &self.operators[who];
        let posted: u32 = operator.posted.values().sum();
        let posted = posted.saturating_sub(operator.doubled * 2) as usize;
        let max: usize = operator.posted.values().map(|count| *count as usize).sum();
        if report.posted > max {
            self.broken("A5", format!("{max} were posted: {report}"));
        } else if posted > report.posted + report.unknown && !self.setup.again_if_unknown {
            self.broken("A5", format!("{posted} were posted: {report}"));
        } else if self.operators.len() == 1
            && self.faults.is_empty()
            && self.setup.changes()
            && (report.end != Ended::Done || report.is_partial())
        {
            self.broken("A5", format!("nothing happened, and yet: {report}"));
        }
    }

    /// Unless something failed, a sweep that has ended leaves nothing leased, or says how much.
    pub(super) fn check_leases(&mut self, report: &Report) {
        let is_interruption = |(_, fault): &(_, SweepFault)| {
            matches!(fault, SweepFault::Interrupt | SweepFault::InterruptTwice)
        };
        if self.operators.len() > 1 || !self.faults.iter().all(is_interruption) {
            return;
        }
        let leased = self.letters.len() - self.ready().len();
        let twice = self.faults.len() > 1
            || self.faults.iter().any(|(_, fault)| *fault == SweepFault::InterruptTwice);
        let reported = if twice { report.left_to_expire + report.hidden } else { 0 };
        if leased > reported {
            self.broken("A7", format!("{leased} letters are leased: {report}"));
        }
    }

    pub(super) fn check_end(&mut self, before: &[u32]) {
        // The broker has returned what was left to the ends of its leases.
        let at = self.now + LATE + LATE;
        self.pass_until(at);
        while let broker::Output::Response(..) = self.broker.poll_output() {}
        let (ready, left) = (self.ready(), self.letters.len());
        if ready.len() != left {
            self.broken("A3", format!("{left} letters are left, and ready are {ready:?}"));
        }
        if !self.setup.changes() {
            if ready != before {
                self.broken("A4", format!("{before:?} became {ready:?}"));
            }
            return;
        }
        let letters: BTreeSet<u32> = ready.into_iter().collect();
        if letters != BTreeSet::from([EXCLUDED]) {
            self.broken("A3", format!("the sweeps are done, and {letters:?} are left"));
        }
        if self.setup.action == Action::Requeue && self.posted.len() != 2 {
            self.broken("A1", format!("posted are {:?}", self.posted));
        }
    }
}

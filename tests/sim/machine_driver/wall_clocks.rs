//! Machines are informed when their wall clock was set, and judge deadlines by it.

use std::time::Duration;

use ivy_proto::event::Event;
use ivy_proto::queue::{Fault, QueueOp, QueueReply};
use ivy_proto::wire::DeadLetterReason;
use ivy_proto::{MessageId, Misuse, Moment, producer, worker};

use crate::host::{Machine, PendingOp};
use crate::network::receipts;
use crate::task::{Cause, ProcessId};
use crate::world::World;

/// How much later than its deadline a task may still start, without the difference between clocks
/// that is not reported.
const TOLERANCE: Duration = Duration::from_secs(59);
/// That difference, when no tolerance applies.
const CLOCKS_APART: Duration = Duration::from_millis(102);

impl World {
    /// Like a driver when it wakes: informs the machine if the wall clock was set. Returns whether
    /// it was; the machine may then have finished before it handles the input that woke it.
    pub(super) fn follow_wall(&mut self, who: ProcessId) -> bool {
        let now = self.now;
        let host = &mut self.hosts[who.host];
        let (local, before) = (host.clock.show(now), host.wall.known());
        let Some(wall) = host.wall.follow(now, local) else { return false };
        let state = host.state(now);
        let result = match &mut host.machine {
            Machine::Worker(machine) => machine.handle_input(worker::Input::Clock(wall), local),
            Machine::Producer(machine) => machine.handle_input(producer::Input::Clock(wall), local),
            _ => Ok(()),
        };
        // A process that is late may not have seen yet that it has finished.
        if let Err(misuse) = result
            && !(misuse == Misuse::Finished && host.has_outputs_left)
        {
            self.checker.broken("S11", || format!("{who:?}: {misuse}"));
        }
        self.coverage.pair((state, "clock"));
        self.trace.note(now, who, || format!("receives {wall:?}"));
        // Messages that it holds may count as lost now.
        if !wall.ahead_of(before).is_zero() {
            let host = &mut self.hosts[who.host];
            (host.is_undisturbed, host.had_fault) = (false, true);
            self.checker.add_cause_to_held(who.host, Cause::Clock);
        }
        true
    }

    /// Messages that were requested before the wall clock leapt forward count as old.
    pub(super) fn add_cause_to_stale_reply(
        &mut self,
        who: ProcessId,
        pending: &PendingOp,
        reply: &Result<QueueReply, Fault>,
    ) {
        if !self.hosts[who.host].wall.known().ahead_of(pending.wall).is_zero() {
            for receipt in receipts(reply) {
                self.checker.add_cause_to_message(&receipt.message, Cause::Clock);
            }
        }
    }

    /// A worker whose clock is correct dead-letters no task for a deadline that has not passed.
    pub(super) fn check_deadline(&mut self, who: ProcessId, event: &Event) {
        let Event::DeadLettered { message, reason: DeadLetterReason::Deadline, .. } = event else {
            return;
        };
        let Some((deadline, arrived)) = self.deadline_and_arrival(who, message) else { return };
        let now = self.now;
        let is_right = self.hosts[who.host].wall.is_right(arrived, now);
        // A task is not postponed past its deadline, without a tolerance.
        let (by, tolerance) = match self.checker.postponed_by(message) {
            Some(by) => (by + CLOCKS_APART, Duration::ZERO),
            None => (Duration::ZERO, TOLERANCE),
        };
        if is_right && now + by < deadline + tolerance {
            self.checker.broken("L2", || format!("{message} had not passed its deadline"));
        }
    }

    /// A message that a process posts states when it may start, by its wall clock.
    pub(crate) fn check_due(&mut self, who: ProcessId, op: &QueueOp) {
        let QueueOp::Post { queue, messages } = op else { return };
        if queue.as_str().ends_with(".dead") {
            return;
        }
        let now = self.now;
        for message in messages.items() {
            let Some((number, since)) = self.checker.written_since(who, &message.body) else {
                continue;
            };
            let wall = &self.hosts[who.host].wall;
            let since = since.map(|since| (since, wall.is_right(since, now)));
            self.checker.check_due(who, number, message, since, now);
        }
    }

    /// The true deadline of a task whose caller's clock was correct, and when its message first
    /// arrived here.
    fn deadline_and_arrival(
        &self,
        who: ProcessId,
        message: &MessageId,
    ) -> Option<(Moment, Moment)> {
        let task = self.checker.task_of_message(message)?;
        Some((self.checker.tasks[task].deadline?, self.checker.first_arrived(who, message)?))
    }
}

//! Reserves, including long polls.

use std::time::Duration;

use ivy_proto::backend::{CommandId, Output};
use ivy_proto::queue::{Fault, FaultKind, QueueReply, Reserved};
use ivy_proto::{Moment, QueueName, Receipt};
use redis::Value;

use super::{Context, InFlight, Operations};
use crate::blocking_connections::Wait;
use crate::command_connection::RequestId;
use crate::planted::{Bug, planted};
use crate::queue::command::Command;
use crate::queue::command_batch::CommandBatch;
use crate::queue::decode::{Decoder, Messages, ReserveReply, unexpected_reply};
use crate::queue::encode::{self, Reserve, Source};
use crate::queue::keys::Keys;
use crate::queue::next_due::{NextDue, NextDueReport};
use crate::queue::receipt::{Reservation, ReserveId};

/// The longest single wait of a server.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The remaining time below which a wait is over.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// How many waits in a row may end early before a pause.
const MAX_EARLY_ENDS: u32 = 20;
/// How long to pause after a server has refused to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A reserve, which may run several scripts in sequence.
#[derive(Debug)]
pub(super) struct Reserving {
    /// `None` if its requester has been dropped.
    pub(super) command_id: Option<CommandId>,
    pub(super) queue: QueueName,
    pub(super) keys: Keys,
    pub(super) count: usize,
    pub(super) lease: Duration,
    /// The end of its wait.
    pub(super) until: Moment,
    /// The id that the script in flight gives its reservations; each script run has a new one.
    pub(super) reserve_id: Option<ReserveId>,
    pub(super) early_ends: EarlyEnds,
}

/// The waits of a reserve that ended early without a message. A nudge ends a wait early; a server
/// that ends all of them does not wait at all.
#[derive(Debug, Default)]
pub(super) struct EarlyEnds {
    count: u32,
    /// A wait that ends before this moment is early.
    early_before: Moment,
}

impl EarlyEnds {
    fn began(&mut self, time: Duration, now: Moment) {
        self.early_before = now + time / 2;
    }

    /// Records that a wait has ended. Returns whether to pause before the next one.
    fn wait_ended(&mut self, now: Moment) -> bool {
        if now >= self.early_before {
            self.count = 0;
            return false;
        }
        self.count += 1;
        self.count.is_multiple_of(MAX_EARLY_ENDS)
    }
}

/// A reserve that pauses until a moment.
#[derive(Debug)]
pub(super) struct PausedReserve {
    pub(super) until: Moment,
    pub(super) reserving: Reserving,
}

impl Operations {
    /// Reserves the available messages, or waits for one if the last reserve left none.
    pub(super) fn reserve(&mut self, mut reserving: Reserving, context: &mut Context<'_>) {
        let step = self.maintenance.orphan_search(&reserving.queue, &reserving.keys, context.now);
        if let Some((step, commands)) = step {
            self.start_maintenance(step, commands, context);
        }
        let left = reserving.until.since(context.now);
        if left >= MIN_WAIT
            && let Some(report) = self.next_due.take(&reserving.queue, MIN_WAIT, context.now)
        {
            return self.wait(reserving, report, context);
        }
        let from = if left.is_zero() { Source::Ready } else { Source::Claimed };
        let make_due_ready =
            self.maintenance.start_due_check_if_time(&reserving.queue, context.now);
        let reserve = self.next_script(&mut reserving, from, make_due_ready);
        let batch = CommandBatch::new([reserve.command(&reserving.keys)]);
        let id = self.send(&batch, encode::MESSAGE_LIMITS, context);
        self.in_flight.insert(id, InFlight::Reserve { reserving, batch });
    }

    /// The next script run, with an id of its own.
    fn next_script(
        &mut self,
        reserving: &mut Reserving,
        from: Source,
        make_due_ready: bool,
    ) -> Reserve {
        let reserve_id = self.ids.reserve_id();
        reserving.reserve_id = Some(reserve_id);
        let Reserving { count, lease, .. } = *reserving;
        Reserve { reserve_id, count, lease, from, make_due_ready }
    }

    /// Handles the reply to a script run.
    pub(super) fn on_reserve_replies(
        &mut self,
        reserving: Reserving,
        replies: Vec<Value>,
        context: &mut Context<'_>,
    ) {
        match decode_reserve(&reserving, super::pending_operation::single_reply(replies), context) {
            Ok(ReserveReply::Nothing(due)) => {
                self.wait(reserving, NextDueReport { at: context.now, due }, context)
            }
            Ok(ReserveReply::Messages(messages)) => {
                self.complete_with_messages(reserving, messages, context)
            }
            Err(fault) => complete(&reserving, Err(fault), context),
        }
    }

    /// Handles the end of a server's wait: whether a message arrived, and what the script after it
    /// reserved.
    pub(super) fn on_wait_replies(
        &mut self,
        mut reserving: Reserving,
        replies: Vec<Value>,
        context: &mut Context<'_>,
    ) {
        if planted(Bug::WaitWithoutScript) {
            return self.reserve(reserving, context);
        }
        let Ok([wait, script]) = <[Value; 2]>::try_from(replies) else {
            return complete(&reserving, Err(unexpected_reply()), context);
        };
        let refused = Decoder { address: context.effects.address() }.accepted(wait).err();
        match (decode_reserve(&reserving, script, context), refused) {
            (Ok(ReserveReply::Messages(messages)), _) => {
                self.complete_with_messages(reserving, messages, context)
            }
            (Ok(ReserveReply::Nothing(due)), None) => {
                if reserving.early_ends.wait_ended(context.now) {
                    return self.pause(reserving, context);
                }
                self.wait(reserving, NextDueReport { at: context.now, due }, context);
            }
            // For instance, a server whose memory is full refuses to wait, but its queues can still
            // be emptied.
            (Ok(ReserveReply::Nothing(_)), Some(fault)) if is_temporary(&fault) => {
                self.pause(reserving, context);
            }
            (Ok(ReserveReply::Nothing(_)), Some(fault)) | (Err(fault), _) => {
                complete(&reserving, Err(fault), context);
            }
        }
    }

    /// Makes the server wait for a part of the remaining time, at most until it knows a message to
    /// be due. A lease that began since the report ends later, unless it is shorter than this wait.
    fn wait(&mut self, mut reserving: Reserving, report: NextDueReport, context: &mut Context<'_>) {
        let left = reserving.until.since(context.now);
        if reserving.command_id.is_none() || left < MIN_WAIT {
            return complete(&reserving, Ok(Reserved::default()), context);
        }
        let until = report.at + report.due.at_most(MAX_WAIT.min(reserving.lease));
        let time = left.min(until.since(context.now)).max(MIN_WAIT);
        reserving.early_ends.began(time, context.now);
        // A script that gets no message makes due ones ready in any case.
        let make_due_ready =
            self.maintenance.start_due_check_if_time(&reserving.queue, context.now);
        let reserve = match planted(Bug::WaitWithoutScript) {
            true => Command::new("TIME"),
            false => self
                .next_script(&mut reserving, Source::AfterWait, make_due_ready)
                .command(&reserving.keys),
        };
        let id: RequestId = self.next_id();
        let wait = encode::wait(&reserving.keys, time);
        let wait = Wait { id, wait, reserve, limits: encode::MESSAGE_LIMITS, time };
        self.in_flight.insert(id, InFlight::Wait { reserving });
        context.blocking.send(wait, context.effects, context.now);
    }

    fn pause(&mut self, reserving: Reserving, context: &Context<'_>) {
        self.paused.push_back(PausedReserve { until: context.now + RETRY_AFTER, reserving });
    }

    /// Retries the reserves whose pause is over.
    pub(super) fn resume(&mut self, context: &mut Context<'_>) {
        while let Some(position) = self.paused.iter().position(|paused| paused.until <= context.now)
        {
            if let Some(paused) = self.paused.remove(position) {
                self.reserve(paused.reserving, context);
            }
        }
    }

    /// Returns the result of a reserve. If its requester has been dropped, the messages are released.
    fn complete_with_messages(
        &mut self,
        reserving: Reserving,
        messages: Messages,
        context: &mut Context<'_>,
    ) {
        let Messages { reserved, unusable, due } = messages;
        if let Some(due) = due {
            // The lease of these messages may be the first one to end.
            let due = NextDue::In(due.at_most(reserving.lease));
            self.next_due.add(&reserving.queue, NextDueReport { at: context.now, due });
        }
        for (reservation, why) in &unusable {
            self.reject(&reserving.queue, reservation, *why, context);
        }
        match reserving.command_id {
            Some(command_id) => {
                context
                    .effects
                    .push(Output::Executed(command_id, Ok(QueueReply::Reserved(reserved))));
            }
            None => self.release_all(&reserving, &reserved, context),
        }
    }

    fn release_all(
        &mut self,
        reserving: &Reserving,
        reserved: &Reserved,
        context: &mut Context<'_>,
    ) {
        let receipts: Vec<Receipt> =
            reserved.messages.iter().map(|message| message.receipt.clone()).collect();
        let reservations = encode::reservations(&receipts);
        // In reverse order, because each is put in front of the others.
        let release = |reservation: Reservation| {
            let message = encode::HeldMessage { reservation, possible_next: None };
            encode::release(&reserving.keys, &message, Duration::ZERO, false)
        };
        let commands: Vec<_> = reservations.into_iter().flatten().rev().map(release).collect();
        if !commands.is_empty() {
            self.start_maintenance(
                crate::queue::maintenance::MaintenanceStep::Release,
                commands,
                context,
            );
        }
    }
}

fn decode_reserve(
    reserving: &Reserving,
    reply: Value,
    context: &Context<'_>,
) -> Result<ReserveReply, Fault> {
    let reserve_id = reserving.reserve_id.ok_or_else(unexpected_reply)?;
    Decoder { address: context.effects.address() }.reserve(&reserving.queue, reserve_id, reply)
}

/// Whether a fault of a wait is temporary.
fn is_temporary(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::Unavailable)
}

fn complete(reserving: &Reserving, result: Result<Reserved, Fault>, context: &mut Context<'_>) {
    if let Some(command_id) = reserving.command_id {
        context.effects.push(Output::Executed(command_id, result.map(QueueReply::Reserved)));
    }
}

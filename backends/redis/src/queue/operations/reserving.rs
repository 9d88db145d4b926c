//! Reserves, including long polls.

use std::time::Duration;

use ivy_proto::backend::{CommandId, Output};
use ivy_proto::queue::{Fault, FaultKind, QueueReply, Reserved};
use ivy_proto::{Moment, QueueName, Receipt};
use redis::Value;

use super::{InFlight, Io, Operations};
use crate::planted::{Bug, planted};
use crate::queue::command::{By, Command};
use crate::queue::decode::{Brought, Decoder, odd};
use crate::queue::encode::{self, From, Reserve};
use crate::queue::exchange::Exchange;
use crate::queue::keys::Keys;
use crate::queue::receipt::{Reservation, Unique};
use crate::requests::RequestId;
use crate::waits::Wait;

/// The longest single wait of a server.
const LONGEST_PIECE: Duration = Duration::from_secs(30);
/// The remaining time below which a wait is over.
const SHORTEST_PIECE: Duration = Duration::from_millis(10);
/// How long to pause after a server has refused to wait.
const REST: Duration = Duration::from_secs(1);

/// A reserve, which may run several scripts in sequence.
#[derive(Debug)]
pub(super) struct Reserving {
    /// `None` if its caller is gone.
    pub(super) command_id: Option<CommandId>,
    pub(super) queue: QueueName,
    pub(super) keys: Keys,
    pub(super) count: usize,
    pub(super) lease: Duration,
    /// The end of its wait.
    pub(super) until: Moment,
    /// The unique name of the script in flight.
    pub(super) unique: Option<Unique>,
}

/// A reserve that pauses until a moment.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) until: Moment,
    pub(super) reserving: Reserving,
}

impl Operations {
    /// Reserves the available messages.
    pub(super) fn reserve(&mut self, mut reserving: Reserving, io: &mut Io<'_>) {
        let task = self.upkeep.of_worker(&reserving.queue, &reserving.keys, io.now);
        if let Some((task, commands)) = task {
            self.keep_up(task, commands, io);
        }
        let waits = reserving.until > io.now;
        let from = if waits { From::Claimed } else { From::Ready };
        let sweep = self.upkeep.is_sweep_due(&reserving.queue, io.now);
        let reserve = self.script(&mut reserving, from, sweep);
        let exchange = Exchange::new([reserve.command(&reserving.keys)]);
        let id = self.send(&exchange, encode::MESSAGES, io);
        self.in_flight.insert(id, InFlight::Reserve { reserving, exchange });
    }

    /// The script of a single attempt.
    fn script(&mut self, reserving: &mut Reserving, from: From, sweep: bool) -> Reserve {
        let unique = self.names.reserve();
        reserving.unique = Some(unique);
        let Reserving { count, lease, .. } = *reserving;
        Reserve { unique, count, lease, from, sweep }
    }

    /// Handles the result of an attempt.
    pub(super) fn reserved(&mut self, reserving: Reserving, answers: Vec<Value>, io: &mut Io<'_>) {
        match brought(&reserving, super::asked::only(answers), io) {
            Ok(Brought::Nothing(due)) => self.wait(reserving, due, io),
            Ok(Brought::Messages { reserved, invalid }) => {
                self.bring(reserving, reserved, &invalid, io);
            }
            Err(fault) => end(&reserving, Err(fault), io),
        }
    }

    /// Handles the end of a server's wait: whether a message arrived, and what the script after it
    /// reserved.
    pub(super) fn waited(&mut self, reserving: Reserving, answers: Vec<Value>, io: &mut Io<'_>) {
        if planted(Bug::WaitWithoutScript) {
            return self.reserve(reserving, io);
        }
        let Ok([wait, script]) = <[Value; 2]>::try_from(answers) else {
            return end(&reserving, Err(odd()), io);
        };
        let refused = Decoder { address: io.effects.address() }.accepted(wait).err();
        match (brought(&reserving, script, io), refused) {
            (Ok(Brought::Messages { reserved, invalid }), _) => {
                self.bring(reserving, reserved, &invalid, io);
            }
            (Ok(Brought::Nothing(due)), None) => self.wait(reserving, due, io),
            // For instance, a server whose memory is full refuses to wait, but its queues can still
            // be emptied.
            (Ok(Brought::Nothing(_)), Some(fault)) if is_passing(&fault) => {
                self.resting.push_back(Resting { until: io.now + REST, reserving });
            }
            (Ok(Brought::Nothing(_)), Some(fault)) | (Err(fault), _) => {
                end(&reserving, Err(fault), io);
            }
        }
    }

    /// Makes the server wait for a part of the remaining time, at most until it knows a message to
    /// be due. A lease that begins meanwhile ends later, unless it is shorter than that part.
    fn wait(&mut self, mut reserving: Reserving, due: Option<Duration>, io: &mut Io<'_>) {
        let left = reserving.until.since(io.now);
        if reserving.command_id.is_none() || left < SHORTEST_PIECE {
            return end(&reserving, Ok(Reserved::default()), io);
        }
        let piece = left.min(LONGEST_PIECE).min(reserving.lease).min(due.unwrap_or(left));
        let time = piece.max(SHORTEST_PIECE);
        let reserve = match planted(Bug::WaitWithoutScript) {
            true => Command::new("TIME"),
            false => self.script(&mut reserving, From::AfterWait, true).command(&reserving.keys),
        };
        let (mut commands, mut script) = (Vec::new(), Vec::new());
        encode::wait(&reserving.keys, time).write(By::Name, &mut commands);
        reserve.write(By::Name, &mut commands);
        reserve.write(By::Text, &mut script);
        let id: RequestId = self.next_id();
        let wait = Wait { id, commands, script, limits: encode::MESSAGES, time };
        self.in_flight.insert(id, InFlight::Wait { reserving });
        io.waits.send(wait, io.effects, io.now);
    }

    /// Retries the reserves whose pause is over.
    pub(super) fn resume(&mut self, io: &mut Io<'_>) {
        while let Some(place) = self.resting.iter().position(|resting| resting.until <= io.now) {
            if let Some(resting) = self.resting.remove(place) {
                self.reserve(resting.reserving, io);
            }
        }
    }

    /// Returns the result of a reserve. If its caller is gone, the messages are released.
    fn bring(
        &mut self,
        reserving: Reserving,
        reserved: Reserved,
        invalid: &[Reservation],
        io: &mut Io<'_>,
    ) {
        for reservation in invalid {
            let id = self.names.message(self.wall.unix_millis(io.now));
            let task = self.upkeep.reject(&self.prefix, &reserving.queue, reservation, &id);
            if let Some((task, commands)) = task {
                self.keep_up(task, commands, io);
            }
        }
        match reserving.command_id {
            Some(command_id) => {
                io.effects.push(Output::Executed(command_id, Ok(QueueReply::Reserved(reserved))));
            }
            None => self.give_back(&reserving, &reserved, io),
        }
    }

    fn give_back(&mut self, reserving: &Reserving, reserved: &Reserved, io: &mut Io<'_>) {
        let receipts: Vec<Receipt> =
            reserved.messages.iter().map(|message| message.receipt.clone()).collect();
        let reservations = encode::reservations(&receipts);
        // In reverse order, because each is put in front of the others.
        let release = |reservation: Reservation| {
            let holder = encode::Holder { reservation, next: None };
            encode::release(&reserving.keys, &holder, Duration::ZERO, false)
        };
        let commands: Vec<_> = reservations.into_iter().flatten().rev().map(release).collect();
        if !commands.is_empty() {
            self.keep_up(crate::queue::upkeep::Task::GiveBack, commands, io);
        }
    }
}

fn brought(reserving: &Reserving, answer: Value, io: &Io<'_>) -> Result<Brought, Fault> {
    let unique = reserving.unique.ok_or_else(odd)?;
    Decoder { address: io.effects.address() }.reserve(unique, answer)
}

/// Whether a fault of a wait is temporary.
fn is_passing(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::Unavailable)
}

fn end(reserving: &Reserving, answer: Result<Reserved, Fault>, io: &mut Io<'_>) {
    if let Some(command_id) = reserving.command_id {
        io.effects.push(Output::Executed(command_id, answer.map(QueueReply::Reserved)));
    }
}

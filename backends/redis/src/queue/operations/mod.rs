//! The operations in flight.

mod asked;
mod keeping;
mod reserving;

use std::collections::{BTreeMap, VecDeque};

use ivy_proto::backend::{CommandId, Output};
use ivy_proto::queue::{Fault, QueueOp, QueueReply};
use ivy_proto::{Moment, WallClock};
use redis::Value;

use super::decode::{Decoder, error_text};
use super::encode;
use super::exchange::Exchange;
use super::keys::Prefix;
use super::names::Names;
use super::refusal::{broken, is_read_only};
use super::touches::OpenTouches;
use super::upkeep::Upkeep;
use crate::connection::USUAL;
use crate::effects::Effects;
use crate::frame::Limits;
use crate::requests::{Answered, Request, RequestId, Requests, Unanswered};
use crate::waits::Waits;

use asked::Asked;
use reserving::{Reserving, Resting};

/// The environment of operations.
pub(crate) struct Io<'a> {
    pub(crate) requests: &'a mut Requests,
    pub(crate) waits: &'a mut Waits,
    pub(crate) effects: &'a mut Effects,
    pub(crate) now: Moment,
}

/// Operations, each of which is one request or several in sequence.
#[derive(Debug)]
pub(crate) struct Operations {
    prefix: Prefix,
    names: Names,
    wall: WallClock,
    touches: OpenTouches,
    upkeep: Upkeep,
    last_id: u64,
    in_flight: BTreeMap<RequestId, InFlight>,
    /// Reserves that pause before they retry.
    resting: VecDeque<Resting>,
    /// Waits without a caller, which the server must end once their client id is known.
    unwanted: Vec<RequestId>,
}

/// The purpose of a request.
#[derive(Debug)]
enum InFlight {
    /// An operation, whose caller may be gone.
    Operation { command_id: Option<CommandId>, asked: Asked, exchange: Exchange },
    /// A reserve that completes immediately.
    Reserve { reserving: Reserving, exchange: Exchange },
    /// A reserve for which the server waits.
    Wait { reserving: Reserving },
    /// Maintenance, which no caller waits for.
    Upkeep { task: super::upkeep::Task, exchange: Exchange },
}

impl Operations {
    /// No operations yet. The random bytes must be unique per session.
    pub(crate) fn new(prefix: Prefix, random: [u8; 16], wall: WallClock) -> Self {
        Operations {
            prefix,
            names: Names::new(random),
            wall,
            touches: OpenTouches::default(),
            upkeep: Upkeep::default(),
            last_id: 0,
            in_flight: BTreeMap::new(),
            resting: VecDeque::new(),
            unwanted: Vec::new(),
        }
    }

    /// Starts an operation.
    pub(crate) fn execute(&mut self, command_id: CommandId, op: QueueOp, io: &mut Io<'_>) {
        if let Some((task, commands)) = self.upkeep.at_start(&self.prefix) {
            self.keep_up(task, commands, io);
        }
        let op = match op {
            QueueOp::Reserve { queue, count, lease, wait } => {
                let keys = self.prefix.keys(&queue);
                let until = io.now + wait;
                let command_id = Some(command_id);
                let reserving =
                    Reserving { command_id, queue, keys, count, lease, until, unique: None };
                return self.reserve(reserving, io);
            }
            op => op,
        };
        match self.ask(op, io.now) {
            Ok((asked, commands)) => {
                let exchange = Exchange::new(commands);
                let id = self.send(&exchange, asked.limits(), io);
                let command_id = Some(command_id);
                self.in_flight.insert(id, InFlight::Operation { command_id, asked, exchange });
            }
            Err(answer) => io.effects.push(Output::Executed(command_id, *answer)),
        }
    }

    /// Cancels an operation whose caller is gone.
    pub(crate) fn cancel(&mut self, command_id: CommandId, io: &mut Io<'_>) {
        self.resting.retain(|resting| resting.reserving.command_id != Some(command_id));
        let is_this = |in_flight: &InFlight| in_flight.command_id() == Some(command_id);
        let found = self.in_flight.iter().find(|(_, in_flight)| is_this(in_flight));
        let Some(id) = found.map(|(id, _)| *id) else { return };
        if io.requests.cancel(id) || io.waits.cancel(id) {
            if let Some(InFlight::Operation { asked, .. }) = self.in_flight.remove(&id) {
                self.was_not_sent(&asked);
            }
            return;
        }
        match self.in_flight.get_mut(&id) {
            Some(InFlight::Operation { command_id, .. }) => *command_id = None,
            Some(InFlight::Reserve { reserving, .. }) => reserving.command_id = None,
            Some(InFlight::Wait { reserving }) => {
                reserving.command_id = None;
                self.unwanted.push(id);
                self.unblock(io);
            }
            Some(InFlight::Upkeep { .. }) | None => {}
        }
    }

    /// Handles all replies, and does what is due.
    pub(crate) fn proceed(&mut self, io: &mut Io<'_>) {
        self.resume(io);
        self.unblock(io);
        loop {
            let answered = io.requests.next_answered().or_else(|| io.waits.next_answered());
            let Some(Answered { id, answers }) = answered else { return };
            match answers {
                Ok(answers) => self.answered(id, answers, io),
                Err(unanswered) => self.unanswered(id, &unanswered, io),
            }
        }
    }

    pub(crate) fn wait_until(&self) -> Option<Moment> {
        self.resting.iter().map(|resting| resting.until).min()
    }

    fn answered(&mut self, id: RequestId, answers: Vec<Value>, io: &mut Io<'_>) {
        let Some(mut in_flight) = self.in_flight.remove(&id) else { return };
        let errors = answers.iter().filter_map(error_text);
        if in_flight.exchange().is_some() && errors.clone().any(|said| is_read_only(&said)) {
            io.requests.replace_connection(io.effects);
        }
        let limits = in_flight.limits();
        let answers = match in_flight.exchange() {
            None => answers,
            Some(exchange) => match exchange.answered(answers) {
                Some(answers) => answers,
                None => {
                    let id = self.send(exchange, limits, io);
                    self.in_flight.insert(id, in_flight);
                    return;
                }
            },
        };
        match in_flight {
            InFlight::Operation { command_id, asked, .. } => {
                self.replied(command_id, asked, answers, io)
            }
            InFlight::Reserve { reserving, .. } => self.reserved(reserving, answers, io),
            InFlight::Wait { reserving } => self.waited(reserving, answers, io),
            InFlight::Upkeep { task, .. } => self.kept_up(task, answers, io),
        }
    }

    fn unanswered(&mut self, id: RequestId, unanswered: &Unanswered, io: &mut Io<'_>) {
        let Some(in_flight) = self.in_flight.remove(&id) else { return };
        if let InFlight::Operation { asked, .. } = &in_flight
            && !unanswered.was_sent
        {
            self.was_not_sent(asked);
        }
        if let Some(command_id) = in_flight.command_id() {
            let fault = broken(&unanswered.broken, unanswered.was_sent, io.effects.address());
            io.effects.push(Output::Executed(command_id, Err(fault)));
        }
    }

    /// Handles the replies to an operation: it is complete, or continues with another request.
    fn replied(
        &mut self,
        command_id: Option<CommandId>,
        asked: Asked,
        answers: Vec<Value>,
        io: &mut Io<'_>,
    ) {
        let decoder = Decoder { address: io.effects.address() };
        let answer = match (asked, command_id) {
            (Asked::Search(keys, search), Some(command_id)) => {
                match decoder.search(&search, asked::only(answers)) {
                    Ok(Err(search)) => {
                        let exchange = Exchange::new([search.command(&keys)]);
                        let asked = Asked::Search(keys, search);
                        let id = self.send(&exchange, asked.limits(), io);
                        let command_id = Some(command_id);
                        self.in_flight
                            .insert(id, InFlight::Operation { command_id, asked, exchange });
                        return;
                    }
                    Ok(Ok(reply)) => Ok(reply),
                    Err(fault) => Err(fault),
                }
            }
            (asked, _) => self.read(asked, answers, &decoder),
        };
        if let Some(command_id) = command_id {
            io.effects.push(Output::Executed(command_id, answer));
        }
    }

    /// Ends the waits on the server that have no caller any more.
    fn unblock(&mut self, io: &mut Io<'_>) {
        if self.unwanted.is_empty() {
            return;
        }
        let mut clients = Vec::new();
        self.unwanted.retain(|id| {
            clients.extend(io.waits.client(*id));
            self.in_flight.contains_key(id) && io.waits.client(*id).is_none()
        });
        for client in clients {
            let exchange = Exchange::new([encode::unblock(client)]);
            self.send(&exchange, USUAL, io);
        }
    }

    /// Sends the pending commands of an exchange.
    fn send(&mut self, exchange: &Exchange, limits: Limits, io: &mut Io<'_>) -> RequestId {
        let id = self.next_id();
        let (commands, answers) = exchange.packed();
        io.requests.send(Request { id, commands, answers, limits }, io.effects, io.now);
        id
    }

    fn next_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }
}

impl InFlight {
    fn command_id(&self) -> Option<CommandId> {
        match self {
            InFlight::Operation { command_id, .. } => *command_id,
            InFlight::Reserve { reserving, .. } | InFlight::Wait { reserving } => {
                reserving.command_id
            }
            InFlight::Upkeep { .. } => None,
        }
    }

    fn exchange(&mut self) -> Option<&mut Exchange> {
        match self {
            InFlight::Operation { exchange, .. }
            | InFlight::Reserve { exchange, .. }
            | InFlight::Upkeep { exchange, .. } => Some(exchange),
            InFlight::Wait { .. } => None,
        }
    }

    fn limits(&self) -> Limits {
        match self {
            InFlight::Operation { asked, .. } => asked.limits(),
            InFlight::Reserve { .. } | InFlight::Wait { .. } => encode::MESSAGES,
            InFlight::Upkeep { .. } => USUAL,
        }
    }
}

/// The result of an operation that needs no request.
type AtOnce = Box<Result<QueueReply, Fault>>;

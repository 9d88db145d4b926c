//! The operations in flight.

mod maintenance;
mod pending_operation;
mod reserving;

use std::collections::{BTreeMap, VecDeque};

use ivy_proto::backend::{CommandId, Output};
use ivy_proto::queue::{Fault, QueueOp, QueueReply};
use ivy_proto::{Moment, WallClock};
use redis::Value;

use super::command_batch::CommandBatch;
use super::decode::{Decoder, SearchStep, error_text};
use super::encode;
use super::fault::{fault_of_redis_error, is_read_only};
use super::ids::IdGenerator;
use super::keys::Prefix;
use super::maintenance::Maintenance;
use super::next_due::NextDueReports;
use super::unconfirmed_touches::UnconfirmedTouches;
use crate::blocking_connections::BlockingConnections;
use crate::command_connection::{CompletedRequest, NoReply, Request, RequestId, Requests};
use crate::connection::DEFAULT_LIMITS;
use crate::effects::Effects;
use crate::frame::Limits;

use pending_operation::PendingOperation;
use reserving::{EarlyEnds, PausedReserve, Reserving};

/// What operations use: connections, outputs and the time.
pub(crate) struct Context<'a> {
    pub(crate) requests: &'a mut Requests,
    pub(crate) blocking: &'a mut BlockingConnections,
    pub(crate) effects: &'a mut Effects,
    pub(crate) now: Moment,
}

/// Operations, each of which is one request or several in sequence.
#[derive(Debug)]
pub(crate) struct Operations {
    prefix: Prefix,
    ids: IdGenerator,
    wall: WallClock,
    touches: UnconfirmedTouches,
    maintenance: Maintenance,
    next_due: NextDueReports,
    last_id: u64,
    in_flight: BTreeMap<RequestId, InFlight>,
    /// Reserves that pause before they retry.
    paused: VecDeque<PausedReserve>,
    /// Waits without a requester, which the server must end once their client id is known.
    abandoned_waits: Vec<RequestId>,
}

/// The purpose of a request.
#[derive(Debug)]
enum InFlight {
    /// An operation, whose requester may have been dropped.
    Operation { command_id: Option<CommandId>, operation: PendingOperation, batch: CommandBatch },
    /// A reserve that completes immediately.
    Reserve { reserving: Reserving, batch: CommandBatch },
    /// A reserve for which the server waits.
    Wait { reserving: Reserving },
    /// Maintenance, which no requester waits for.
    Maintenance { step: super::maintenance::MaintenanceStep, batch: CommandBatch },
}

impl Operations {
    /// No operations yet. The random bytes must be unique per session.
    pub(crate) fn new(prefix: Prefix, random: [u8; 16], wall: WallClock) -> Self {
        Operations {
            prefix,
            ids: IdGenerator::new(random),
            wall,
            touches: UnconfirmedTouches::default(),
            maintenance: Maintenance::default(),
            next_due: NextDueReports::default(),
            last_id: 0,
            in_flight: BTreeMap::new(),
            paused: VecDeque::new(),
            abandoned_waits: Vec::new(),
        }
    }

    /// Starts an operation.
    pub(crate) fn execute(
        &mut self,
        command_id: CommandId,
        op: QueueOp,
        context: &mut Context<'_>,
    ) {
        if let Some((step, commands)) = self.maintenance.at_start(&self.prefix) {
            self.start_maintenance(step, commands, context);
        }
        let op = match op {
            QueueOp::Reserve { queue, count, lease, wait } => {
                let keys = self.prefix.keys(&queue);
                let until = context.now + wait;
                let command_id = Some(command_id);
                let reserving = Reserving {
                    command_id,
                    queue,
                    keys,
                    count,
                    lease,
                    until,
                    reserve_id: None,
                    early_ends: EarlyEnds::default(),
                };
                return self.reserve(reserving, context);
            }
            op => op,
        };
        match self.begin(op, context.now) {
            Ok((operation, commands)) => {
                let batch = CommandBatch::new(commands);
                let id = self.send(&batch, operation.limits(), context);
                let command_id = Some(command_id);
                self.in_flight.insert(id, InFlight::Operation { command_id, operation, batch });
            }
            Err(result) => context.effects.push(Output::Executed(command_id, *result)),
        }
    }

    /// Cancels an operation whose requester has been dropped.
    pub(crate) fn cancel(&mut self, command_id: CommandId, context: &mut Context<'_>) {
        self.paused.retain(|paused| paused.reserving.command_id != Some(command_id));
        let is_this = |in_flight: &InFlight| in_flight.command_id() == Some(command_id);
        let found = self.in_flight.iter().find(|(_, in_flight)| is_this(in_flight));
        let Some(id) = found.map(|(id, _)| *id) else { return };
        if context.requests.cancel(id) || context.blocking.cancel(id) {
            if let Some(InFlight::Operation { operation, .. }) = self.in_flight.remove(&id) {
                self.on_not_sent(&operation);
            }
            return;
        }
        match self.in_flight.get_mut(&id) {
            Some(InFlight::Operation { command_id, .. }) => *command_id = None,
            Some(InFlight::Reserve { reserving, .. }) => reserving.command_id = None,
            Some(InFlight::Wait { reserving }) => {
                reserving.command_id = None;
                self.abandoned_waits.push(id);
                self.unblock(context);
            }
            Some(InFlight::Maintenance { .. }) | None => {}
        }
    }

    /// Handles all replies, and does what is due.
    pub(crate) fn proceed(&mut self, context: &mut Context<'_>) {
        self.resume(context);
        self.unblock(context);
        loop {
            let completed =
                context.requests.next_completed().or_else(|| context.blocking.next_completed());
            let Some(CompletedRequest { id, replies }) = completed else { break };
            match replies {
                Ok(replies) => self.on_replies(id, replies, context),
                Err(no_reply) => self.on_no_reply(id, &no_reply, context),
            }
        }
        self.list_again(context);
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        let paused = self.paused.iter().map(|paused| paused.until);
        paused.chain(self.maintenance.next_list()).min()
    }

    fn on_replies(&mut self, id: RequestId, replies: Vec<Value>, context: &mut Context<'_>) {
        let Some(mut in_flight) = self.in_flight.remove(&id) else { return };
        let errors = replies.iter().filter_map(error_text);
        if in_flight.batch().is_some() && errors.clone().any(|text| is_read_only(&text)) {
            context.requests.replace_connection(context.effects);
        }
        let limits = in_flight.limits();
        let replies = match in_flight.batch() {
            None => replies,
            Some(batch) => match batch.on_replies(replies) {
                Some(replies) => replies,
                None => {
                    let id = self.send(batch, limits, context);
                    self.in_flight.insert(id, in_flight);
                    return;
                }
            },
        };
        match in_flight {
            InFlight::Operation { command_id, operation, .. } => {
                self.on_operation_replies(command_id, operation, replies, context)
            }
            InFlight::Reserve { reserving, .. } => {
                self.on_reserve_replies(reserving, replies, context)
            }
            InFlight::Wait { reserving } => self.on_wait_replies(reserving, replies, context),
            InFlight::Maintenance { step, .. } => {
                self.on_maintenance_replies(step, replies, context)
            }
        }
    }

    fn on_no_reply(&mut self, id: RequestId, no_reply: &NoReply, context: &mut Context<'_>) {
        let Some(in_flight) = self.in_flight.remove(&id) else { return };
        self.next_due.clear();
        if let InFlight::Operation { operation, .. } = &in_flight
            && !no_reply.was_sent
        {
            self.on_not_sent(operation);
        }
        if let Some(command_id) = in_flight.command_id() {
            let fault =
                fault_of_redis_error(&no_reply.error, no_reply.was_sent, context.effects.address());
            context.effects.push(Output::Executed(command_id, Err(fault)));
        }
    }

    /// Handles the replies to an operation: it is complete, or continues with another request.
    fn on_operation_replies(
        &mut self,
        command_id: Option<CommandId>,
        operation: PendingOperation,
        replies: Vec<Value>,
        context: &mut Context<'_>,
    ) {
        let decoder = Decoder { address: context.effects.address() };
        let result = match (operation, command_id) {
            (PendingOperation::Search(keys, search), Some(command_id)) => {
                match decoder.search(&search, pending_operation::single_reply(replies)) {
                    Ok(SearchStep::Continue(search)) => {
                        let batch = CommandBatch::new([search.command(&keys)]);
                        let operation = PendingOperation::Search(keys, search);
                        let id = self.send(&batch, operation.limits(), context);
                        let command_id = Some(command_id);
                        self.in_flight
                            .insert(id, InFlight::Operation { command_id, operation, batch });
                        return;
                    }
                    Ok(SearchStep::Found(reply)) => Ok(reply),
                    Err(fault) => Err(fault),
                }
            }
            (PendingOperation::QueueNames(page), Some(command_id)) => {
                let names = decoder.queue_names(pending_operation::single_reply(replies));
                match names.and_then(|names| page.add(names, &self.prefix)) {
                    Ok(Err(page)) => {
                        let batch = CommandBatch::new([page.command(&self.prefix)]);
                        let operation = PendingOperation::QueueNames(page);
                        let id = self.send(&batch, operation.limits(), context);
                        let command_id = Some(command_id);
                        self.in_flight
                            .insert(id, InFlight::Operation { command_id, operation, batch });
                        return;
                    }
                    Ok(Ok(reply)) => Ok(reply),
                    Err(fault) => Err(fault),
                }
            }
            (operation, _) => self.decode(operation, replies, &decoder, context.now),
        };
        if let Some(command_id) = command_id {
            context.effects.push(Output::Executed(command_id, result));
        }
    }

    /// Ends the waits on the server that have no requester any more.
    fn unblock(&mut self, context: &mut Context<'_>) {
        if self.abandoned_waits.is_empty() {
            return;
        }
        let mut clients = Vec::new();
        self.abandoned_waits.retain(|id| {
            clients.extend(context.blocking.client(*id));
            self.in_flight.contains_key(id) && context.blocking.client(*id).is_none()
        });
        for client in clients {
            let batch = CommandBatch::new([encode::unblock(client)]);
            self.send(&batch, DEFAULT_LIMITS, context);
        }
    }

    /// Sends the pending commands of a batch.
    fn send(
        &mut self,
        batch: &CommandBatch,
        limits: Limits,
        context: &mut Context<'_>,
    ) -> RequestId {
        let id = self.next_id();
        let (commands, reply_count) = batch.encode();
        context.requests.send(
            Request { id, commands, reply_count, limits },
            context.effects,
            context.now,
        );
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
            InFlight::Maintenance { .. } => None,
        }
    }

    fn batch(&mut self) -> Option<&mut CommandBatch> {
        match self {
            InFlight::Operation { batch, .. }
            | InFlight::Reserve { batch, .. }
            | InFlight::Maintenance { batch, .. } => Some(batch),
            InFlight::Wait { .. } => None,
        }
    }

    fn limits(&self) -> Limits {
        match self {
            InFlight::Operation { operation, .. } => operation.limits(),
            InFlight::Reserve { .. } | InFlight::Wait { .. } => encode::MESSAGE_LIMITS,
            InFlight::Maintenance { .. } => DEFAULT_LIMITS,
        }
    }
}

/// The result of an operation that needs no request.
type ImmediateResult = Box<Result<QueueReply, Fault>>;

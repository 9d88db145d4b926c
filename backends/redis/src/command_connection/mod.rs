//! The connection for everything with an immediate reply: publications, and requests of a queue.
//!
//! There is one current connection, perhaps one that is being opened, and those that were replaced
//! while replies were in flight.

mod connection_replacement;
mod pipeline;
mod request;

use std::collections::VecDeque;

use ivy_proto::Moment;
use ivy_proto::backend::{CommandId, ConnectionId, LinkFault, LinkFaultKind, Output};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::{NotifyFaultKind, Publication};
use redis::Value;

use crate::connection::{ConnectionStep, DEFAULT_LIMITS, RespConnection};
use crate::effects::Effects;
use crate::error_reply::{RedisError, publish_error};
use crate::frame::Limits;
use crate::queue::{Command, ScriptRef};

use connection_replacement::{ConnectionReplacement, Generation, ReplacementStep};
use pipeline::{Opening, Pipeline, Sent};

pub(crate) use request::{CompletedRequest, NoReply, Request, RequestId};

/// Sends requests in order of arrival, on the connections that [`ConnectionReplacement`] decides on.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    replacement: ConnectionReplacement,
    current: Option<Pipeline>,
    opening: Option<Opening>,
    replaced: Vec<Pipeline>,
    outgoing: VecDeque<Outgoing>,
    completed: VecDeque<CompletedRequest>,
}

/// An item that waits to be sent.
#[derive(Debug)]
enum Outgoing {
    Publishing(Publishing),
    Request(Request),
}

/// A publication.
#[derive(Debug)]
struct Publishing {
    command_id: CommandId,
    publication: Publication,
    /// Whether it had no subscriber the first time.
    is_repeated: bool,
}

impl Requests {
    pub(crate) fn publish(
        &mut self,
        command_id: CommandId,
        publication: Publication,
        effects: &mut Effects,
        now: Moment,
    ) {
        let publishing = Publishing { command_id, publication, is_repeated: false };
        self.outgoing.push_back(Outgoing::Publishing(publishing));
        self.proceed(effects, now);
    }

    /// Sends a request, which completes once through [`next_completed`](Requests::next_completed).
    pub(crate) fn send(&mut self, request: Request, effects: &mut Effects, now: Moment) {
        self.outgoing.push_back(Outgoing::Request(request));
        self.proceed(effects, now);
    }

    pub(crate) fn next_completed(&mut self) -> Option<CompletedRequest> {
        self.completed.pop_front()
    }

    /// Cancels a publication. One that was already sent is still published.
    pub(crate) fn cancel_publishing(&mut self, command_id: CommandId) {
        self.outgoing.retain(
            |item| !matches!(item, Outgoing::Publishing(publishing) if publishing.command_id == command_id),
        );
    }

    /// Cancels a request. Returns whether it was not sent, and will not be.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        let before = self.outgoing.len();
        self.outgoing
            .retain(|item| !matches!(item, Outgoing::Request(request) if request.id == id));
        self.outgoing.len() < before
    }

    /// The server's name may resolve to another one by now: the next request opens a connection.
    pub(crate) fn replace_connection(&mut self, effects: &mut Effects) {
        if let Some(pipeline) = self.current.take() {
            self.replaced.push(pipeline);
            self.replacement.lost();
        }
        self.close_idle_replaced(effects);
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        let deadlines = self.pipelines().filter_map(Pipeline::deadline);
        deadlines.chain(self.opening.as_ref().map(|opening| opening.until)).min()
    }

    /// The connection with this id, if it is one of these.
    pub(crate) fn connection(
        &mut self,
        connection_id: ConnectionId,
    ) -> Option<&mut RespConnection> {
        self.connection_with_limits(connection_id).map(|(connection, _)| connection)
    }

    /// Handles bytes that arrived on a connection.
    pub(crate) fn advance(
        &mut self,
        connection_id: ConnectionId,
        effects: &mut Effects,
        now: Moment,
    ) {
        while let Some((connection, limits)) = self.connection_with_limits(connection_id) {
            match connection.next_step(&limits) {
                Ok(ConnectionStep::Wait) => break,
                Ok(ConnectionStep::Send(command)) => effects.send(connection_id, command),
                Ok(ConnectionStep::Ready { ignores_user }) => {
                    effects.handshake_accepted(ignores_user);
                    self.opened(effects, now);
                }
                Ok(ConnectionStep::Reply(value)) => {
                    self.on_reply(connection_id, value, effects, now)
                }
                Err(broken) => {
                    if self.pipeline(connection_id).is_some() {
                        effects.protocol_errors.record(&broken, now);
                    }
                    self.fail(connection_id, &broken, effects, now);
                }
            }
        }
        self.close_idle_replaced(effects);
        self.proceed(effects, now);
    }

    pub(crate) fn closed(
        &mut self,
        connection_id: ConnectionId,
        fault: &LinkFault,
        effects: &mut Effects,
        now: Moment,
    ) {
        let is_opening =
            self.opening.as_ref().is_some_and(|opening| opening.connection_id == connection_id);
        let kind = match fault.kind() {
            LinkFaultKind::Tls => NotifyFaultKind::Tls,
            _ if is_opening => NotifyFaultKind::Unreachable,
            _ => NotifyFaultKind::ConnectionLost,
        };
        if let Some(connection) = self.connection(connection_id) {
            let broken = connection.fault(kind, fault);
            self.lost(connection_id, &broken, effects, now);
            self.proceed(effects, now);
        }
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects, now: Moment) {
        if let Some(opening) = &self.opening
            && opening.until <= now
        {
            let detail = "it does not respond in time";
            let broken = opening.connection.fault(NotifyFaultKind::Unreachable, &detail);
            self.fail(opening.connection_id, &broken, effects, now);
        }
        let late: Vec<ConnectionId> = self
            .pipelines()
            .filter(|pipeline| pipeline.deadline().is_some_and(|until| until <= now))
            .map(|pipeline| pipeline.connection_id)
            .collect();
        for connection_id in late {
            if let Some(connection) = self.connection(connection_id) {
                let detail = "it did not respond in time";
                let broken = connection.fault(NotifyFaultKind::ConnectionLost, &detail);
                self.fail(connection_id, &broken, effects, now);
            }
        }
        self.proceed(effects, now);
    }

    /// Does the next step for the requests that wait to be sent.
    fn proceed(&mut self, effects: &mut Effects, now: Moment) {
        while !self.outgoing.is_empty() {
            let limit = match (self.replacement.next_step(now), &mut self.current) {
                (ReplacementStep::Send(generation), Some(pipeline)) => {
                    let mut commands = Vec::new();
                    for item in self.outgoing.drain(..) {
                        pipeline.sent(pack(item, generation, &mut commands), now);
                    }
                    effects.send(pipeline.connection_id, commands);
                    return;
                }
                (ReplacementStep::Probe(probe), Some(pipeline)) => {
                    if !pipeline.is_probed() {
                        effects.send(pipeline.connection_id, probe.command().get_packed_command());
                        pipeline.sent(Sent::ServerProbe(probe), now);
                    }
                    return;
                }
                (ReplacementStep::Replace { limit }, _) => limit,
                (ReplacementStep::Open, _) => {
                    if let Some(broken) = effects.protocol_errors.refusal(now) {
                        return self.fail_outgoing(&broken, effects);
                    }
                    CONNECT_LIMIT
                }
                (ReplacementStep::Send(_) | ReplacementStep::Probe(_), None) => {
                    self.replacement.lost();
                    continue;
                }
            };
            if self.opening.is_none() {
                self.opening = Some(Opening::start(limit, effects, now));
            }
            return;
        }
    }

    /// The connection that was being opened becomes the current one.
    fn opened(&mut self, effects: &mut Effects, now: Moment) {
        let Some(opening) = self.opening.take() else { return };
        self.replaced.extend(self.current.replace(opening.opened()));
        self.replacement.opened(now);
        self.close_idle_replaced(effects);
    }

    fn on_reply(
        &mut self,
        connection_id: ConnectionId,
        value: Value,
        effects: &mut Effects,
        now: Moment,
    ) {
        let Some(pipeline) = self.pipeline(connection_id) else { return };
        match pipeline.pop() {
            Some(Sent::Publishing(publishing, generation)) => {
                self.published(connection_id, publishing, generation, &value, effects, now);
            }
            Some(Sent::Request(request, mut replies)) => {
                replies.push(value);
                if replies.len() < request.reply_count {
                    pipeline.push_front(Sent::Request(request, replies), now);
                } else {
                    self.completed
                        .push_back(CompletedRequest { id: request.id, replies: Ok(replies) });
                }
            }
            Some(Sent::ServerProbe(probe)) => {
                self.replacement.on_probe_reply(probe.read(&value), now)
            }
            None => self.fail_unexpected(connection_id, effects, now),
        }
    }

    fn published(
        &mut self,
        connection_id: ConnectionId,
        publishing: Publishing,
        generation: Generation,
        value: &Value,
        effects: &mut Effects,
        now: Moment,
    ) {
        match value {
            Value::Int(0) if self.should_repeat(&publishing, generation, now) => {
                let repeated = Publishing { is_repeated: true, ..publishing };
                self.outgoing.push_front(Outgoing::Publishing(repeated));
            }
            Value::Int(receivers) if *receivers >= 0 => {
                let receivers = receivers.unsigned_abs();
                effects.push(Output::Published(publishing.command_id, Ok(receivers)));
            }
            Value::ServerError(error) => {
                let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
                let channels = std::slice::from_ref(&publishing.publication.channel);
                let published = publishing.publication.payload.as_str();
                let broken = publish_error(text.trim_end(), effects.address(), channels, published);
                effects.push(Output::Published(publishing.command_id, Err(broken.into())));
                // Another connection may lead to a server that accepts it.
                if self
                    .current
                    .as_ref()
                    .is_some_and(|pipeline| pipeline.connection_id == connection_id)
                {
                    self.replace_connection(effects);
                }
            }
            _ => {
                if let Some(pipeline) = self.pipeline(connection_id) {
                    pipeline.push_front(Sent::Publishing(publishing, generation), now);
                }
                self.fail_unexpected(connection_id, effects, now);
            }
        }
    }

    fn should_repeat(
        &mut self,
        publishing: &Publishing,
        generation: Generation,
        now: Moment,
    ) -> bool {
        let channel = &publishing.publication.channel;
        !publishing.is_repeated && self.replacement.on_no_subscriber(generation, channel, now)
    }

    /// Fails a connection whose reply no request asked for: its further replies may be wrong as well.
    fn fail_unexpected(&mut self, connection_id: ConnectionId, effects: &mut Effects, now: Moment) {
        if let Some(connection) = self.connection(connection_id) {
            let detail = "its reply does not match the command";
            let broken = connection.fault(NotifyFaultKind::ConnectionLost, &detail);
            effects.protocol_errors.record(&broken, now);
            self.fail(connection_id, &broken, effects, now);
        }
    }

    /// Closes an unusable connection.
    fn fail(
        &mut self,
        connection_id: ConnectionId,
        broken: &RedisError,
        effects: &mut Effects,
        now: Moment,
    ) {
        effects.close(connection_id);
        self.lost(connection_id, broken, effects, now);
    }

    /// Fails the requests in flight on a lost connection.
    fn lost(
        &mut self,
        connection_id: ConnectionId,
        broken: &RedisError,
        effects: &mut Effects,
        now: Moment,
    ) {
        if self.opening.as_ref().is_some_and(|opening| opening.connection_id == connection_id) {
            self.opening = None;
            if self.current.is_some() {
                tracing::debug!(detail = broken.detail, "the connection was not replaced");
                self.replacement.replacement_failed(now);
            } else {
                self.fail_outgoing(broken, effects);
            }
            return;
        }
        let is_current =
            self.current.as_ref().is_some_and(|pipeline| pipeline.connection_id == connection_id);
        let pipeline = if is_current {
            self.current.take()
        } else {
            let position =
                self.replaced.iter().position(|pipeline| pipeline.connection_id == connection_id);
            position.map(|position| self.replaced.swap_remove(position))
        };
        let mut was_probed = false;
        for sent in pipeline.into_iter().flat_map(Pipeline::into_in_flight) {
            let item = match sent {
                Sent::Publishing(publishing, _) => Outgoing::Publishing(publishing),
                Sent::Request(request, _) => Outgoing::Request(request),
                Sent::ServerProbe(_) => {
                    was_probed = true;
                    continue;
                }
            };
            self.fail_item(item, broken, true, effects);
        }
        if !is_current {
            return;
        }
        if was_probed {
            return self.replacement.on_lost_before_probe_reply();
        }
        self.replacement.lost();
        // The next connection may end in the same way, before anything is sent on it.
        if self.opening.is_none() {
            self.fail_outgoing(broken, effects);
        }
    }

    /// Fails everything that was not sent.
    fn fail_outgoing(&mut self, broken: &RedisError, effects: &mut Effects) {
        for item in std::mem::take(&mut self.outgoing) {
            self.fail_item(item, broken, false, effects);
        }
    }

    fn fail_item(
        &mut self,
        item: Outgoing,
        broken: &RedisError,
        was_sent: bool,
        effects: &mut Effects,
    ) {
        match item {
            Outgoing::Publishing(Publishing { command_id, .. }) => {
                let mut broken = broken.clone();
                if !was_sent && broken.kind == NotifyFaultKind::ConnectionLost {
                    // It was certainly not published.
                    broken.kind = NotifyFaultKind::Unreachable;
                }
                effects.push(Output::Published(command_id, Err(broken.into())));
            }
            Outgoing::Request(Request { id, .. }) => {
                let replies = Err(NoReply { error: broken.clone(), was_sent });
                self.completed.push_back(CompletedRequest { id, replies });
            }
        }
    }

    /// Closes the replaced connections on which no reply is outstanding.
    fn close_idle_replaced(&mut self, effects: &mut Effects) {
        self.replaced.retain(|pipeline| {
            if pipeline.is_idle() {
                effects.close(pipeline.connection_id);
            }
            !pipeline.is_idle()
        });
    }

    fn pipelines(&self) -> impl Iterator<Item = &Pipeline> {
        self.current.iter().chain(&self.replaced)
    }

    fn pipeline(&mut self, connection_id: ConnectionId) -> Option<&mut Pipeline> {
        self.current
            .iter_mut()
            .chain(&mut self.replaced)
            .find(|pipeline| pipeline.connection_id == connection_id)
    }

    /// A connection, and the limits of its next reply.
    fn connection_with_limits(
        &mut self,
        connection_id: ConnectionId,
    ) -> Option<(&mut RespConnection, Limits)> {
        if self.opening.as_ref().is_some_and(|opening| opening.connection_id == connection_id) {
            return self.opening.as_mut().map(|opening| (&mut opening.connection, DEFAULT_LIMITS));
        }
        let pipeline = self.pipeline(connection_id)?;
        let limits = pipeline.next_limits();
        Some((&mut pipeline.connection, limits))
    }
}

/// Appends the commands of an item to those that are sent together.
fn pack(item: Outgoing, generation: Generation, commands: &mut Vec<u8>) -> Sent {
    match item {
        Outgoing::Publishing(publishing) => {
            let Publication { channel, payload } = &publishing.publication;
            let size = channel.as_str().len() + payload.as_str().len();
            let command = Command::new("PUBLISH").with_room(2, size);
            command.arg(channel.as_str()).arg(payload.as_str()).write(ScriptRef::Hash, commands);
            Sent::Publishing(publishing, generation)
        }
        Outgoing::Request(mut request) => {
            let mut packed = std::mem::take(&mut request.commands);
            if commands.is_empty() {
                *commands = packed;
            } else {
                commands.append(&mut packed);
            }
            Sent::Request(request, Vec::new())
        }
    }
}

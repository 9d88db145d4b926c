//! The connection for everything with an immediate reply: publications, and requests of a queue.
//!
//! There is one current connection, perhaps one that is being opened, and those that were replaced
//! while replies were in flight.

mod link;
mod renewal;
mod request;

use std::collections::VecDeque;

use ivy_proto::Moment;
use ivy_proto::backend::{CommandId, ConnectionId, LinkFault, LinkFaultKind, Output};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::{NotifyFaultKind, Publication};
use redis::Value;

use crate::connection::{ConnectionStep, RespConnection, USUAL};
use crate::effects::Effects;
use crate::frame::Limits;
use crate::refusal::{Broken, refusal_of};

use link::{Link, Opening, Sent};
use renewal::{Generation, Renewal, RenewalStep as Next};

pub(crate) use request::{Answered, Request, RequestId, Unanswered};

/// Sends requests in order of arrival, on the connections that [`Renewal`] decides on.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    decision: Renewal,
    current: Option<Link>,
    opening: Option<Opening>,
    replaced: Vec<Link>,
    waiting: VecDeque<Order>,
    answered: VecDeque<Answered>,
}

/// Something to send.
#[derive(Debug)]
enum Order {
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
        self.waiting.push_back(Order::Publishing(publishing));
        self.proceed(effects, now);
    }

    /// Sends a request, which completes once through [`next_answered`](Requests::next_answered).
    pub(crate) fn send(&mut self, request: Request, effects: &mut Effects, now: Moment) {
        self.waiting.push_back(Order::Request(request));
        self.proceed(effects, now);
    }

    pub(crate) fn next_answered(&mut self) -> Option<Answered> {
        self.answered.pop_front()
    }

    /// Cancels a publication. One that was already sent is still published.
    pub(crate) fn cancel_publishing(&mut self, command_id: CommandId) {
        self.waiting.retain(
            |order| !matches!(order, Order::Publishing(publishing) if publishing.command_id == command_id),
        );
    }

    /// Cancels a request. Returns whether it was not sent, and will not be.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|order| !matches!(order, Order::Request(request) if request.id == id));
        self.waiting.len() < before
    }

    /// The server's name may resolve to another one by now: the next request opens a connection.
    pub(crate) fn replace_connection(&mut self, effects: &mut Effects) {
        if let Some(link) = self.current.take() {
            self.replaced.push(link);
            self.decision.lost();
        }
        self.close_what_is_done(effects);
    }

    pub(crate) fn wait_until(&self) -> Option<Moment> {
        let answers = self.links().filter_map(Link::wait_until);
        answers.chain(self.opening.as_ref().map(|opening| opening.until)).min()
    }

    /// The connection with this id, if it is one of these.
    pub(crate) fn connection(
        &mut self,
        connection_id: ConnectionId,
    ) -> Option<&mut RespConnection> {
        self.conversing(connection_id).map(|(connection, _)| connection)
    }

    /// Handles bytes that arrived on a connection.
    pub(crate) fn advance(
        &mut self,
        connection_id: ConnectionId,
        effects: &mut Effects,
        now: Moment,
    ) {
        while let Some((connection, expected)) = self.conversing(connection_id) {
            match connection.next_step(&expected) {
                Ok(ConnectionStep::Wait) => break,
                Ok(ConnectionStep::Send(command)) => effects.send(connection_id, command),
                Ok(ConnectionStep::Ready { ignores_user }) => {
                    effects.greeted(ignores_user);
                    self.opened(effects, now);
                }
                Ok(ConnectionStep::Reply(value)) => self.said(connection_id, value, effects, now),
                Err(broken) => self.fail(connection_id, &broken, effects, now),
            }
        }
        self.close_what_is_done(effects);
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
            let late = "it does not respond in time";
            let broken = opening.connection.fault(NotifyFaultKind::Unreachable, &late);
            self.fail(opening.connection_id, &broken, effects, now);
        }
        let late: Vec<ConnectionId> = self
            .links()
            .filter(|link| link.wait_until().is_some_and(|until| until <= now))
            .map(|link| link.connection_id)
            .collect();
        for connection_id in late {
            if let Some(connection) = self.connection(connection_id) {
                let late = "it did not respond in time";
                let broken = connection.fault(NotifyFaultKind::ConnectionLost, &late);
                self.fail(connection_id, &broken, effects, now);
            }
        }
        self.proceed(effects, now);
    }

    /// Does the next step for the requests that wait to be sent.
    fn proceed(&mut self, effects: &mut Effects, now: Moment) {
        while !self.waiting.is_empty() {
            let limit = match (self.decision.next_step(now), &mut self.current) {
                (Next::Send(generation), Some(link)) => {
                    let mut commands = Vec::new();
                    for order in self.waiting.drain(..) {
                        link.sent(pack(order, generation, &mut commands), now);
                    }
                    effects.send(link.connection_id, commands);
                    return;
                }
                (Next::Ask(probe), Some(link)) => {
                    if !link.is_asked() {
                        effects.send(link.connection_id, probe.command().get_packed_command());
                        link.sent(Sent::ServerProbe(probe), now);
                    }
                    return;
                }
                (Next::Renew { limit }, _) => limit,
                (Next::Open, _) => CONNECT_LIMIT,
                (Next::Send(_) | Next::Ask(_), None) => {
                    self.decision.lost();
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
        self.decision.opened(now);
        self.close_what_is_done(effects);
    }

    fn said(
        &mut self,
        connection_id: ConnectionId,
        value: Value,
        effects: &mut Effects,
        now: Moment,
    ) {
        let Some(link) = self.link(connection_id) else { return };
        match link.pop() {
            Some(Sent::Publishing(publishing, generation)) => {
                self.published(connection_id, publishing, generation, &value, effects, now);
            }
            Some(Sent::Request(request, mut answers)) => {
                answers.push(value);
                if answers.len() < request.answers {
                    link.push_back_first(Sent::Request(request, answers), now);
                } else {
                    self.answered.push_back(Answered { id: request.id, answers: Ok(answers) });
                }
            }
            Some(Sent::ServerProbe(probe)) => self.decision.on_probe_reply(probe.read(&value), now),
            None => self.unasked(connection_id, effects, now),
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
            Value::Int(0) if self.is_to_be_repeated(&publishing, generation, now) => {
                let again = Publishing { is_repeated: true, ..publishing };
                self.waiting.push_front(Order::Publishing(again));
            }
            Value::Int(receivers) if *receivers >= 0 => {
                let receivers = receivers.unsigned_abs();
                effects.push(Output::Published(publishing.command_id, Ok(receivers)));
            }
            Value::ServerError(error) => {
                let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
                let channels = std::slice::from_ref(&publishing.publication.channel);
                let published = publishing.publication.payload.as_str();
                let broken = refusal_of(said.trim_end(), effects.address(), channels, published);
                effects.push(Output::Published(publishing.command_id, Err(broken.into())));
                // Another connection may lead to a server that accepts it.
                if self.current.as_ref().is_some_and(|link| link.connection_id == connection_id) {
                    self.replace_connection(effects);
                }
            }
            _ => {
                if let Some(link) = self.link(connection_id) {
                    link.push_back_first(Sent::Publishing(publishing, generation), now);
                }
                self.unasked(connection_id, effects, now);
            }
        }
    }

    fn is_to_be_repeated(
        &mut self,
        publishing: &Publishing,
        generation: Generation,
        now: Moment,
    ) -> bool {
        let channel = &publishing.publication.channel;
        !publishing.is_repeated && self.decision.on_no_receiver(generation, channel, now)
    }

    /// A reply arrived without a request: all further replies are suspect.
    fn unasked(&mut self, connection_id: ConnectionId, effects: &mut Effects, now: Moment) {
        if let Some(connection) = self.connection(connection_id) {
            let unasked = "its reply does not match the command";
            let broken = connection.fault(NotifyFaultKind::ConnectionLost, &unasked);
            self.fail(connection_id, &broken, effects, now);
        }
    }

    /// Closes an unusable connection.
    fn fail(
        &mut self,
        connection_id: ConnectionId,
        broken: &Broken,
        effects: &mut Effects,
        now: Moment,
    ) {
        effects.close(connection_id);
        self.lost(connection_id, broken, effects, now);
    }

    /// A connection is lost.
    fn lost(
        &mut self,
        connection_id: ConnectionId,
        broken: &Broken,
        effects: &mut Effects,
        now: Moment,
    ) {
        if self.opening.as_ref().is_some_and(|opening| opening.connection_id == connection_id) {
            self.opening = None;
            if self.current.is_some() {
                tracing::debug!(detail = broken.detail, "the connection was not replaced");
                self.decision.renewal_failed(now);
            } else {
                for order in std::mem::take(&mut self.waiting) {
                    self.on_lost_before_probe_reply(order, broken, false, effects);
                }
            }
            return;
        }
        let is_current =
            self.current.as_ref().is_some_and(|link| link.connection_id == connection_id);
        let link = if is_current {
            self.current.take()
        } else {
            let place = self.replaced.iter().position(|link| link.connection_id == connection_id);
            place.map(|place| self.replaced.swap_remove(place))
        };
        let mut was_asked = false;
        for sent in link.into_iter().flat_map(Link::into_unanswered) {
            let order = match sent {
                Sent::Publishing(publishing, _) => Order::Publishing(publishing),
                Sent::Request(request, _) => Order::Request(request),
                Sent::ServerProbe(_) => {
                    was_asked = true;
                    continue;
                }
            };
            self.on_lost_before_probe_reply(order, broken, true, effects);
        }
        if is_current && was_asked {
            self.decision.on_lost_before_probe_reply();
        } else if is_current {
            self.decision.lost();
        }
    }

    fn on_lost_before_probe_reply(
        &mut self,
        order: Order,
        broken: &Broken,
        was_sent: bool,
        effects: &mut Effects,
    ) {
        match order {
            Order::Publishing(Publishing { command_id, .. }) => {
                effects.push(Output::Published(command_id, Err(broken.clone().into())));
            }
            Order::Request(Request { id, .. }) => {
                let answers = Err(Unanswered { broken: broken.clone(), was_sent });
                self.answered.push_back(Answered { id, answers });
            }
        }
    }

    /// Closes the replaced connections on which no reply is outstanding.
    fn close_what_is_done(&mut self, effects: &mut Effects) {
        self.replaced.retain(|link| {
            if link.is_idle() {
                effects.close(link.connection_id);
            }
            !link.is_idle()
        });
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.current.iter().chain(&self.replaced)
    }

    fn link(&mut self, connection_id: ConnectionId) -> Option<&mut Link> {
        self.current
            .iter_mut()
            .chain(&mut self.replaced)
            .find(|link| link.connection_id == connection_id)
    }

    /// A connection, and the limits of its next reply.
    fn conversing(&mut self, connection_id: ConnectionId) -> Option<(&mut RespConnection, Limits)> {
        if self.opening.as_ref().is_some_and(|opening| opening.connection_id == connection_id) {
            return self.opening.as_mut().map(|opening| (&mut opening.connection, USUAL));
        }
        let link = self.link(connection_id)?;
        let expected = link.expected();
        Some((&mut link.connection, expected))
    }
}

/// Appends something to the commands that are sent with it.
fn pack(order: Order, generation: Generation, commands: &mut Vec<u8>) -> Sent {
    match order {
        Order::Publishing(publishing) => {
            let Publication { channel, payload } = &publishing.publication;
            let command = redis::cmd("PUBLISH").arg(channel.as_str()).arg(payload.as_str()).take();
            command.write_packed_command(commands);
            Sent::Publishing(publishing, generation)
        }
        Order::Request(mut request) => {
            commands.append(&mut request.commands);
            Sent::Request(request, Vec::new())
        }
    }
}

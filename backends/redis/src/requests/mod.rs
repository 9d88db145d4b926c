//! The connection for whatever is answered at once: publications, and requests of a queue.
//!
//! There is one that stands, perhaps one that is being opened, and those that were replaced while answers
//! were on their way.

mod link;
mod renewal;
mod request;

use std::collections::VecDeque;

use ivy_proto::Moment;
use ivy_proto::backend::{CommandId, ConnectionId, LinkFault, LinkFaultKind, Output};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::{NotifyFaultKind, Publication};
use redis::Value;

use crate::conversation::{Conversation, Step, USUAL};
use crate::effects::Effects;
use crate::frame::Limits;
use crate::refusal::{Broken, refusal_of};

use link::{Link, Opening, Sent};
use renewal::{Generation, Renewal, Step as Next};

pub(crate) use request::{Answered, Request, RequestId, Unanswered};

/// Sends requests in the order in which they came, as [`Renewal`] decides on the connections.
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

/// Something to publish.
#[derive(Debug)]
struct Publishing {
    command_id: CommandId,
    publication: Publication,
    /// Whether nobody heard it the first time.
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

    /// Sends a request, which is answered once through [`next_answered`](Requests::next_answered).
    pub(crate) fn send(&mut self, request: Request, effects: &mut Effects, now: Moment) {
        self.waiting.push_back(Order::Request(request));
        self.proceed(effects, now);
    }

    pub(crate) fn next_answered(&mut self) -> Option<Answered> {
        self.answered.pop_front()
    }

    /// What was sent already is published all the same.
    pub(crate) fn cancel_publishing(&mut self, command_id: CommandId) {
        self.waiting.retain(
            |order| !matches!(order, Order::Publishing(publishing) if publishing.command_id == command_id),
        );
    }

    /// Returns whether it was not sent, and is not sent any more.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|order| !matches!(order, Order::Request(request) if request.id == id));
        self.waiting.len() < before
    }

    /// The name of the server may lead to another one by now: the next request opens a connection.
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

    /// The conversation on this line, if it is one of these.
    pub(crate) fn conversation(&mut self, line: ConnectionId) -> Option<&mut Conversation> {
        self.conversing(line).map(|(conversation, _)| conversation)
    }

    /// Takes in what has arrived on a line.
    pub(crate) fn advance(&mut self, line: ConnectionId, effects: &mut Effects, now: Moment) {
        while let Some((conversation, expected)) = self.conversing(line) {
            match conversation.next_step(&expected) {
                Ok(Step::Wait) => break,
                Ok(Step::Say(command)) => effects.send(line, command),
                Ok(Step::Ready { ignores_user }) => {
                    effects.greeted(ignores_user);
                    self.opened(effects, now);
                }
                Ok(Step::Said(value)) => self.said(line, value, effects, now),
                Err(broken) => self.fail(line, &broken, effects, now),
            }
        }
        self.close_what_is_done(effects);
        self.proceed(effects, now);
    }

    pub(crate) fn closed(
        &mut self,
        line: ConnectionId,
        fault: &LinkFault,
        effects: &mut Effects,
        now: Moment,
    ) {
        let is_opening = self.opening.as_ref().is_some_and(|opening| opening.line == line);
        let kind = match fault.kind() {
            LinkFaultKind::Tls => NotifyFaultKind::Tls,
            _ if is_opening => NotifyFaultKind::Unreachable,
            _ => NotifyFaultKind::ConnectionLost,
        };
        if let Some(conversation) = self.conversation(line) {
            let broken = conversation.fault(kind, fault);
            self.lost(line, &broken, effects, now);
            self.proceed(effects, now);
        }
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects, now: Moment) {
        if let Some(opening) = &self.opening
            && opening.until <= now
        {
            let late = "it does not answer in time";
            let broken = opening.conversation.fault(NotifyFaultKind::Unreachable, &late);
            self.fail(opening.line, &broken, effects, now);
        }
        let late: Vec<ConnectionId> = self
            .links()
            .filter(|link| link.wait_until().is_some_and(|until| until <= now))
            .map(|link| link.line)
            .collect();
        for line in late {
            if let Some(conversation) = self.conversation(line) {
                let late = "it did not answer in time";
                let broken = conversation.fault(NotifyFaultKind::ConnectionLost, &late);
                self.fail(line, &broken, effects, now);
            }
        }
        self.proceed(effects, now);
    }

    /// Does what has to be done for what waits to be sent.
    fn proceed(&mut self, effects: &mut Effects, now: Moment) {
        while !self.waiting.is_empty() {
            let limit = match (self.decision.next_step(now), &mut self.current) {
                (Next::Send(generation), Some(link)) => {
                    let mut commands = Vec::new();
                    for order in self.waiting.drain(..) {
                        link.sent(pack(order, generation, &mut commands), now);
                    }
                    effects.send(link.line, commands);
                    return;
                }
                (Next::Ask(question), Some(link)) => {
                    if !link.is_asked() {
                        effects.send(link.line, question.command().get_packed_command());
                        link.sent(Sent::Question(question), now);
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

    /// The connection that was being opened takes the place of the current one.
    fn opened(&mut self, effects: &mut Effects, now: Moment) {
        let Some(opening) = self.opening.take() else { return };
        self.replaced.extend(self.current.replace(opening.opened()));
        self.decision.opened(now);
        self.close_what_is_done(effects);
    }

    fn said(&mut self, line: ConnectionId, value: Value, effects: &mut Effects, now: Moment) {
        let Some(link) = self.link(line) else { return };
        match link.pop() {
            Some(Sent::Publishing(publishing, generation)) => {
                self.published(line, publishing, generation, &value, effects, now);
            }
            Some(Sent::Request(request, mut answers)) => {
                answers.push(value);
                if answers.len() < request.answers {
                    link.push_back_first(Sent::Request(request, answers), now);
                } else {
                    self.answered.push_back(Answered { id: request.id, answers: Ok(answers) });
                }
            }
            Some(Sent::Question(question)) => self.decision.answered(question.read(&value), now),
            None => self.unasked(line, effects, now),
        }
    }

    fn published(
        &mut self,
        line: ConnectionId,
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
                // Another connection may lead to a server that takes it.
                if self.current.as_ref().is_some_and(|link| link.line == line) {
                    self.replace_connection(effects);
                }
            }
            _ => {
                if let Some(link) = self.link(line) {
                    link.push_back_first(Sent::Publishing(publishing, generation), now);
                }
                self.unasked(line, effects, now);
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
        !publishing.is_repeated && self.decision.unheard(generation, channel, now)
    }

    /// An answer came that is none to what was asked: so are those that follow.
    fn unasked(&mut self, line: ConnectionId, effects: &mut Effects, now: Moment) {
        if let Some(conversation) = self.conversation(line) {
            let unasked = "its answer is none to what it was asked";
            let broken = conversation.fault(NotifyFaultKind::ConnectionLost, &unasked);
            self.fail(line, &broken, effects, now);
        }
    }

    /// Closes a connection that is of no use any more.
    fn fail(&mut self, line: ConnectionId, broken: &Broken, effects: &mut Effects, now: Moment) {
        effects.close(line);
        self.lost(line, broken, effects, now);
    }

    /// A connection is gone.
    fn lost(&mut self, line: ConnectionId, broken: &Broken, effects: &mut Effects, now: Moment) {
        if self.opening.as_ref().is_some_and(|opening| opening.line == line) {
            self.opening = None;
            if self.current.is_some() {
                tracing::debug!(detail = broken.detail, "the connection was not replaced");
                self.decision.renewal_failed(now);
            } else {
                for order in std::mem::take(&mut self.waiting) {
                    self.unanswered(order, broken, false, effects);
                }
            }
            return;
        }
        let is_current = self.current.as_ref().is_some_and(|link| link.line == line);
        let link = if is_current {
            self.current.take()
        } else {
            let place = self.replaced.iter().position(|link| link.line == line);
            place.map(|place| self.replaced.swap_remove(place))
        };
        let mut was_asked = false;
        for sent in link.into_iter().flat_map(Link::into_unanswered) {
            let order = match sent {
                Sent::Publishing(publishing, _) => Order::Publishing(publishing),
                Sent::Request(request, _) => Order::Request(request),
                Sent::Question(_) => {
                    was_asked = true;
                    continue;
                }
            };
            self.unanswered(order, broken, true, effects);
        }
        if is_current && was_asked {
            self.decision.unanswered();
        } else if is_current {
            self.decision.lost();
        }
    }

    fn unanswered(&mut self, order: Order, broken: &Broken, was_sent: bool, effects: &mut Effects) {
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

    /// Closes the replaced connections on which nothing is to come any more.
    fn close_what_is_done(&mut self, effects: &mut Effects) {
        self.replaced.retain(|link| {
            if link.is_idle() {
                effects.close(link.line);
            }
            !link.is_idle()
        });
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.current.iter().chain(&self.replaced)
    }

    fn link(&mut self, line: ConnectionId) -> Option<&mut Link> {
        self.current.iter_mut().chain(&mut self.replaced).find(|link| link.line == line)
    }

    /// The conversation on a line, and what the next answer there may be.
    fn conversing(&mut self, line: ConnectionId) -> Option<(&mut Conversation, Limits)> {
        if self.opening.as_ref().is_some_and(|opening| opening.line == line) {
            return self.opening.as_mut().map(|opening| (&mut opening.conversation, USUAL));
        }
        let link = self.link(line)?;
        let expected = link.expected();
        Some((&mut link.conversation, expected))
    }
}

/// Packs something behind the commands that are sent with it.
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

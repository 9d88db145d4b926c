//! The connections that publish: one that stands, one that is being opened, and those that were
//! replaced while answers were on their way.

use std::collections::VecDeque;

use ivy_proto::Moment;
use ivy_proto::backend::{Line, LinkFault, LinkFaultKind, Output, Ticket};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::Value;

use super::COMMAND_LIMIT;
use super::effects::Effects;
use super::publisher::{Generation, Publisher, Step as Next};
use crate::conversation::{Conversation, Step};
use crate::questions::Question;
use crate::refusal::refusal_of;

/// Publishes in the order in which it was asked to, as [`Publisher`] decides on the connections.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    decision: Publisher,
    current: Option<Link>,
    opening: Option<Opening>,
    replaced: Vec<Link>,
    waiting: VecDeque<Order>,
}

/// Something to publish.
#[derive(Debug)]
struct Order {
    ticket: Ticket,
    publication: Publication,
    /// Whether nobody heard it the first time.
    is_repeated: bool,
}

/// A connection that is not ready.
#[derive(Debug)]
struct Opening {
    line: Line,
    conversation: Conversation,
    until: Moment,
}

/// A connection to publish on.
#[derive(Debug)]
struct Link {
    line: Line,
    conversation: Conversation,
    /// What was sent and is not answered, each with the moment by which it is to be.
    unanswered: VecDeque<(Sent, Moment)>,
}

#[derive(Debug)]
enum Sent {
    Order(Order, Generation),
    Question(Question),
}

impl Publishing {
    pub(super) fn publish(
        &mut self,
        ticket: Ticket,
        publication: Publication,
        effects: &mut Effects,
        now: Moment,
    ) {
        self.waiting.push_back(Order { ticket, publication, is_repeated: false });
        self.proceed(effects, now);
    }

    /// What was sent already is answered all the same.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.waiting.retain(|order| order.ticket != ticket);
    }

    pub(super) fn wait_until(&self) -> Option<Moment> {
        let answers = self.links().filter_map(|link| Some(link.unanswered.front()?.1));
        answers.chain(self.opening.as_ref().map(|opening| opening.until)).min()
    }

    /// The conversation on this line, if it is one of these.
    pub(super) fn conversation(&mut self, line: Line) -> Option<&mut Conversation> {
        let opening =
            self.opening.iter_mut().map(|Opening { line, conversation, .. }| (*line, conversation));
        let links = self.current.iter_mut().chain(&mut self.replaced);
        let links = links.map(|Link { line, conversation, .. }| (*line, conversation));
        opening.chain(links).find(|(other, _)| *other == line).map(|(_, conversation)| conversation)
    }

    /// Takes in what has arrived on a line.
    pub(super) fn advance(&mut self, line: Line, effects: &mut Effects, now: Moment) {
        while let Some(conversation) = self.conversation(line) {
            match conversation.next_step() {
                Ok(Step::Wait) => break,
                Ok(Step::Say(command)) => effects.send(line, command),
                Ok(Step::Ready { ignores_user }) => {
                    effects.greeted(ignores_user);
                    self.opened(effects, now);
                }
                Ok(Step::Said(value)) => self.said(line, &value, effects, now),
                Err(fault) => self.fail(line, &fault, effects, now),
            }
        }
        self.close_what_is_done(effects);
        self.proceed(effects, now);
    }

    pub(super) fn closed(
        &mut self,
        line: Line,
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
            let fault = conversation.fault(kind, fault);
            self.lost(line, &fault, effects, now);
            self.proceed(effects, now);
        }
    }

    pub(super) fn tick(&mut self, effects: &mut Effects, now: Moment) {
        if let Some(opening) = &self.opening
            && opening.until <= now
        {
            let late = "it does not answer in time";
            let fault = opening.conversation.fault(NotifyFaultKind::Unreachable, &late);
            self.fail(opening.line, &fault, effects, now);
        }
        let late: Vec<Line> = self
            .links()
            .filter(|link| link.unanswered.front().is_some_and(|(_, until)| *until <= now))
            .map(|link| link.line)
            .collect();
        for line in late {
            if let Some(conversation) = self.conversation(line) {
                let late = "it did not answer in time";
                let fault = conversation.fault(NotifyFaultKind::ConnectionLost, &late);
                self.fail(line, &fault, effects, now);
            }
        }
        self.proceed(effects, now);
    }

    /// Does what has to be done for what waits to be published.
    fn proceed(&mut self, effects: &mut Effects, now: Moment) {
        while !self.waiting.is_empty() {
            let limit = match (self.decision.next_step(now), &mut self.current) {
                (Next::Publish(generation), Some(link)) => {
                    let mut commands = Vec::new();
                    for order in self.waiting.drain(..) {
                        pack(&order.publication, &mut commands);
                        let sent = Sent::Order(order, generation);
                        link.unanswered.push_back((sent, now + COMMAND_LIMIT));
                    }
                    effects.send(link.line, commands);
                    return;
                }
                (Next::Ask(question), Some(link)) => {
                    let is_asked =
                        link.unanswered.iter().any(|(sent, _)| matches!(sent, Sent::Question(_)));
                    if !is_asked {
                        effects.send(link.line, question.command().get_packed_command());
                        let sent = Sent::Question(question);
                        link.unanswered.push_back((sent, now + COMMAND_LIMIT));
                    }
                    return;
                }
                (Next::Renew { limit }, _) => limit.min(CONNECT_LIMIT),
                (Next::Open, _) => CONNECT_LIMIT,
                (Next::Publish(_) | Next::Ask(_), None) => {
                    self.decision.lost();
                    continue;
                }
            };
            if self.opening.is_none() {
                let (line, conversation) = effects.open();
                self.opening = Some(Opening { line, conversation, until: now + limit });
            }
            return;
        }
    }

    /// The connection that was being opened takes the place of the current one.
    fn opened(&mut self, effects: &mut Effects, now: Moment) {
        let Some(Opening { line, conversation, .. }) = self.opening.take() else { return };
        let link = Link { line, conversation, unanswered: VecDeque::new() };
        self.replaced.extend(self.current.replace(link));
        self.decision.opened(now);
        self.close_what_is_done(effects);
    }

    fn said(&mut self, line: Line, value: &Value, effects: &mut Effects, now: Moment) {
        let Some(link) = self.link(line) else { return };
        let sent = link.unanswered.pop_front();
        let (order, generation) = match sent {
            Some((Sent::Order(order, generation), _)) => (order, generation),
            Some((Sent::Question(question), _)) => {
                return self.decision.answered(question.read(value), now);
            }
            None => return self.unasked(line, effects, now),
        };
        match value {
            Value::Int(0) if self.is_to_be_repeated(&order, generation, now) => {
                self.waiting.push_front(Order { is_repeated: true, ..order });
            }
            Value::Int(receivers) if *receivers >= 0 => {
                effects.push(Output::Published(order.ticket, Ok(receivers.unsigned_abs())));
            }
            Value::ServerError(error) => {
                let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
                let channels = std::slice::from_ref(&order.publication.channel);
                let published = order.publication.payload.as_str();
                let fault = refusal_of(said.trim_end(), effects.address(), channels, published);
                effects.push(Output::Published(order.ticket, Err(fault)));
                // Another connection may lead to a server that takes it.
                if self.current.as_ref().is_some_and(|link| link.line == line) {
                    self.replaced.extend(self.current.take());
                    self.decision.lost();
                }
            }
            _ => {
                if let Some(link) = self.link(line) {
                    link.unanswered.push_front((Sent::Order(order, generation), now));
                }
                self.unasked(line, effects, now);
            }
        }
    }

    fn is_to_be_repeated(&mut self, order: &Order, generation: Generation, now: Moment) -> bool {
        !order.is_repeated && self.decision.unheard(generation, &order.publication.channel, now)
    }

    /// An answer came that is none to what was asked: so are those that follow.
    fn unasked(&mut self, line: Line, effects: &mut Effects, now: Moment) {
        if let Some(conversation) = self.conversation(line) {
            let unasked = "its answer is none to what it was asked";
            let fault = conversation.fault(NotifyFaultKind::ConnectionLost, &unasked);
            self.fail(line, &fault, effects, now);
        }
    }

    /// Closes a connection that is of no use any more.
    fn fail(&mut self, line: Line, fault: &NotifyFault, effects: &mut Effects, now: Moment) {
        effects.close(line);
        self.lost(line, fault, effects, now);
    }

    /// A connection is gone.
    fn lost(&mut self, line: Line, fault: &NotifyFault, effects: &mut Effects, now: Moment) {
        if self.opening.as_ref().is_some_and(|opening| opening.line == line) {
            self.opening = None;
            if self.current.is_some() {
                tracing::debug!(%fault, "the connection that publishes was not replaced");
                self.decision.renewal_failed(now);
            } else {
                for order in self.waiting.drain(..) {
                    effects.push(Output::Published(order.ticket, Err(fault.clone())));
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
        for (sent, _) in link.into_iter().flat_map(|link| link.unanswered) {
            match sent {
                Sent::Order(order, _) => {
                    effects.push(Output::Published(order.ticket, Err(fault.clone())));
                }
                Sent::Question(_) => was_asked = true,
            }
        }
        if is_current && was_asked {
            self.decision.unanswered();
        } else if is_current {
            self.decision.lost();
        }
    }

    /// Closes the replaced connections on which nothing is to come any more.
    fn close_what_is_done(&mut self, effects: &mut Effects) {
        self.replaced.retain(|link| {
            let is_done = link.unanswered.is_empty();
            if is_done {
                effects.close(link.line);
            }
            !is_done
        });
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.current.iter().chain(&self.replaced)
    }

    fn link(&mut self, line: Line) -> Option<&mut Link> {
        self.current.iter_mut().chain(&mut self.replaced).find(|link| link.line == line)
    }
}

fn pack(publication: &Publication, commands: &mut Vec<u8>) {
    let Publication { channel, payload } = publication;
    let command = redis::cmd("PUBLISH").arg(channel.as_str()).arg(payload.as_str()).take();
    command.write_packed_command(commands);
}

//! Redis as a notifier: PUBLISH and SUBSCRIBE, as one session.

mod effects;
mod feed;
mod publisher;
mod publishing;
mod subscriber;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::address::RedisAddress;
use ivy_proto::Moment;
use ivy_proto::backend::{Input, Line, LinkFault, Output, Session, Ticket};
use ivy_proto::queue::{Fault, FaultKind};

use effects::Effects;
use publishing::Publishing;
use subscription::Subscription;

/// How old a connection grows before it is replaced, and how often it is replaced at most.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// A notifier over a Redis server, as a session: one connection publishes, and each subscription has
/// one of its own.
///
/// A name may come to lead to another server while the old one lives on, as after a failover. So
/// connections are replaced once a minute, for which the name is resolved again, and at once where
/// the server has become a replica or nobody hears a result for which somebody waits; at most once a
/// minute.
pub struct RedisNotifier {
    effects: Effects,
    publishing: Publishing,
    subscriptions: BTreeMap<Ticket, Subscription>,
}

impl RedisNotifier {
    /// A notifier that has not connected.
    #[must_use]
    pub fn new(address: RedisAddress) -> Self {
        RedisNotifier {
            effects: Effects::new(Arc::new(address)),
            publishing: Publishing::default(),
            subscriptions: BTreeMap::new(),
        }
    }

    /// The server.
    #[must_use]
    pub fn address(&self) -> &RedisAddress {
        self.effects.address()
    }

    fn wait_until(&self) -> Option<Moment> {
        let subscriptions = self.subscriptions.values().filter_map(Subscription::wait_until);
        subscriptions.chain(self.publishing.wait_until()).min()
    }

    fn opened(&mut self, line: Line) {
        if let Some(conversation) = self.publishing.conversation(line) {
            let command = conversation.first_command();
            self.effects.send(line, command);
        }
        for subscription in self.subscriptions.values_mut() {
            if let Some(conversation) = subscription.conversation(line) {
                let command = conversation.first_command();
                self.effects.send(line, command);
            }
        }
    }

    fn received(&mut self, line: Line, bytes: &[u8], now: Moment) {
        if let Some(conversation) = self.publishing.conversation(line) {
            conversation.received(bytes);
            self.publishing.advance(line, &mut self.effects, now);
        }
        self.each_subscription(|subscription, effects| {
            if let Some(conversation) = subscription.conversation(line) {
                conversation.received(bytes);
                return subscription.advance(line, effects, now);
            }
            true
        });
    }

    fn closed(&mut self, line: Line, fault: &LinkFault, now: Moment) {
        self.publishing.closed(line, fault, &mut self.effects, now);
        self.each_subscription(|subscription, effects| {
            subscription.closed(line, fault, effects, now)
        });
    }

    /// Does something with each subscription, and forgets those for which it returns that they have
    /// ended.
    fn each_subscription(&mut self, mut act: impl FnMut(&mut Subscription, &mut Effects) -> bool) {
        self.subscriptions.retain(|_, subscription| act(subscription, &mut self.effects));
    }
}

impl Session for RedisNotifier {
    fn handle_input(&mut self, input: Input<'_>, now: Moment) {
        match input {
            Input::Tick => {
                self.publishing.tick(&mut self.effects, now);
                self.each_subscription(|subscription, effects| subscription.tick(effects, now));
            }
            Input::Publish(ticket, publication) => {
                self.publishing.publish(ticket, publication, &mut self.effects, now);
            }
            Input::Subscribe(ticket, channels) => {
                let subscription = Subscription::open(ticket, channels, &mut self.effects, now);
                self.subscriptions.insert(ticket, subscription);
            }
            Input::Cancel(ticket) => {
                self.publishing.cancel(ticket);
                if let Some(subscription) = self.subscriptions.remove(&ticket) {
                    subscription.close(&mut self.effects);
                }
            }
            Input::Opened(line) => self.opened(line),
            Input::Received(line, bytes) => self.received(line, bytes, now),
            Input::Closed(line, fault) => self.closed(line, &fault, now),
            Input::Execute(ticket, _) => {
                let fault = Fault::new(FaultKind::Refused).with_detail("this is a notifier");
                self.effects.push(Output::Executed(ticket, Err(fault)));
            }
        }
    }

    fn poll_output(&mut self) -> Output {
        self.effects.pop().unwrap_or_else(|| Output::Wait(self.wait_until()))
    }
}

/// Shows the server without the credentials.
impl fmt::Debug for RedisNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisNotifier({})", self.effects.address().server())
    }
}

//! Redis as a queue and as a notifier, in one session.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ivy_proto::Moment;
use ivy_proto::backend::{
    CommandId, ConnectionId, Input, LinkFault, Output, Session, SessionStart,
};

use crate::address::RedisAddress;
use crate::blocking_connections::BlockingConnections;
use crate::command_connection::Requests;
use crate::effects::Effects;
use crate::notifier::Subscription;
use crate::queue::{Context, Operations, Prefix};

/// A Redis server as a session. One connection carries the operations of the queue and the
/// publications; each waiting reserve has a connection of its own, and so has each subscription.
///
/// A name may resolve to another server while the old one still runs, as after a failover. So
/// connections are replaced once a minute, resolving the name again, and immediately if the server
/// has become a replica or a result with a waiting caller has no subscriber; the latter at most
/// once a minute.
pub struct RedisSession {
    effects: Effects,
    requests: Requests,
    blocking: BlockingConnections,
    operations: Operations,
    subscriptions: BTreeMap<CommandId, Subscription>,
}

impl RedisSession {
    /// A session without connections, with the default key names.
    #[must_use]
    pub fn new(address: RedisAddress, start: SessionStart) -> Self {
        RedisSession::with_prefix(address, Prefix::default(), start)
    }

    pub(crate) fn with_prefix(
        address: RedisAddress,
        prefix: Prefix,
        SessionStart { random, wall, .. }: SessionStart,
    ) -> Self {
        RedisSession {
            effects: Effects::new(Arc::new(address)),
            requests: Requests::default(),
            blocking: BlockingConnections::default(),
            operations: Operations::new(prefix, random, wall),
            subscriptions: BTreeMap::new(),
        }
    }

    /// The server.
    #[must_use]
    pub fn address(&self) -> &RedisAddress {
        self.effects.address()
    }

    fn deadline(&self) -> Option<Moment> {
        let subscriptions = self.subscriptions.values().filter_map(Subscription::deadline);
        let others =
            [self.requests.deadline(), self.blocking.deadline(), self.operations.deadline()];
        subscriptions.chain(others.into_iter().flatten()).min()
    }

    fn opened(&mut self, connection_id: ConnectionId) {
        let subscriptions = self.subscriptions.values_mut();
        let connection = self.requests.connection(connection_id);
        let connection =
            connection.or_else(|| self.blocking.connection(connection_id)).or_else(|| {
                subscriptions
                    .filter_map(|subscription| subscription.connection(connection_id))
                    .next()
            });
        if let Some(connection) = connection {
            let command = connection.first_command();
            self.effects.send(connection_id, command);
        }
    }

    fn received(&mut self, connection_id: ConnectionId, bytes: &[u8], now: Moment) {
        if let Some(connection) = self.requests.connection(connection_id) {
            connection.received(bytes);
            return self.requests.advance(connection_id, &mut self.effects, now);
        }
        if let Some(connection) = self.blocking.connection(connection_id) {
            connection.received(bytes);
            return self.blocking.advance(connection_id, &mut self.effects, now);
        }
        self.each_subscription(|subscription, effects| {
            if let Some(connection) = subscription.connection(connection_id) {
                connection.received(bytes);
                return subscription.advance(connection_id, effects, now);
            }
            true
        });
    }

    fn closed(&mut self, connection_id: ConnectionId, fault: &LinkFault, now: Moment) {
        self.requests.closed(connection_id, fault, &mut self.effects, now);
        self.blocking.closed(connection_id, fault);
        self.each_subscription(|subscription, effects| {
            subscription.closed(connection_id, fault, effects, now)
        });
    }

    /// Calls `act` with each subscription, and removes those for which it returns `false`.
    fn each_subscription(&mut self, mut act: impl FnMut(&mut Subscription, &mut Effects) -> bool) {
        self.subscriptions.retain(|_, subscription| act(subscription, &mut self.effects));
    }

    /// Calls `act` with the operations.
    fn operate(&mut self, now: Moment, act: impl FnOnce(&mut Operations, &mut Context<'_>)) {
        let RedisSession { effects, requests, blocking, operations, .. } = self;
        act(operations, &mut Context { requests, blocking, effects, now });
    }
}

impl Session for RedisSession {
    fn handle_input(&mut self, input: Input<'_>, now: Moment) {
        match input {
            Input::Tick => {
                self.requests.tick(&mut self.effects, now);
                self.blocking.tick(&mut self.effects, now);
                self.each_subscription(|subscription, effects| subscription.tick(effects, now));
            }
            Input::Execute(command_id, op) => {
                self.operate(now, |operations, context| {
                    operations.execute(command_id, op, context)
                });
            }
            Input::Publish(command_id, publication) => {
                self.requests.publish(command_id, publication, &mut self.effects, now);
            }
            Input::Subscribe(command_id, channels) => {
                let subscription = Subscription::open(command_id, channels, &mut self.effects, now);
                self.subscriptions.insert(command_id, subscription);
            }
            Input::Cancel(command_id) => {
                self.requests.cancel_publishing(command_id);
                if let Some(subscription) = self.subscriptions.remove(&command_id) {
                    subscription.close(&mut self.effects);
                }
                self.operate(now, |operations, context| operations.cancel(command_id, context));
            }
            Input::Opened(connection_id) => self.opened(connection_id),
            Input::Received(connection_id, bytes) => self.received(connection_id, bytes, now),
            Input::Closed(connection_id, fault) => self.closed(connection_id, &fault, now),
        }
        self.operate(now, Operations::proceed);
    }

    fn poll_output(&mut self) -> Output {
        self.effects.pop().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

/// Shows the server without the credentials.
impl fmt::Debug for RedisSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisSession({})", self.effects.address().server())
    }
}

//! A subscription, which outlives its connections.

use ivy_proto::backend::{CommandId, ConnectionId, LinkFault, Output, SubscriptionEvent};
use ivy_proto::notify::NotifyFault;
use ivy_proto::{ChannelName, Moment};

use super::subscribed_connection::SubscribedConnection;
use super::subscription_state::{Change, SubscriptionState};
use crate::connection::RespConnection;
use crate::effects::Effects;

/// The connection of a subscription and its replacement, managed by [`SubscriptionState`].
#[derive(Debug)]
pub(crate) struct Subscription {
    command_id: CommandId,
    channels: Vec<ChannelName>,
    current: SubscribedConnection,
    replacement: Option<SubscribedConnection>,
    /// Set once the connection is subscribed.
    state: Option<SubscriptionState>,
}

impl Subscription {
    pub(crate) fn open(
        command_id: CommandId,
        channels: Vec<ChannelName>,
        effects: &mut Effects,
        now: Moment,
    ) -> Self {
        let current = SubscribedConnection::open(&channels, effects, now);
        Subscription { command_id, channels, current, replacement: None, state: None }
    }

    pub(crate) fn close(self, effects: &mut Effects) {
        for connection in self.connections() {
            effects.close(connection.connection_id());
        }
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        let state = self.state.as_ref().and_then(SubscriptionState::deadline);
        self.connections().map(SubscribedConnection::deadline).chain(state).min()
    }

    /// The connection with this id, if it is one of these.
    pub(crate) fn connection(
        &mut self,
        connection_id: ConnectionId,
    ) -> Option<&mut RespConnection> {
        self.find(connection_id).map(SubscribedConnection::connection)
    }

    /// Handles bytes that arrived on a connection. Returns whether the subscription continues, as
    /// all methods below do.
    pub(crate) fn advance(
        &mut self,
        connection_id: ConnectionId,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        loop {
            let channels = std::mem::take(&mut self.channels);
            let event = self
                .find(connection_id)
                .and_then(|connection| connection.next_event(&channels, effects, now));
            self.channels = channels;
            let Some(event) = event else { return true };
            match event {
                SubscriptionEvent::Lost(fault) => {
                    effects.close(connection_id);
                    return self.lost(connection_id, fault, effects, now);
                }
                SubscriptionEvent::Subscribed => self.subscribed(connection_id, effects, now),
                notice @ SubscriptionEvent::Notice { .. } => self.emit(notice, effects),
            }
        }
    }

    pub(crate) fn closed(
        &mut self,
        connection_id: ConnectionId,
        fault: &LinkFault,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        match self.find(connection_id).map(|connection| connection.closed(fault)) {
            Some(fault) => self.lost(connection_id, fault, effects, now),
            None => true,
        }
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects, now: Moment) -> bool {
        let connection_ids: Vec<ConnectionId> =
            self.connections().map(SubscribedConnection::connection_id).collect();
        for connection_id in connection_ids {
            if let Some(fault) =
                self.find(connection_id).and_then(|connection| connection.tick(effects, now))
            {
                effects.close(connection_id);
                if !self.lost(connection_id, fault, effects, now) {
                    return false;
                }
            }
        }
        match self.state.as_mut().and_then(|state| state.tick(now)) {
            Some(Change::Open) => {
                self.replacement = Some(SubscribedConnection::open(&self.channels, effects, now));
            }
            Some(Change::DropOld) => {
                if let Some(replacement) = self.replacement.take() {
                    effects.close(self.current.connection_id());
                    self.current = replacement;
                }
            }
            None => {}
        }
        true
    }

    fn subscribed(&mut self, connection_id: ConnectionId, effects: &mut Effects, now: Moment) {
        if self.current.connection_id() == connection_id {
            self.state = Some(SubscriptionState::new(now));
            self.emit(SubscriptionEvent::Subscribed, effects);
        } else if let Some(state) = &mut self.state {
            state.subscribed(now);
        }
    }

    /// A connection is lost. The subscription ends unless its replacement is ready.
    fn lost(
        &mut self,
        connection_id: ConnectionId,
        fault: NotifyFault,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        if self.current.connection_id() != connection_id {
            tracing::debug!(%fault, "the subscription was not replaced");
            self.replacement = None;
            if let Some(state) = &mut self.state {
                state.failed(now);
            }
            return true;
        }
        let is_replaced = self.state.as_mut().is_some_and(|state| state.old_lost(now));
        match self.replacement.take() {
            Some(replacement) if is_replaced => {
                self.current = replacement;
                true
            }
            replacement => {
                if let Some(replacement) = replacement {
                    effects.close(replacement.connection_id());
                }
                self.emit(SubscriptionEvent::Lost(fault), effects);
                false
            }
        }
    }

    fn emit(&self, event: SubscriptionEvent, effects: &mut Effects) {
        effects.push(Output::SubscriptionEvent(self.command_id, event));
    }

    fn connections(&self) -> impl Iterator<Item = &SubscribedConnection> {
        std::iter::once(&self.current).chain(&self.replacement)
    }

    fn find(&mut self, connection_id: ConnectionId) -> Option<&mut SubscribedConnection> {
        std::iter::once(&mut self.current)
            .chain(&mut self.replacement)
            .find(|connection| connection.connection_id() == connection_id)
    }
}

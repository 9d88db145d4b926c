//! One subscribed connection.

use std::time::Duration;

use ivy_proto::backend::{ConnectionId, LinkFault, LinkFaultKind, SubscriptionEvent};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::{ChannelName, Moment};
use redis::Value;

use crate::COMMAND_LIMIT;
use crate::connection::{ConnectionStep, DEFAULT_LIMITS, RespConnection};
use crate::effects::Effects;
use crate::error_reply::redis_error;
use crate::frame::{Limits, LongStrings};

/// The silence after which the server is pinged: a connection that a firewall has dropped is
/// silent, and so is one without notices.
const SILENCE: Duration = Duration::from_secs(20);

/// The limits of what a subscription receives. Anyone who can publish can publish a notice that is
/// larger than any of ivy; it costs neither memory nor the subscription.
const LIMITS: Limits = Limits { long_strings: LongStrings::Skipped, ..DEFAULT_LIMITS };

/// A connection that is opened, subscribes, and delivers notices.
#[derive(Debug)]
pub(super) struct SubscribedConnection {
    connection_id: ConnectionId,
    connection: RespConnection,
    stage: Stage,
    /// The deadline of this stage.
    until: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not ready, or this many channels are not confirmed.
    Opening { unconfirmed: usize },
    /// Notices may arrive.
    Listening,
    /// The server was pinged.
    Pinged,
}

impl SubscribedConnection {
    pub(super) fn open(channels: &[ChannelName], effects: &mut Effects, now: Moment) -> Self {
        let (connection_id, connection) = effects.open();
        let stage = Stage::Opening { unconfirmed: channels.len() };
        SubscribedConnection { connection_id, connection, stage, until: now + CONNECT_LIMIT }
    }

    pub(super) fn connection_id(&self) -> ConnectionId {
        self.connection_id
    }

    pub(super) fn connection(&mut self) -> &mut RespConnection {
        &mut self.connection
    }

    pub(super) fn deadline(&self) -> Moment {
        self.until
    }

    /// The next event from the received bytes, if any: [`SubscriptionEvent::Lost`] if the
    /// connection is unusable.
    pub(super) fn next_event(
        &mut self,
        channels: &[ChannelName],
        effects: &mut Effects,
        now: Moment,
    ) -> Option<SubscriptionEvent> {
        loop {
            let event = match self.connection.next_step(&LIMITS) {
                Ok(ConnectionStep::Wait) => {
                    // A large notice may take longer to arrive than the reply to a ping.
                    if !matches!(self.stage, Stage::Opening { .. }) {
                        self.listen(now);
                    }
                    return None;
                }
                Ok(ConnectionStep::Send(command)) => {
                    effects.send(self.connection_id, command);
                    None
                }
                Ok(ConnectionStep::Ready { ignores_user }) => {
                    effects.handshake_accepted(ignores_user);
                    effects.send(self.connection_id, subscribe(channels));
                    None
                }
                Ok(ConnectionStep::Reply(Value::ServerError(error))) => {
                    let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
                    let broken = redis_error(text.trim_end(), effects.address(), channels);
                    Some(SubscriptionEvent::Lost(broken.into()))
                }
                Ok(ConnectionStep::Reply(value)) => self.on_message(value, now),
                Err(broken) => Some(SubscriptionEvent::Lost(broken.into())),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Handles the passage of time. Returns a fault if the deadline has passed.
    pub(super) fn tick(&mut self, effects: &mut Effects, now: Moment) -> Option<NotifyFault> {
        if now < self.until {
            return None;
        }
        let (kind, late) = match self.stage {
            Stage::Listening => {
                effects.send(self.connection_id, redis::cmd("PING").get_packed_command());
                self.stage = Stage::Pinged;
                self.until = now + COMMAND_LIMIT;
                return None;
            }
            Stage::Opening { .. } => (NotifyFaultKind::Unreachable, "it does not respond in time"),
            Stage::Pinged => (NotifyFaultKind::ConnectionLost, "it no longer responds"),
        };
        Some(self.connection.fault(kind, &late).into())
    }

    /// The connection has ended.
    pub(super) fn closed(&self, fault: &LinkFault) -> NotifyFault {
        let kind = match (fault.kind(), self.stage) {
            (LinkFaultKind::Tls, _) => NotifyFaultKind::Tls,
            (_, Stage::Opening { .. }) => NotifyFaultKind::Unreachable,
            _ => NotifyFaultKind::ConnectionLost,
        };
        self.connection.fault(kind, fault).into()
    }

    fn on_message(&mut self, value: Value, now: Moment) -> Option<SubscriptionEvent> {
        let mut parts = match value {
            Value::Array(parts) => parts.into_iter(),
            _ => Vec::new().into_iter(),
        };
        let kind = parts.next().and_then(bytes).unwrap_or_default();
        match (kind.as_slice(), self.stage) {
            (b"subscribe", Stage::Opening { unconfirmed }) if unconfirmed > 1 => {
                self.stage = Stage::Opening { unconfirmed: unconfirmed - 1 };
                None
            }
            (b"subscribe", Stage::Opening { .. }) => {
                self.listen(now);
                Some(SubscriptionEvent::Subscribed)
            }
            (b"message", Stage::Opening { .. }) => None,
            // A server confirms all channels of a command before it sends another reply.
            (_, Stage::Opening { .. }) => {
                let unexpected = "its reply does not match the command";
                let broken = self.connection.fault(NotifyFaultKind::ConnectionLost, &unexpected);
                Some(SubscriptionEvent::Lost(broken.into()))
            }
            (b"message", _) => {
                self.listen(now);
                let channel = parts.next().and_then(bytes)?;
                let channel = ChannelName::new(std::str::from_utf8(&channel).ok()?).ok()?;
                let payload = match parts.next()? {
                    Value::BulkString(payload) => payload,
                    // It was skipped because of its size.
                    Value::Nil => Vec::new(),
                    _ => return None,
                };
                Some(SubscriptionEvent::Notice { channel, payload })
            }
            _ => {
                self.listen(now);
                None
            }
        }
    }

    fn listen(&mut self, now: Moment) {
        self.stage = Stage::Listening;
        self.until = now + SILENCE;
    }
}

fn subscribe(channels: &[ChannelName]) -> Vec<u8> {
    let mut command = redis::cmd("SUBSCRIBE");
    for channel in channels {
        command.arg(channel.as_str());
    }
    command.get_packed_command()
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

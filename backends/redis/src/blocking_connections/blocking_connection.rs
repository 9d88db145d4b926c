//! One connection on which reserves wait, one after the other.

use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::backend::{ConnectionId, LinkFault, LinkFaultKind};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::NotifyFaultKind;
use redis::Value;

use super::Wait;
use crate::command_connection::{CompletedRequest, NoReply, RequestId};
use crate::connection::{ConnectionStep, DEFAULT_LIMITS, RespConnection};
use crate::effects::Effects;
use crate::error_reply::RedisError;
use crate::queue::{Command, ScriptRef, error_text, is_read_only, is_unknown_script};
use crate::{COMMAND_LIMIT, REPLACE_EVERY};

/// How much later than its wait a reply may arrive. After that, the connection counts as dead:
/// nothing else reveals a connection that a firewall has dropped.
const GRACE: Duration = Duration::from_secs(10);

/// The usual size of the commands of a wait, in bytes.
const COMMANDS: usize = 1024;

/// A connection for waits.
#[derive(Debug)]
pub(super) struct BlockingConnection {
    connection_id: ConnectionId,
    connection: RespConnection,
    stage: Stage,
    opened_at: Moment,
    /// The server's client id of this connection, once known.
    client: ClientId,
    /// Whether the server is a replica, so that the name may resolve to another one.
    is_on_replica: bool,
}

#[derive(Debug)]
enum Stage {
    /// It is being opened, perhaps for this wait.
    Opening { wait: Option<Wait>, until: Moment },
    /// It is idle.
    Idle,
    /// The server waits. These replies have arrived. `has_source`: the script was sent again with
    /// its source.
    Waiting { wait: Wait, has_source: bool, replies: Vec<Value>, until: Moment },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientId {
    NotRequested,
    Requested,
    /// `None` if the server does not report it.
    Known(Option<i64>),
}

/// The next result of the received bytes.
pub(super) enum Outcome {
    Completed(CompletedRequest),
    /// The connection is unusable.
    Broken(NoReply),
}

impl BlockingConnection {
    pub(super) fn open(wait: Wait, effects: &mut Effects, now: Moment) -> Self {
        let (connection_id, connection) = effects.open();
        BlockingConnection {
            connection_id,
            connection,
            stage: Stage::Opening { wait: Some(wait), until: now + CONNECT_LIMIT },
            opened_at: now,
            client: ClientId::NotRequested,
            is_on_replica: false,
        }
    }

    pub(super) fn connection_id(&self) -> ConnectionId {
        self.connection_id
    }

    pub(super) fn connection(&mut self) -> &mut RespConnection {
        &mut self.connection
    }

    pub(super) fn client(&self) -> Option<i64> {
        match self.client {
            ClientId::Known(number) => number,
            ClientId::NotRequested | ClientId::Requested => None,
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Opening { .. })
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    pub(super) fn is_on_replica(&self) -> bool {
        self.is_on_replica
    }

    /// The deadline of its current state.
    pub(super) fn deadline(&self) -> Moment {
        match &self.stage {
            Stage::Opening { until, .. } | Stage::Waiting { until, .. } => *until,
            Stage::Idle => self.opened_at + REPLACE_EVERY,
        }
    }

    /// Whether it serves this wait, or is being opened for it.
    pub(super) fn serves(&self, id: RequestId) -> bool {
        self.wait().is_some_and(|wait| wait.id == id)
    }

    /// Sends a wait.
    pub(super) fn send(&mut self, wait: Wait, effects: &mut Effects, now: Moment) {
        let mut commands = Vec::with_capacity(COMMANDS);
        if self.client == ClientId::NotRequested {
            Command::new("CLIENT").arg("ID").write(ScriptRef::Hash, &mut commands);
            self.client = ClientId::Requested;
        }
        wait.wait.write(ScriptRef::Hash, &mut commands);
        wait.reserve.write(ScriptRef::Hash, &mut commands);
        effects.send(self.connection_id, commands);
        let until = now + wait.time + GRACE;
        self.stage = Stage::Waiting { wait, has_source: false, replies: Vec::new(), until };
    }

    /// Removes the wait that it is being opened for. Returns whether it was this one.
    pub(super) fn take_unsent(&mut self, id: RequestId) -> bool {
        match &mut self.stage {
            Stage::Opening { wait, .. } => wait.take_if(|wait| wait.id == id).is_some(),
            Stage::Idle | Stage::Waiting { .. } => false,
        }
    }

    /// The next outcome from the received bytes, if any.
    pub(super) fn next_outcome(&mut self, effects: &mut Effects, now: Moment) -> Option<Outcome> {
        loop {
            let expected = match &self.stage {
                Stage::Waiting { wait, .. } => wait.limits,
                Stage::Opening { .. } | Stage::Idle => DEFAULT_LIMITS,
            };
            match self.connection.next_step(&expected) {
                Ok(ConnectionStep::Wait) => return None,
                Ok(ConnectionStep::Send(command)) => effects.send(self.connection_id, command),
                Ok(ConnectionStep::Ready { ignores_user }) => {
                    effects.handshake_accepted(ignores_user);
                    self.ready(effects, now);
                }
                Ok(ConnectionStep::Reply(value)) => {
                    if let Some(outcome) = self.on_reply(value, effects, now) {
                        return Some(outcome);
                    }
                }
                Err(broken) => return Some(Outcome::Broken(self.no_reply(broken))),
            }
        }
    }

    /// The connection has ended.
    pub(super) fn closed(&self, fault: &LinkFault) -> NoReply {
        let kind = match (fault.kind(), &self.stage) {
            (LinkFaultKind::Tls, _) => NotifyFaultKind::Tls,
            (_, Stage::Opening { .. }) => NotifyFaultKind::Unreachable,
            _ => NotifyFaultKind::ConnectionLost,
        };
        self.no_reply(self.connection.fault(kind, fault))
    }

    /// The deadline has passed.
    pub(super) fn timed_out(&self) -> NoReply {
        let kind = match &self.stage {
            Stage::Opening { .. } => NotifyFaultKind::Unreachable,
            Stage::Idle | Stage::Waiting { .. } => NotifyFaultKind::ConnectionLost,
        };
        self.no_reply(self.connection.fault(kind, &"it does not respond in time"))
    }

    /// The wait that will get no reply.
    pub(super) fn into_request_id(self) -> Option<RequestId> {
        self.wait().map(|wait| wait.id)
    }

    fn wait(&self) -> Option<&Wait> {
        match &self.stage {
            Stage::Opening { wait, .. } => wait.as_ref(),
            Stage::Waiting { wait, .. } => Some(wait),
            Stage::Idle => None,
        }
    }

    fn no_reply(&self, broken: RedisError) -> NoReply {
        let was_sent = matches!(self.stage, Stage::Waiting { .. });
        NoReply { error: broken, was_sent }
    }

    fn ready(&mut self, effects: &mut Effects, now: Moment) {
        let wait = match &mut self.stage {
            Stage::Opening { wait, .. } => wait.take(),
            Stage::Idle | Stage::Waiting { .. } => None,
        };
        self.stage = Stage::Idle;
        if let Some(wait) = wait {
            self.send(wait, effects, now);
        }
    }

    fn on_reply(&mut self, value: Value, effects: &mut Effects, now: Moment) -> Option<Outcome> {
        if self.client == ClientId::Requested {
            let Value::Int(number) = value else {
                self.client = ClientId::Known(None);
                return None;
            };
            self.client = ClientId::Known(Some(number));
            return None;
        }
        let Stage::Waiting { wait, has_source, replies, until } = &mut self.stage else {
            let unexpected = "its reply does not match the command";
            let broken = self.connection.fault(NotifyFaultKind::ConnectionLost, &unexpected);
            return Some(Outcome::Broken(self.no_reply(broken)));
        };
        let error = error_text(&value);
        let is_unknown = error.as_deref().is_some_and(is_unknown_script);
        if replies.len() == 1 && is_unknown && !*has_source {
            let mut script = Vec::new();
            wait.reserve.write(ScriptRef::Source, &mut script);
            effects.send(self.connection_id, script);
            *has_source = true;
            *until = now + COMMAND_LIMIT;
            return None;
        }
        self.is_on_replica |= error.as_deref().is_some_and(is_read_only);
        replies.push(value);
        if replies.len() < 2 {
            return None;
        }
        let completed = CompletedRequest { id: wait.id, replies: Ok(std::mem::take(replies)) };
        self.stage = Stage::Idle;
        Some(Outcome::Completed(completed))
    }
}

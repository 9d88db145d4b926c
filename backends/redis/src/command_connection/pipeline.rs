//! A connection with pipelined requests.

use std::collections::VecDeque;

use ivy_proto::Moment;
use ivy_proto::backend::ConnectionId;
use ivy_proto::connect::CONNECT_LIMIT;
use redis::Value;

use super::{Publishing, Request};
use crate::COMMAND_LIMIT;
use crate::connection::{DEFAULT_LIMITS, RespConnection};
use crate::effects::Effects;
use crate::frame::Limits;
use crate::probe::ServerProbe;

use super::connection_replacement::Generation;

/// A connection that is not ready.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) connection_id: ConnectionId,
    pub(super) connection: RespConnection,
    pub(super) until: Moment,
}

/// A connection that is ready for requests.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) connection_id: ConnectionId,
    pub(super) connection: RespConnection,
    /// The requests without a reply, each with the deadline of its reply.
    in_flight: VecDeque<(Sent, Moment)>,
}

/// Something sent on a connection.
#[derive(Debug)]
pub(super) enum Sent {
    Publishing(Publishing, Generation),
    /// A request, with its replies so far.
    Request(Request, Vec<Value>),
    ServerProbe(ServerProbe),
}

impl Opening {
    /// Opens a connection within this time.
    pub(super) fn start(limit: std::time::Duration, effects: &mut Effects, now: Moment) -> Self {
        let (connection_id, connection) = effects.open();
        Opening { connection_id, connection, until: now + limit.min(CONNECT_LIMIT) }
    }

    pub(super) fn opened(self) -> Pipeline {
        let Opening { connection_id, connection, .. } = self;
        Pipeline { connection_id, connection, in_flight: VecDeque::new() }
    }
}

impl Pipeline {
    /// Records that something was sent.
    pub(super) fn sent(&mut self, sent: Sent, now: Moment) {
        self.in_flight.push_back((sent, now + COMMAND_LIMIT));
    }

    /// The limits of the next reply.
    pub(super) fn next_limits(&self) -> Limits {
        match self.in_flight.front() {
            Some((Sent::Request(request, _), _)) => request.limits,
            _ => DEFAULT_LIMITS,
        }
    }

    /// The deadline of the next reply.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.in_flight.front().map(|(_, until)| *until)
    }

    pub(super) fn is_probed(&self) -> bool {
        self.in_flight.iter().any(|(sent, _)| matches!(sent, Sent::ServerProbe(_)))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The request that the next reply belongs to.
    pub(super) fn pop(&mut self) -> Option<Sent> {
        self.in_flight.pop_front().map(|(sent, _)| sent)
    }

    /// Puts back a request that lacks replies.
    pub(super) fn push_front(&mut self, sent: Sent, now: Moment) {
        self.in_flight.push_front((sent, now + COMMAND_LIMIT));
    }

    /// The requests that will get no reply.
    pub(super) fn into_in_flight(self) -> impl Iterator<Item = Sent> {
        self.in_flight.into_iter().map(|(sent, _)| sent)
    }
}

//! The connections on which reserves wait.
//!
//! Each is used by one wait at a time: a blocking command delays everything that follows it.

mod blocking_connection;

use std::collections::VecDeque;
use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::backend::{ConnectionId, LinkFault};

use crate::command_connection::{CompletedRequest, NoReply, RequestId};
use crate::connection::RespConnection;
use crate::effects::Effects;
use crate::frame::Limits;
use crate::queue::Command;

use blocking_connection::{BlockingConnection, Outcome};

/// A blocking command, and the script that reserves what has arrived.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) id: RequestId,
    /// The blocking command.
    pub(crate) wait: Command,
    /// The script, which is sent again with its source if the server does not know its hash.
    pub(crate) reserve: Command,
    /// The limits of the script's reply.
    pub(crate) limits: Limits,
    /// How long the server waits.
    pub(crate) time: Duration,
}

/// The connections.
#[derive(Debug, Default)]
pub(crate) struct BlockingConnections {
    connections: Vec<BlockingConnection>,
    completed: VecDeque<CompletedRequest>,
}

impl BlockingConnections {
    /// Starts a wait. The replies to both commands are returned by
    /// [`next_completed`](BlockingConnections::next_completed).
    pub(crate) fn send(&mut self, wait: Wait, effects: &mut Effects, now: Moment) {
        self.close_old(effects, now);
        match self.connections.iter_mut().find(|blocking| blocking.is_idle()) {
            Some(blocking) => blocking.send(wait, effects, now),
            None => match effects.protocol_errors.refusal(now) {
                Some(error) => {
                    let replies = Err(NoReply { error, was_sent: false });
                    self.completed.push_back(CompletedRequest { id: wait.id, replies });
                }
                None => self.connections.push(BlockingConnection::open(wait, effects, now)),
            },
        }
    }

    pub(crate) fn next_completed(&mut self) -> Option<CompletedRequest> {
        self.completed.pop_front()
    }

    /// Cancels a wait whose caller has been dropped. Returns whether it was not sent, and will not be.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        self.connections.iter_mut().any(|blocking| blocking.take_unsent(id))
    }

    /// The server's client id of the connection of this wait, if known.
    pub(crate) fn client(&self, id: RequestId) -> Option<i64> {
        self.connections.iter().find(|blocking| blocking.serves(id))?.client()
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.connections.iter().map(BlockingConnection::deadline).min()
    }

    /// The connection with this id, if it is one of these.
    pub(crate) fn connection(
        &mut self,
        connection_id: ConnectionId,
    ) -> Option<&mut RespConnection> {
        let blocking = self
            .connections
            .iter_mut()
            .find(|blocking| blocking.connection_id() == connection_id)?;
        Some(blocking.connection())
    }

    /// Handles bytes that arrived on a connection.
    pub(crate) fn advance(
        &mut self,
        connection_id: ConnectionId,
        effects: &mut Effects,
        now: Moment,
    ) {
        let Some(position) = self.position(connection_id) else { return };
        while let Some(outcome) = self.connections[position].next_outcome(effects, now) {
            match outcome {
                Outcome::Completed(completed) => self.completed.push_back(completed),
                Outcome::Broken(broken) => {
                    if !self.connections[position].is_opening() {
                        effects.protocol_errors.record(&broken.error, now);
                    }
                    effects.close(connection_id);
                    self.lost(position, |_| broken);
                    return;
                }
            }
        }
        if self.connections[position].is_on_replica() && self.connections[position].is_idle() {
            effects.close(connection_id);
            self.connections.swap_remove(position);
        }
        self.close_old(effects, now);
    }

    pub(crate) fn closed(&mut self, connection_id: ConnectionId, fault: &LinkFault) {
        if let Some(position) = self.position(connection_id) {
            self.lost(position, |blocking| blocking.closed(fault));
        }
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects, now: Moment) {
        let late =
            |blocking: &BlockingConnection| !blocking.is_idle() && blocking.deadline() <= now;
        while let Some(position) = self.connections.iter().position(late) {
            effects.close(self.connections[position].connection_id());
            self.lost(position, BlockingConnection::timed_out);
        }
        self.close_old(effects, now);
    }

    /// Closes idle connections that are surplus, or so old that the name may resolve to another
    /// server.
    fn close_old(&mut self, effects: &mut Effects, now: Moment) {
        self.connections.retain(|blocking| {
            let is_old = blocking.is_idle() && blocking.deadline() <= now;
            if is_old {
                effects.close(blocking.connection_id());
            }
            !is_old
        });
    }

    /// A connection is lost.
    fn lost(&mut self, position: usize, to_no_reply: impl FnOnce(&BlockingConnection) -> NoReply) {
        let blocking = self.connections.swap_remove(position);
        let no_reply = to_no_reply(&blocking);
        if let Some(id) = blocking.into_request_id() {
            self.completed.push_back(CompletedRequest { id, replies: Err(no_reply) });
        }
    }

    fn position(&self, connection_id: ConnectionId) -> Option<usize> {
        self.connections.iter().position(|blocking| blocking.connection_id() == connection_id)
    }
}

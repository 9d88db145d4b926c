//! The connections on which reserves wait.
//!
//! Each is used by one wait at a time: a blocking command delays everything behind it.

mod waiter;

use std::collections::VecDeque;
use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::backend::{ConnectionId, LinkFault};

use crate::connection::RespConnection;
use crate::effects::Effects;
use crate::frame::Limits;
use crate::requests::{Answered, RequestId, Unanswered};

use waiter::{Outcome, Waiter};

/// A blocking command, and the script that reserves what has arrived.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) id: RequestId,
    /// Both commands, encoded.
    pub(crate) commands: Vec<u8>,
    /// The script with its source, for a server that does not know its hash.
    pub(crate) script: Vec<u8>,
    /// The limits of the script's reply.
    pub(crate) limits: Limits,
    /// How long the server waits.
    pub(crate) time: Duration,
}

/// The connections.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    waiters: Vec<Waiter>,
    answered: VecDeque<Answered>,
}

impl Waits {
    /// Starts a wait. The replies to both commands are returned by
    /// [`next_answered`](Waits::next_answered).
    pub(crate) fn send(&mut self, wait: Wait, effects: &mut Effects, now: Moment) {
        self.close_old(effects, now);
        match self.waiters.iter_mut().find(|waiter| waiter.is_free()) {
            Some(waiter) => waiter.send(wait, effects, now),
            None => self.waiters.push(Waiter::open(wait, effects, now)),
        }
    }

    pub(crate) fn next_answered(&mut self) -> Option<Answered> {
        self.answered.pop_front()
    }

    /// Cancels a wait whose caller is gone. Returns whether it was not sent, and will not be.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        self.waiters.iter_mut().any(|waiter| waiter.take_unsent(id))
    }

    /// The server's client id of the connection of this wait, if known.
    pub(crate) fn client(&self, id: RequestId) -> Option<i64> {
        self.waiters.iter().find(|waiter| waiter.carries(id))?.client()
    }

    pub(crate) fn wait_until(&self) -> Option<Moment> {
        self.waiters.iter().map(Waiter::wait_until).min()
    }

    /// The connection with this id, if it is one of these.
    pub(crate) fn connection(
        &mut self,
        connection_id: ConnectionId,
    ) -> Option<&mut RespConnection> {
        let waiter =
            self.waiters.iter_mut().find(|waiter| waiter.connection_id() == connection_id)?;
        Some(waiter.connection())
    }

    /// Handles bytes that arrived on a connection.
    pub(crate) fn advance(
        &mut self,
        connection_id: ConnectionId,
        effects: &mut Effects,
        now: Moment,
    ) {
        let Some(place) = self.place(connection_id) else { return };
        while let Some(outcome) = self.waiters[place].next_outcome(effects, now) {
            match outcome {
                Outcome::Answered(answered) => self.answered.push_back(answered),
                Outcome::Broken(broken) => {
                    effects.close(connection_id);
                    self.lost(place, |_| broken);
                    return;
                }
            }
        }
        if self.waiters[place].is_misplaced() && self.waiters[place].is_free() {
            effects.close(connection_id);
            self.waiters.swap_remove(place);
        }
        self.close_old(effects, now);
    }

    pub(crate) fn closed(&mut self, connection_id: ConnectionId, fault: &LinkFault) {
        if let Some(place) = self.place(connection_id) {
            self.lost(place, |waiter| waiter.closed(fault));
        }
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects, now: Moment) {
        let late = |waiter: &Waiter| !waiter.is_free() && waiter.wait_until() <= now;
        while let Some(place) = self.waiters.iter().position(late) {
            effects.close(self.waiters[place].connection_id());
            self.lost(place, Waiter::late);
        }
        self.close_old(effects, now);
    }

    /// Closes idle connections that are surplus, or so old that the name may resolve to another
    /// server.
    fn close_old(&mut self, effects: &mut Effects, now: Moment) {
        self.waiters.retain(|waiter| {
            let is_old = waiter.is_free() && waiter.wait_until() <= now;
            if is_old {
                effects.close(waiter.connection_id());
            }
            !is_old
        });
    }

    /// A connection is lost.
    fn lost(&mut self, place: usize, why: impl FnOnce(&Waiter) -> Unanswered) {
        let waiter = self.waiters.swap_remove(place);
        let unanswered = why(&waiter);
        if let Some(id) = waiter.into_wait() {
            self.answered.push_back(Answered { id, answers: Err(unanswered) });
        }
    }

    fn place(&self, connection_id: ConnectionId) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.connection_id() == connection_id)
    }
}

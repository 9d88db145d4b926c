//! Clients that wait for an element.

use std::time::Duration;

use super::{ClientId, Server};
use crate::redis::commands::move_first;
use crate::redis::connection::{Connection, Wait};
use crate::redis::resp::{Command, Reply};

const FORCED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed \
    (master -> replica?)";
const BY_COMMAND: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl Server {
    /// The end of the next wait.
    #[must_use]
    pub fn next_wait_ends(&self) -> Option<Duration> {
        let waits = self.waiting.iter().filter_map(|client| self.wait_of(*client));
        waits.filter_map(|wait| wait.until).min()
    }

    /// Time has passed: ends the waits that have timed out.
    pub fn tick(&mut self, now: Duration) {
        let is_over = |wait: &Wait| wait.until.is_some_and(|until| until <= now);
        let over = |client: &ClientId| self.wait_of(*client).is_some_and(is_over);
        let over: Vec<ClientId> = self.waiting.iter().copied().filter(over).collect();
        for client in over {
            self.end_wait(client, &Reply::NilArray);
        }
    }

    /// A client waits.
    pub(super) fn wait(&mut self, client: ClientId, wait: Wait) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.begin_wait(wait);
            self.waiting.push_back(client);
        }
    }

    /// `CLIENT UNBLOCK`: whether the client was waiting.
    pub(super) fn unblock(&mut self, client: ClientId, with_error: bool) -> bool {
        let waits = self.waiting.contains(&client);
        if waits {
            let error = Reply::error(BY_COMMAND);
            self.end_wait(client, if with_error { &error } else { &Reply::NilArray });
        }
        waits
    }

    /// The server has become a replica: waiting is no longer possible.
    pub(super) fn end_all_waits(&mut self) {
        for client in self.waiting.clone() {
            self.end_wait(client, &Reply::error(FORCED));
            if let Some(connection) = self.connections.get_mut(&client) {
                connection.close();
            }
        }
    }

    /// Gives elements to waiting clients: one to each, the longest waiting first.
    pub(super) fn serve_waiting(&mut self) {
        for client in self.waiting.clone() {
            let Some(Wait { from, to, .. }) = self.wait_of(client).cloned() else { continue };
            let reply = match move_first(&mut self.store, &from, &to) {
                Ok(None) => continue,
                Ok(Some(moved)) => {
                    let side = |side: &str| side.as_bytes().to_vec();
                    let moves: Command = vec![side("LMOVE"), from, to, side("LEFT"), side("RIGHT")];
                    self.note(client, None, vec![moves]);
                    Reply::Text(moved)
                }
                Err(refusal) => Reply::error(refusal.text()),
            };
            self.end_wait(client, &reply);
        }
    }

    fn end_wait(&mut self, client: ClientId, reply: &Reply) {
        self.waiting.retain(|waiting| *waiting != client);
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.end_wait(reply);
            self.woken.push_back(client);
        }
    }

    fn wait_of(&self, client: ClientId) -> Option<&Wait> {
        self.connections.get(&client).and_then(Connection::wait)
    }
}

//! The server as a whole: connections, the order of their commands, and failures.

mod execute;
mod waiting_clients;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::connection::Connection;
use super::error_state::{ErrorState, Kind};
use super::replica::Replica;
use super::resp::Command;
use super::scripts::Script;
use super::store::Store;

/// The number of a client's connection, as `CLIENT ID` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What one command or one script has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The client that sent it.
    pub by: ClientId,
    /// The script, if it was one.
    pub script: Option<Script>,
    /// The commands that changed keys.
    pub commands: Vec<Command>,
}

/// A Redis server. Times are those of its clock, since 1970.
#[derive(Clone, Debug, Default)]
pub struct Server {
    store: Store,
    replica: Replica,
    /// The SHA-1 of each script that it has loaded.
    scripts: BTreeSet<String>,
    connections: BTreeMap<ClientId, Connection>,
    /// The waiting clients, the longest waiting first.
    waiting: VecDeque<ClientId>,
    /// Clients whose waits have ended, and whose next commands are not executed yet.
    woken: VecDeque<ClientId>,
    clients: u64,
    error_state: ErrorState,
    /// After how many of its commands the next script fails, if it does.
    script_fails_after: Option<u32>,
    written: VecDeque<Written>,
}

impl Server {
    /// A server without any key.
    #[must_use]
    pub fn new() -> Self {
        Server::default()
    }

    /// A client connects.
    pub fn connect(&mut self) -> ClientId {
        self.clients += 1;
        let client = ClientId(self.clients);
        self.connections.insert(client, Connection::default());
        client
    }

    /// The connection of a client ends: its wait and its incomplete command are dropped.
    pub fn disconnect(&mut self, client: ClientId) {
        self.connections.remove(&client);
        self.waiting.retain(|waiting| *waiting != client);
        self.woken.retain(|woken| *woken != client);
    }

    /// Bytes arrive from a client. Clients whose waits end by this continue with
    /// [`wake`](Server::wake).
    pub fn receive(&mut self, client: ClientId, bytes: &[u8], now: Duration) {
        if let Some(connection) = self.connections.get_mut(&client) {
            connection.push(bytes);
            self.execute_commands(client, now);
        }
    }

    /// Clients whose waits have ended continue.
    pub fn wake(&mut self, now: Duration) {
        while let Some(client) = self.woken.pop_front() {
            self.execute_commands(client, now);
        }
    }

    /// Whether the wait of a client has ended that has not continued yet.
    #[must_use]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The bytes that are sent to a client.
    pub fn take_replies(&mut self, client: ClientId) -> Vec<u8> {
        self.connections.get_mut(&client).map(Connection::take_replies).unwrap_or_default()
    }

    /// Whether the connection ends as soon as the replies are sent.
    #[must_use]
    pub fn is_closing(&self, client: ClientId) -> bool {
        self.connections.get(&client).is_none_or(Connection::is_closing)
    }

    /// All connections.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.connections.keys().copied()
    }

    /// All keys.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The writes since the last call.
    pub fn next_written(&mut self) -> Option<Written> {
        self.written.pop_front()
    }

    /// From now on the server refuses commands for this reason.
    pub fn enter_error_state(&mut self, kind: Kind) {
        self.error_state = ErrorState::of(kind);
        if kind == Kind::ReadOnly {
            self.end_all_waits();
        }
    }

    /// The server accepts commands again.
    pub fn recover(&mut self) {
        self.error_state = ErrorState::default();
    }

    /// The next script fails after this many of its commands.
    pub fn fail_script_after(&mut self, commands: u32) {
        self.script_fails_after = Some(commands);
    }

    /// No script is made to fail any more.
    pub fn fail_no_script(&mut self) {
        self.script_fails_after = None;
    }

    /// A key is evicted.
    pub fn evict(&mut self, key: &[u8]) {
        self.store.remove(key);
        self.replica = Replica::of(&self.store);
    }

    /// The replica takes over, without this many of the last writes. All connections end, and no
    /// script is loaded.
    pub fn fail_over(&mut self, lost: usize) {
        self.restart(|replica| replica.promote(lost));
    }

    /// It restarts without any key.
    pub fn restart_empty(&mut self) {
        self.restart(|_| Store::default());
    }

    fn restart(&mut self, store: impl FnOnce(Replica) -> Store) {
        let store = store(std::mem::take(&mut self.replica));
        let clients = self.clients;
        *self = Server { replica: Replica::of(&store), store, clients, ..Server::default() };
    }

    /// Executes the commands of a client, until it waits.
    fn execute_commands(&mut self, client: ClientId, now: Duration) {
        while let Some(command) =
            self.connections.get_mut(&client).and_then(Connection::next_command)
        {
            let reply = self.execute(client, &command, now);
            if let (Some(reply), Some(connection)) = (reply, self.connections.get_mut(&client)) {
                connection.reply(&reply);
            }
            self.serve_waiting();
        }
    }

    fn note(&mut self, by: ClientId, script: Option<Script>, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        self.replica.replicate(commands.clone());
        self.written.push_back(Written { by, script, commands });
    }
}

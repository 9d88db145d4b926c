//! Connections: bytes arrive after a delay and in order, or not at all.

use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::backend::{ConnectionId, LinkFaultKind};
use ivy_sim::redis::ClientId;

use super::{ConnectionDue, ConnectionFault, ConnectionInput};
use crate::host::ProcessInput;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// After this long the server closes the connection of a process that ended without closing it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

/// One connection.
#[derive(Default)]
pub(super) struct Connection {
    /// The server's end, while it exists.
    client: Option<ClientId>,
    /// When the last bytes arrive, in each direction.
    to_server: Moment,
    to_client: Moment,
    /// The fault of the next response.
    response_fault: Option<ConnectionFault>,
    /// Nothing arrives any more at this end, which no side notices.
    silent_to_server: bool,
    silent_to_client: bool,
    is_closed_by_client: bool,
    /// Whether a fault was injected into it.
    has_fault: bool,
}

impl Connection {
    pub(super) fn is_closed_by_client(&self) -> bool {
        self.is_closed_by_client
    }
}

impl World {
    /// A process opens a connection.
    pub(super) fn open_connection(&mut self, who: ProcessId, id: ConnectionId) {
        let (now, latency) = (self.now, self.latency(who.host));
        let mut connection = Connection { to_server: now, to_client: now, ..Connection::default() };
        let process = self.sessions.processes.get_mut(&who).expect("it has requested it");
        if process.unreachable_until > now {
            let kind = process.unreachable;
            self.sessions.connections.insert((who, id), connection);
            let input = ProcessInput::Connection(id, ConnectionInput::Closed(kind));
            return self.schedule(latency, Due::ProcessInput(who, input));
        }
        connection.to_server = now + latency;
        self.sessions.connections.insert((who, id), connection);
        self.schedule(latency, Due::Connection(ConnectionDue::Connects(who, id)));
    }

    /// A connection arrives at the server.
    pub(super) fn connects(&mut self, who: ProcessId, id: ConnectionId) {
        let latency = self.latency(who.host);
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        let client = self.sessions.server.connect();
        connection.client = Some(client);
        connection.to_client = connection.to_client.max(self.now + latency);
        self.sessions.clients.insert(client, (who, id));
        let at = connection.to_client;
        self.event_queue
            .add(at, Due::ProcessInput(who, ProcessInput::Connection(id, ConnectionInput::Opened)));
    }

    /// A process sends bytes.
    pub(super) fn send_bytes(&mut self, who: ProcessId, id: ConnectionId, mut bytes: Vec<u8>) {
        let (now, latency) = (self.now, self.latency(who.host));
        let fault = match self.sessions.processes.get_mut(&who) {
            Some(process) => process.fault.take(),
            None => None,
        };
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        connection.has_fault |= fault.is_some();
        let (has_fault, is_silent) = (connection.has_fault, connection.silent_to_server);
        if has_fault {
            self.add_cause_to_connections(who, Cause::Connection);
        }
        if is_silent {
            return;
        }
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        let mut ends = None;
        match fault {
            Some(ConnectionFault::TruncateRequest { at, is_noticed }) => {
                self.sessions.requests_were_cut = true;
                bytes.truncate((at % (bytes.len() as u64 + 1)) as usize);
                connection.silent_to_server = true;
                if is_noticed {
                    ends = Some(now + latency);
                } else {
                    connection.silent_to_client = true;
                }
            }
            Some(ConnectionFault::DelayRequest(by)) => {
                connection.to_server = connection.to_server.max(now) + by
            }
            Some(response_fault) => connection.response_fault = Some(response_fault),
            None => {}
        }
        connection.to_server = connection.to_server.max(now + latency);
        let at = connection.to_server;
        self.event_queue.add(at, Due::Connection(ConnectionDue::Sends(who, id, bytes)));
        if let Some(ends) = ends {
            self.event_queue.add(at, Due::Connection(ConnectionDue::Ends(who, id)));
            let input = ProcessInput::Connection(id, ConnectionInput::Closed(LinkFaultKind::Ended));
            self.event_queue.add(ends, Due::ProcessInput(who, input));
        }
    }

    /// Bytes arrive at the server.
    pub(super) fn arrive_at_server(&mut self, who: ProcessId, id: ConnectionId, bytes: &[u8]) {
        let Some(client) =
            self.sessions.connections.get(&(who, id)).and_then(|connection| connection.client)
        else {
            return;
        };
        self.inject_server_fault();
        // A failover may have ended it.
        if self.sessions.clients.contains_key(&client) {
            let unix = self.server_unix();
            self.sessions.server.receive(client, bytes, unix);
        }
        self.after_server();
    }

    /// Sends the server's replies.
    pub(super) fn send_replies(&mut self) {
        let clients: Vec<ClientId> = self.sessions.clients.keys().copied().collect();
        for client in clients {
            let bytes = self.sessions.server.take_replies(client);
            let is_closing = self.sessions.server.is_closing(client);
            let Some((who, id)) = self.sessions.clients.get(&client).copied() else { continue };
            if !bytes.is_empty() {
                self.send_to_client(who, id, bytes);
            }
            if is_closing {
                self.end_at_server(who, id);
                self.notify_closed(who, id);
            }
        }
    }

    fn send_to_client(&mut self, who: ProcessId, id: ConnectionId, mut bytes: Vec<u8>) {
        let (now, latency) = (self.now, self.latency(who.host));
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        if connection.silent_to_client {
            return;
        }
        let fault = connection.response_fault.take();
        let mut ends = false;
        match fault {
            Some(ConnectionFault::TruncateResponse { at, is_noticed }) => {
                bytes.truncate((at % (bytes.len() as u64 + 1)) as usize);
                connection.silent_to_client = true;
                ends = is_noticed;
            }
            Some(ConnectionFault::DelayResponse(by)) => {
                connection.to_client = connection.to_client.max(now) + by
            }
            Some(ConnectionFault::DamageResponse(at)) => {
                let at = (at % (bytes.len() as u64 + 1)) as usize;
                bytes.splice(at..at, *b"\r\n1f\r\n");
            }
            _ => {}
        }
        connection.to_client = connection.to_client.max(now + latency);
        let at = connection.to_client;
        if !bytes.is_empty() {
            self.event_queue.add(
                at,
                Due::ProcessInput(
                    who,
                    ProcessInput::Connection(id, ConnectionInput::Received(bytes)),
                ),
            );
        }
        if ends {
            self.event_queue.add(at, Due::Connection(ConnectionDue::Ends(who, id)));
            let input = ProcessInput::Connection(id, ConnectionInput::Closed(LinkFaultKind::Ended));
            self.event_queue.add(at, Due::ProcessInput(who, input));
        }
    }

    /// A process closes a connection.
    pub(super) fn close_by_process(&mut self, who: ProcessId, id: ConnectionId) {
        let latency = self.latency(who.host);
        if self.sessions.connections.get(&(who, id)).is_some_and(|connection| connection.has_fault)
        {
            self.add_cause_to_connections(who, Cause::Connection);
        }
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        connection.is_closed_by_client = true;
        if connection.silent_to_server && connection.silent_to_client {
            return;
        }
        let at = connection.to_server.max(self.now + latency);
        self.event_queue.add(at, Due::Connection(ConnectionDue::Ends(who, id)));
    }

    /// The process knows that the connection has ended.
    pub(super) fn forget_connection(&mut self, who: ProcessId, id: ConnectionId) {
        if let Some(connection) = self.sessions.connections.get_mut(&(who, id)) {
            connection.is_closed_by_client = true;
            if connection.client.is_none() {
                self.sessions.connections.remove(&(who, id));
            }
        }
    }

    /// The server notices that a connection has ended.
    pub(super) fn end_at_server(&mut self, who: ProcessId, id: ConnectionId) {
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        if let Some(client) = connection.client.take() {
            self.sessions.server.disconnect(client);
            self.sessions.clients.remove(&client);
        }
        let connection = self.sessions.connections.get_mut(&(who, id));
        if connection.is_some_and(|connection| connection.is_closed_by_client) {
            self.sessions.connections.remove(&(who, id));
        }
    }

    /// The process notices that the server closed a connection, after all replies.
    pub(super) fn notify_closed(&mut self, who: ProcessId, id: ConnectionId) {
        let latency = self.latency(who.host);
        let Some(connection) = self.sessions.connections.get_mut(&(who, id)) else { return };
        if connection.silent_to_client || connection.is_closed_by_client {
            return;
        }
        connection.to_client = connection.to_client.max(self.now + latency);
        let at = connection.to_client;
        let input = ProcessInput::Connection(id, ConnectionInput::Closed(LinkFaultKind::Ended));
        self.event_queue.add(at, Due::ProcessInput(who, input));
    }

    /// A process has ended: the server notices that at once, or much later.
    pub(crate) fn end_session(&mut self, who: ProcessId) {
        if self.sessions.processes.remove(&who).is_none() {
            return;
        }
        // As when its host loses power.
        let is_unnoticed =
            self.quiet_phase.is_none() && self.injector.variation(who.host).up_to(3) == 0;
        let pause = match is_unnoticed {
            true => FORGOTTEN_AFTER,
            false => Duration::from_millis(self.injector.variation(who.host).up_to(2_000)),
        };
        let now = self.now;
        let mut ends = Vec::new();
        for ((of, id), connection) in &mut self.sessions.connections {
            if *of == who {
                connection.is_closed_by_client = true;
                connection.silent_to_client = true;
                ends.push((*id, connection.to_server.max(now + pause)));
            }
        }
        for (id, at) in ends {
            self.event_queue.add(at, Due::Connection(ConnectionDue::Ends(who, id)));
        }
    }

    /// The fault phase is over: silent connections end.
    pub(crate) fn end_silent_connections(&mut self) {
        let now = self.now;
        let mut ends = Vec::new();
        for ((who, id), connection) in &mut self.sessions.connections {
            connection.response_fault = None;
            if connection.silent_to_client
                || connection.silent_to_server
                || connection.is_closed_by_client
            {
                ends.push((*who, *id, connection.to_server.max(now + Duration::from_secs(1))));
            }
        }
        for (who, id, at) in ends {
            self.event_queue.add(at, Due::Connection(ConnectionDue::Ends(who, id)));
            let input = ProcessInput::Connection(id, ConnectionInput::Closed(LinkFaultKind::Ended));
            self.event_queue.add(at, Due::ProcessInput(who, input));
        }
        for process in self.sessions.processes.values_mut() {
            process.fault = None;
            process.unreachable_until = now;
        }
    }

    /// Whether every connection belongs to a running process and works.
    pub(crate) fn connections_are_settled(&self) -> bool {
        let of_living = |who: &ProcessId| self.host(*who).is_some();
        self.sessions.connections.iter().all(|((who, _), connection)| {
            of_living(who) && !connection.is_closed_by_client && !connection.silent_to_server
        })
    }

    /// Whether a fault was injected into a connection that the process still uses.
    pub(super) fn has_failed_connection(&self, who: ProcessId) -> bool {
        let mut connections = self.sessions.connections.iter();
        connections.any(|((of, _), connection)| {
            *of == who && connection.has_fault && !connection.is_closed_by_client
        })
    }

    /// A fault of a process's connections may affect every operation on them.
    pub(super) fn add_cause_to_connections(&mut self, who: ProcessId, cause: Cause) {
        let Some(process) = self.sessions.processes.get(&who) else { return };
        for (_, op) in process.pending.values() {
            self.checker.add_cause_to_request(op, cause);
        }
        self.checker.add_cause_to_held(who.host, cause);
        self.hosts[who.host].had_fault = true;
    }
}

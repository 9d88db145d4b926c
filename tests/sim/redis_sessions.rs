//! Processes that use a Redis server: the session of each, its connections, and the model of the
//! server.

mod accounting;
mod copies;
mod server_faults;
mod transport;

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::backend::{
    CommandId, ConnectionId, Input, LinkFault, LinkFaultKind, Output, Session, SessionStart,
};
use ivy_proto::queue::{Fault as QueueFault, QueueOp, QueueReply};
use ivy_proto::{MessageId, Moment, OpId};
use ivy_redis::{RedisAddress, RedisSession};
use ivy_sim::redis::{ClientId, Server, Store};

use crate::fault_injection::stream_of;
use crate::host::ProcessInput;
use crate::setup::UNIX_AT_START;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

use copies::AllCopies;
pub(crate) use server_faults::{ConnectionFault, EVICTED_KEYS};
use transport::Connection;

/// The first stream of the sessions' random bytes, far from the streams of the components.
const SESSIONS: u64 = 1 << 40;

/// The server, the sessions, and what the law checker knows about the keys.
#[derive(Default)]
pub(crate) struct Sessions {
    server: Server,
    processes: BTreeMap<ProcessId, ProcessSession>,
    connections: BTreeMap<(ProcessId, ConnectionId), Connection>,
    clients: BTreeMap<ClientId, (ProcessId, ConnectionId)>,
    /// The client of messages that no process of ivy posts.
    other_program: Option<ClientId>,
    foreign_messages: u64,
    /// When the next wait of the server ends.
    server_tick: Option<Moment>,
    /// The keys, after each single write.
    seen: Store,
    copies: AllCopies,
    /// The process of each reserve, by the reserve's name.
    owners: BTreeMap<Vec<u8>, ProcessId>,
    /// The time of each message's last reserve.
    granted: BTreeMap<MessageId, Moment>,
    /// Whether leases were lost, so that messages may be made ready before the end of their lease.
    leases_were_lost: bool,
    /// Whether a request may have arrived only in part.
    requests_were_cut: bool,
    /// Whether the server's clock was set.
    pub(crate) clock_was_set: bool,
    /// Until when the server refuses commands, if it does.
    refusing_until: Option<Moment>,
}

/// The session of a process.
struct ProcessSession {
    session: RedisSession,
    commands: u64,
    /// Operations without a reply yet.
    pending: BTreeMap<CommandId, (OpId, QueueOp)>,
    tick_at: Option<Moment>,
    /// Whether its last input was a tick.
    was_ticked: bool,
    /// The fault of the next bytes that it sends.
    fault: Option<ConnectionFault>,
    /// Until when every new connection fails.
    unreachable_until: Moment,
    unreachable: LinkFaultKind,
}

/// An event at the server's end of a connection, or at the server.
pub(crate) enum ConnectionDue {
    Connects(ProcessId, ConnectionId),
    Sends(ProcessId, ConnectionId, Vec<u8>),
    /// The server notices that a connection has ended.
    Ends(ProcessId, ConnectionId),
    ServerTick,
    /// Clients whose waits have ended continue.
    ServerWakes,
    /// The server accepts commands again.
    ServerRecovers,
}

/// An event at the process's end of a connection.
pub(crate) enum ConnectionInput {
    Opened,
    Received(Vec<u8>),
    Closed(LinkFaultKind),
}

impl World {
    /// Whether each process runs a session.
    pub(crate) fn has_sessions(&self) -> bool {
        self.setup.backend.has_sessions()
    }

    /// Starts the session of a process.
    pub(crate) fn start_session(&mut self, who: ProcessId) {
        if !self.has_sessions() {
            return;
        }
        let number = (u64::from(who.incarnation) << 16) + who.host as u64 + SESSIONS;
        let random = stream_of(self.setup.seed, number).sixteen_bytes();
        let wall = self.hosts[who.host].wall.known();
        let session = RedisSession::new(address(), SessionStart::new(random, wall));
        let process = ProcessSession {
            session,
            commands: 0,
            pending: BTreeMap::new(),
            tick_at: None,
            was_ticked: false,
            fault: None,
            unreachable_until: Moment::EPOCH,
            unreachable: LinkFaultKind::Unreachable,
        };
        self.sessions.processes.insert(who, process);
    }

    /// A machine's session executes an operation, with a fault of the bytes that it sends next.
    pub(crate) fn execute_by_session(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        op: QueueOp,
        fault: Option<ConnectionFault>,
    ) {
        let local = self.hosts[who.host].clock.show(self.now);
        let Some(process) = self.sessions.processes.get_mut(&who) else { return };
        process.fault = fault.or(process.fault.take());
        process.commands += 1;
        let command = CommandId(process.commands);
        process.pending.insert(command, (op_id, op.clone()));
        process.session.handle_input(Input::Execute(command, op), local);
        // It may wait for the replies of a connection that has failed.
        if self.has_failed_connection(who) {
            self.add_cause_to_connections(who, Cause::Connection);
        }
        self.follow_session(who);
    }

    /// A machine cancels an operation.
    pub(crate) fn cancel_by_session(&mut self, who: ProcessId, op: OpId) {
        let local = self.hosts[who.host].clock.show(self.now);
        let Some(process) = self.sessions.processes.get_mut(&who) else { return };
        let is_this = |(_, pending): &(&CommandId, &(OpId, QueueOp))| pending.0 == op;
        let command = process.pending.iter().find(is_this).map(|(command, _)| *command);
        if let Some(command) = command {
            process.pending.remove(&command);
            process.session.handle_input(Input::Cancel(command), local);
            self.follow_session(who);
        }
    }

    /// An event at a connection of a process.
    pub(crate) fn connection_input(
        &mut self,
        who: ProcessId,
        id: ConnectionId,
        event: &ConnectionInput,
    ) {
        let local = self.hosts[who.host].clock.show(self.now);
        let Some(connection) = self.sessions.connections.get(&(who, id)) else { return };
        if connection.is_closed_by_client() {
            return;
        }
        if let ConnectionInput::Closed(_) = event {
            self.add_cause_to_connections(who, Cause::Connection);
        }
        let Some(process) = self.sessions.processes.get_mut(&who) else { return };
        let input = match event {
            ConnectionInput::Opened => Input::Opened(id),
            ConnectionInput::Received(bytes) => Input::Received(id, bytes),
            ConnectionInput::Closed(kind) => Input::Closed(id, LinkFault::new(*kind, "it ended")),
        };
        process.session.handle_input(input, local);
        if let ConnectionInput::Closed(_) = event {
            self.forget_connection(who, id);
        }
        self.follow_session(who);
    }

    /// The deadline of a session has passed.
    pub(crate) fn tick_session(&mut self, who: ProcessId) {
        let local = self.hosts[who.host].clock.show(self.now);
        let now = self.now;
        let Some(process) = self.sessions.processes.get_mut(&who) else { return };
        if process.tick_at != Some(now) {
            return;
        }
        process.tick_at = None;
        process.session.handle_input(Input::Tick, local);
        process.was_ticked = true;
        self.follow_session(who);
        if let Some(process) = self.sessions.processes.get_mut(&who) {
            process.was_ticked = false;
        }
    }

    /// Executes the outputs of a process's session.
    pub(crate) fn follow_session(&mut self, who: ProcessId) {
        loop {
            let Some(process) = self.sessions.processes.get_mut(&who) else { return };
            match process.session.poll_output() {
                Output::Open(id, _) => self.open_connection(who, id),
                Output::Send(id, bytes) => self.send_bytes(who, id, bytes),
                Output::Close(id) => self.close_by_process(who, id),
                Output::Executed(command, reply) => {
                    let pending = process.pending.remove(&command);
                    if let Some((id, op)) = pending {
                        self.check_deleted(who, &op, &reply);
                        self.executed(who, id, reply);
                    }
                }
                Output::Event(event) => {
                    let now = self.now;
                    self.trace.note(now, who, || format!("its session reports {event:?}"));
                }
                Output::Published(..) | Output::SubscriptionEvent(..) => {
                    self.checker.broken("S11", || "a session reported a publication".to_owned());
                }
                Output::Wait(until) => return self.set_session_tick(who, until),
            }
        }
    }

    /// The clock of a process has changed: its session's deadline is at another true time.
    pub(crate) fn reset_session_tick(&mut self, who: ProcessId) {
        let Some(process) = self.sessions.processes.get_mut(&who) else { return };
        if let Output::Wait(Some(until)) = process.session.poll_output() {
            let at = self.hosts[who.host].clock.when(until).max(self.now);
            process.tick_at = Some(at);
            self.event_queue.add(at, Due::ProcessInput(who, ProcessInput::SessionTick));
        }
    }

    fn set_session_tick(&mut self, who: ProcessId, until: Option<Moment>) {
        let (now, clock) = (self.now, self.hosts[who.host].clock);
        let Some(process) = self.sessions.processes.get_mut(&who) else { return };
        let Some(until) = until else {
            process.tick_at = None;
            return;
        };
        let local = clock.show(now);
        // Another input may leave a deadline in the past; the tick that follows at once must not.
        if until <= local && process.was_ticked {
            let what = format!("the session of {who:?} waits for {until:?} and it is {local:?}");
            return self.checker.broken("S7", || what);
        }
        let at = clock.when(until).max(now);
        if process.tick_at != Some(at) {
            process.tick_at = Some(at);
            self.event_queue.add(at, Due::ProcessInput(who, ProcessInput::SessionTick));
        }
    }

    /// A session passes the result of an operation to its machine.
    fn executed(&mut self, who: ProcessId, op: OpId, reply: Result<QueueReply, QueueFault>) {
        let now = self.now;
        self.trace.note(now, who, || format!("its session returns {op:?} {reply:?}"));
        let ids = crate::network::receipts(&reply).map(|receipt| receipt.message);
        let granted = ids.filter_map(|id| self.sessions.granted.get(&id).copied()).min();
        let input = ProcessInput::Reply(op, reply, granted.unwrap_or(now));
        self.event_queue.add(now, Due::ProcessInput(who, input));
    }

    /// Handles an event at the server.
    pub(crate) fn connection_due(&mut self, due: ConnectionDue) {
        match due {
            ConnectionDue::Connects(who, id) => self.connects(who, id),
            ConnectionDue::Sends(who, id, bytes) => self.arrive_at_server(who, id, &bytes),
            ConnectionDue::Ends(who, id) => self.end_at_server(who, id),
            ConnectionDue::ServerTick => {
                if self.sessions.server_tick == Some(self.now) {
                    self.sessions.server_tick = None;
                    let unix = self.server_unix();
                    self.sessions.server.tick(unix);
                    self.after_server();
                }
            }
            ConnectionDue::ServerWakes => {
                let unix = self.server_unix();
                self.sessions.server.wake(unix);
                self.check_claimed_is_empty();
                self.after_server();
            }
            ConnectionDue::ServerRecovers => {
                if self.sessions.refusing_until.is_some_and(|until| until <= self.now) {
                    self.recover_server();
                }
            }
        }
    }

    /// The server's clock, as the time since 1970.
    pub(crate) fn server_unix(&self) -> Duration {
        UNIX_AT_START + self.broker_now().since(Moment::EPOCH)
    }

    /// After each change at the server: checks its writes, and sends its replies.
    fn after_server(&mut self) {
        self.account();
        self.send_replies();
        if self.sessions.server.has_woken() {
            self.event_queue.add(self.now, Due::Connection(ConnectionDue::ServerWakes));
        }
        let ends = self.sessions.server.next_wait_ends();
        let at = ends.map(|ends| {
            let shown = Moment::after_epoch(ends.saturating_sub(UNIX_AT_START));
            self.broker_clock.when(shown).max(self.now)
        });
        if let Some(at) = at
            && self.sessions.server_tick != Some(at)
        {
            self.sessions.server_tick = Some(at);
            self.event_queue.add(at, Due::Connection(ConnectionDue::ServerTick));
        }
    }
}

fn address() -> RedisAddress {
    RedisAddress {
        tls: false,
        host: "redis.example".to_owned(),
        port: 6379,
        user: None,
        password: None,
        database: None,
    }
}

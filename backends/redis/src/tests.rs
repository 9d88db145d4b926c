//! The session against scripted servers.

mod operations;
mod protocol_errors;
mod publishing;
mod subscribing;
mod unusable;
mod waiting;

use std::time::Duration;

use ivy_proto::backend::{
    CommandId, ConnectionId, Endpoint, Input, LinkFault, LinkFaultKind, Output, Session,
    SessionStart, SubscriptionEvent,
};
use ivy_proto::event::Event;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{
    Batch, Body, Fault, FaultKind, NewMessage, QueueOp, QueueReply, ReceivedBody,
};
use ivy_proto::{ChannelName, Moment, QueueName, Receipt, Secret};

use super::*;

pub(crate) const PASSWORD: &str = "correct horse";
const HELLO: &str =
    "*6\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$5\r\nproto\r\n:2\r\n";

/// The address of a server, for a user with this password.
pub(crate) fn address(user: Option<&str>, password: Option<&str>) -> RedisAddress {
    RedisAddress {
        tls: false,
        host: "redis.example".to_owned(),
        port: 6379,
        user: user.map(str::to_owned),
        password: password.map(Secret::new),
        database: None,
    }
}

/// A session, and its effects so far.
struct Harness {
    session: RedisSession,
    now: Moment,
    opened: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
    sent: Vec<(ConnectionId, String)>,
    executed: Vec<(u64, Result<QueueReply, Fault>)>,
    published: Vec<(u64, Result<u64, NotifyFault>)>,
    subscription_events: Vec<(u64, SubscriptionEvent)>,
    events: Vec<Event>,
    deadline: Option<Moment>,
}

impl Harness {
    fn new() -> Self {
        Harness::with_user(None)
    }

    fn with_user(user: Option<&str>) -> Self {
        let session = RedisSession::new(address(user, Some(PASSWORD)), SessionStart::default());
        Harness {
            session,
            now: Moment::EPOCH,
            opened: Vec::new(),
            closed: Vec::new(),
            sent: Vec::new(),
            executed: Vec::new(),
            published: Vec::new(),
            subscription_events: Vec::new(),
            events: Vec::new(),
            deadline: None,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle_input(input, self.now);
        loop {
            match self.session.poll_output() {
                Output::Open(connection_id, Endpoint { host, port, tls }) => {
                    assert_eq!((host.as_str(), port, tls), ("redis.example", 6379, false));
                    self.opened.push(connection_id);
                }
                Output::Send(connection_id, bytes) => {
                    assert!(
                        self.opened.contains(&connection_id)
                            && !self.closed.contains(&connection_id)
                    );
                    self.sent.push((connection_id, String::from_utf8(bytes).unwrap()));
                }
                Output::Close(connection_id) => self.closed.push(connection_id),
                Output::Published(CommandId(command_id), result) => {
                    self.published.push((command_id, result))
                }
                Output::SubscriptionEvent(CommandId(command_id), event) => {
                    self.subscription_events.push((command_id, event))
                }
                Output::Event(event) => self.events.push(event),
                Output::Executed(CommandId(command_id), result) => {
                    self.executed.push((command_id, result))
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn execute(&mut self, command_id: u64, op: QueueOp) {
        self.handle(Input::Execute(CommandId(command_id), op));
    }

    fn publish(&mut self, command_id: u64, channel: &str) {
        let channel = ChannelName::new(channel).unwrap();
        let publication = Publication { channel, payload: Body::new("{}") };
        self.handle(Input::Publish(CommandId(command_id), publication));
    }

    fn subscribe(&mut self, command_id: u64, channels: &[&str]) {
        let channels = channels.iter().map(|name| ChannelName::new(name).unwrap()).collect();
        self.handle(Input::Subscribe(CommandId(command_id), channels));
    }

    /// The server sends this on the last connection.
    fn receive(&mut self, text: &str) {
        let connection_id = self.connection_id();
        self.receive_on(connection_id, text);
    }

    fn receive_on(&mut self, connection_id: ConnectionId, text: &str) {
        self.handle(Input::Received(connection_id, text.as_bytes()));
    }

    /// The last connection opens, and the server accepts the credentials.
    fn accept(&mut self) {
        let connection_id = self.connection_id();
        self.handle(Input::Opened(connection_id));
        self.receive("+OK\r\n");
    }

    /// The same for the connection for requests, whose server describes itself.
    fn accept_publisher(&mut self) {
        self.accept();
        self.receive(HELLO);
    }

    fn fail(&mut self, kind: LinkFaultKind) {
        let connection_id = self.connection_id();
        self.handle(Input::Closed(connection_id, LinkFault::new(kind, "it is broken")));
    }

    /// Time passes, in the steps that the session requests.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.deadline
            && deadline <= until
        {
            self.now = self.now.max(deadline);
            self.handle(Input::Tick);
            assert!(self.deadline.is_none_or(|next| next > deadline), "a tick makes progress");
        }
        self.now = until;
    }

    fn connection_id(&self) -> ConnectionId {
        *self.opened.last().unwrap()
    }

    fn last_sent(&self) -> &str {
        &self.sent.last().unwrap().1
    }

    /// Everything sent on a connection.
    fn sent_on(&self, connection_id: ConnectionId) -> String {
        self.sent
            .iter()
            .filter(|(on, _)| *on == connection_id)
            .map(|(_, sent)| sent.as_str())
            .collect()
    }

    fn last_executed(&self) -> &Result<QueueReply, Fault> {
        &self.executed.last().unwrap().1
    }

    fn last_published(&self) -> &Result<u64, NotifyFault> {
        &self.published.last().unwrap().1
    }

    fn last_fault(&self) -> NotifyFault {
        match (self.subscription_events.last(), self.published.last()) {
            (Some((_, SubscriptionEvent::Lost(fault))), _) | (_, Some((_, Err(fault)))) => {
                fault.clone()
            }
            other => panic!("no fault: {other:?}"),
        }
    }
}

/// Encoded replies: a string, and several in an array.
fn text(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn array(texts: &[&str]) -> String {
    let elements: String = texts.iter().map(|element| text(element)).collect();
    format!("*{}\r\n{elements}", texts.len())
}

/// An encoded command.
fn command(parts: &[&str]) -> String {
    let parts = parts.iter().map(|part| format!("${}\r\n{part}\r\n", part.len()));
    let parts: Vec<_> = parts.collect();
    format!("*{}\r\n{}", parts.len(), parts.concat())
}

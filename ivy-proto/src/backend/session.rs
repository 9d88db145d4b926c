//! Backends that converse over connections, as machines without IO.

use std::any::Any;
use std::fmt;

use crate::event::Event;
use crate::name::ChannelName;
use crate::notify::{NotifyFault, Publication};
use crate::queue::{Fault, QueueOp, QueueReply};
use crate::time::{Moment, WallClock};

use super::SubscriptionEvent;

/// A backend that converses over connections of its own: what is asked of it goes in together with the
/// bytes that arrive, and what is to be sent comes out together with the answers.
///
/// A session decides when connections are opened, checked, replaced and closed, and how long anything
/// may take. An executor does that: it opens them, writes while it reads, and hands in what happened.
/// After each input it takes outputs until [`Output::Wait`]. The executor of `ivy-driver` runs a
/// session over any runtime; tests drive one by hand.
///
/// # Contract
///
/// * Each [`CommandId`] of an operation or a publication is answered once, unless it is cancelled first.
/// * A subscription is heard of until [`SubscriptionEvent::Lost`] or its cancellation.
/// * A [`ConnectionId`] is opened once. After [`Output::Close`] or [`Input::Closed`] it is not mentioned again
///   by either side.
pub trait Session: Any + fmt::Debug + Send {
    /// Takes in what has happened.
    fn handle_input(&mut self, input: Input<'_>, now: Moment);

    /// The next thing to do.
    fn poll_output(&mut self) -> Output;
}

/// What a new session is given, beside its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStart {
    /// Random bytes, which no other session has.
    pub random: [u8; 16],
    /// The wall clock as it is now.
    pub wall: WallClock,
}

impl SessionStart {
    /// What a session is given whose random bytes are these.
    #[must_use]
    pub const fn new(random: [u8; 16], wall: WallClock) -> Self {
        SessionStart { random, wall }
    }
}

/// Names one thing that was asked of a session. The executor numbers them, and uses no number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Names one connection of a session, among all that it ever opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What a session hears.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing but that time has passed.
    Tick,
    /// Execute an operation.
    Execute(CommandId, QueueOp),
    /// Publish.
    Publish(CommandId, Publication),
    /// Subscribe to these channels, until the ticket is cancelled.
    Subscribe(CommandId, Vec<ChannelName>),
    /// Nobody waits for this any more: neither for its answer nor for what a subscription brings.
    Cancel(CommandId),
    /// The connection stands, TLS included.
    Opened(ConnectionId),
    /// These bytes arrived.
    Received(ConnectionId, &'a [u8]),
    /// The connection could not be opened, or has ended.
    Closed(ConnectionId, LinkFault),
}

/// What a session wants done.
#[derive(Debug)]
pub enum Output {
    /// Open a connection, and report [`Input::Opened`] or [`Input::Closed`].
    Open(ConnectionId, Endpoint),
    /// Send these bytes, after those of the line that were to be sent before.
    Send(ConnectionId, Vec<u8>),
    /// Close the connection, or open it no more.
    Close(ConnectionId),
    /// The answer to an operation.
    Executed(CommandId, Result<QueueReply, Fault>),
    /// How many subscribers a publication has reached.
    Published(CommandId, Result<u64, NotifyFault>),
    /// What a subscription brings. While it is not taken, the line that brought it is not read.
    SubscriptionEvent(CommandId, SubscriptionEvent),
    /// Something that an operator may want to know.
    Event(Event),
    /// Nothing, until the next input. A moment: hand in [`Input::Tick`] by then.
    Wait(Option<Moment>),
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host: a name or an address, an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct LinkFault {
    kind: LinkFaultKind,
    detail: String,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkFaultKind {
    /// The host has no address, or none of them answered.
    Unreachable,
    /// No secure connection could be made.
    Tls,
    /// The connection stood, and has ended.
    Ended,
}

impl LinkFault {
    /// A failure of this kind, in the words of the system.
    #[must_use]
    pub fn new(kind: LinkFaultKind, detail: impl Into<String>) -> Self {
        LinkFault { kind, detail: detail.into() }
    }

    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> LinkFaultKind {
        self.kind
    }
}

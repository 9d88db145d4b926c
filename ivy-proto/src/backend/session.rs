//! Backends with connections, as machines without IO.

use std::any::Any;
use std::fmt;

use crate::event::Event;
use crate::name::ChannelName;
use crate::notify::{NotifyFault, Publication};
use crate::queue::{Fault, QueueOp, QueueReply};
use crate::time::{Moment, WallClock};

use super::SubscriptionEvent;

/// A backend with connections of its own: commands and received bytes go in, bytes to send and
/// replies come out.
///
/// A session decides when connections are opened, checked, replaced and closed, and how long
/// anything may take. An executor carries this out: it opens connections, reads and writes
/// concurrently, and feeds what happened. After each input it polls outputs until [`Output::Wait`].
/// The executor of `ivy-driver` runs a session on any runtime; tests drive one by hand.
///
/// # Contract
///
/// * Each [`CommandId`] of an operation or a publication gets exactly one reply, unless it is
///   cancelled first.
/// * A subscription yields events until [`SubscriptionEvent::Lost`] or its cancellation.
/// * A [`ConnectionId`] is opened once. After [`Output::Close`] or [`Input::Closed`], neither side
///   mentions it again.
pub trait Session: Any + fmt::Debug + Send {
    /// Handles an input.
    fn handle_input(&mut self, input: Input<'_>, now: Moment);

    /// The next output.
    fn poll_output(&mut self) -> Output;
}

/// The parameters of a new session, in addition to its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStart {
    /// Random bytes, unique to this session.
    pub random: [u8; 16],
    /// The current wall clock.
    pub wall: WallClock,
}

impl SessionStart {
    /// The parameters of a session with these random bytes.
    #[must_use]
    pub const fn new(random: [u8; 16], wall: WallClock) -> Self {
        SessionStart { random, wall }
    }
}

/// Identifies a command. The executor numbers the commands and never reuses a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Identifies a connection of a session. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// An input of a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Time has passed.
    Tick,
    /// Execute an operation.
    Execute(CommandId, QueueOp),
    /// Publish a notice.
    Publish(CommandId, Publication),
    /// Subscribe to these channels, until the command is cancelled.
    Subscribe(CommandId, Vec<ChannelName>),
    /// Cancel a command: no caller waits for its reply or its events any more.
    Cancel(CommandId),
    /// The connection is established, including TLS.
    Opened(ConnectionId),
    /// These bytes arrived.
    Received(ConnectionId, &'a [u8]),
    /// The connection could not be opened, or has ended.
    Closed(ConnectionId, LinkFault),
}

/// An output of a session.
#[derive(Debug)]
pub enum Output {
    /// Open a connection, and report [`Input::Opened`] or [`Input::Closed`].
    Open(ConnectionId, Endpoint),
    /// Send these bytes on the connection, after those of earlier outputs.
    Send(ConnectionId, Vec<u8>),
    /// Close the connection, or stop opening it.
    Close(ConnectionId),
    /// The reply to an operation.
    Executed(CommandId, Result<QueueReply, Fault>),
    /// The number of subscribers that a publication reached.
    Published(CommandId, Result<u64, NotifyFault>),
    /// An event of a subscription. Until it is consumed, nothing more is read from its connection.
    SubscriptionEvent(CommandId, SubscriptionEvent),
    /// An event for the operator.
    Event(Event),
    /// Nothing to do until the next input. Feed [`Input::Tick`] at this moment at the latest, if
    /// there is one.
    Wait(Option<Moment>),
}

/// The remote end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address; an IPv6 address has brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Why a connection failed or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct LinkFault {
    kind: LinkFaultKind,
    detail: String,
}

/// The kind of a [`LinkFault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkFaultKind {
    /// The host has no address, or none of its addresses responded.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// The connection was established, and has ended.
    Ended,
}

impl LinkFault {
    /// A failure of this kind, with the system's error text.
    #[must_use]
    pub fn new(kind: LinkFaultKind, detail: impl Into<String>) -> Self {
        LinkFault { kind, detail: detail.into() }
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> LinkFaultKind {
        self.kind
    }
}

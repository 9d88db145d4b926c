//! The executor of a session: connections, time and commands.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_channel::{mpsc, oneshot};
use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use futures_util::io::{AsyncRead, AsyncWrite};
use futures_util::stream::StreamExt;
use ivy_proto::backend::{
    CommandId, ConnectionId, Input, LinkFault, LinkFaultKind, Output, Session,
};
use ivy_proto::notify::{NotifyFault, Publication};
use ivy_proto::queue::{Fault, QueueOp, QueueReply};
use ivy_proto::{ChannelName, Moment};
use rustc_hash::FxHashMap;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::events::EventSink;
use crate::runtime::Runtime;
use crate::tls::{Tls, is_tls};

use super::readiness::Readiness;
use super::stream::{self, BoxedStream};
use super::subscription_channel::Writer;

/// How many commands are taken in before anything is sent, so that they are sent together.
const BATCH: usize = 256;
/// Steps per poll before the executor yields.
const TURN: usize = 64;
/// The maximum number of bytes that one read returns.
const PIECE: usize = 16 * 1024;

/// A command to the session.
pub(super) enum SessionCommand {
    Execute(CommandId, QueueOp, oneshot::Sender<Result<QueueReply, Fault>>),
    Publish(CommandId, Publication, oneshot::Sender<Result<u64, NotifyFault>>),
    Subscribe(CommandId, Vec<ChannelName>, Writer),
    Cancel(CommandId),
}

/// A session with its connections and pending commands.
pub(super) struct SessionExecutor<R> {
    session: Box<dyn Session>,
    mailbox: mpsc::UnboundedReceiver<SessionCommand>,
    tls: Option<Tls>,
    clock: Clock<R>,
    events: EventSink,
    connections: Vec<(ConnectionId, Connection)>,
    waiting: FxHashMap<CommandId, Requester>,
    /// When the next [`Input::Tick`] is due.
    deadline: Option<Moment>,
    alarm: Alarm<R>,
    piece: Vec<u8>,
}

/// The receiver of a command's result.
enum Requester {
    Executed(oneshot::Sender<Result<QueueReply, Fault>>),
    Published(oneshot::Sender<Result<u64, NotifyFault>>),
    SubscriptionEvent(Writer),
}

struct Connection {
    readiness: Readiness,
    stage: Stage,
}

enum Stage {
    Opening(BoxFuture<'static, Result<BoxedStream, LinkFault>>),
    Open(Open),
}

struct Open {
    stream: BoxedStream,
    outgoing: Vec<u8>,
    /// How many of these bytes are sent.
    sent: usize,
    is_flushed: bool,
    /// Whether sending has failed. Bytes that the server sent before are still read.
    is_broken: bool,
    /// The subscription whose reader must catch up before more is read.
    held_up_by: Option<CommandId>,
}

/// An event on a connection.
enum ConnectionEvent {
    Opened(BoxedStream),
    Received(usize),
    Closed(LinkFault),
}

impl<R: Runtime> SessionExecutor<R> {
    pub(super) fn new(
        session: Box<dyn Session>,
        mailbox: mpsc::UnboundedReceiver<SessionCommand>,
        tls: Option<Tls>,
        clock: Clock<R>,
        events: EventSink,
    ) -> Self {
        SessionExecutor {
            session,
            mailbox,
            tls,
            clock,
            events,
            connections: Vec::new(),
            waiting: FxHashMap::default(),
            deadline: None,
            alarm: Alarm::new(clock),
            piece: vec![0; PIECE],
        }
    }

    /// Runs until no sender of commands is left.
    pub(super) async fn run(mut self) {
        let mut turns = TURN;
        loop {
            let next = |context: &mut Context<'_>| {
                if turns == 0 {
                    turns = TURN;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let is_on = ready!(self.poll_next(context));
                turns -= 1;
                Poll::Ready(is_on)
            };
            if !poll_fn(next).await {
                return;
            }
        }
    }

    /// Waits until an event has happened and passes it to the session: first commands, then timers,
    /// then received bytes. Returns whether more may follow.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let mut taken = 0;
        while taken < BATCH
            && let Poll::Ready(command) = self.mailbox.poll_next_unpin(context)
        {
            let Some(command) = command else { return Poll::Ready(false) };
            self.take(command);
            taken += 1;
        }
        let is_due = taken == 0 && self.alarm.poll(self.deadline, context).is_ready();
        if is_due {
            self.handle_input(Input::Tick, None);
        }
        let has_happened = self.poll_connections(context);
        if taken > 0 || is_due || has_happened { Poll::Ready(true) } else { Poll::Pending }
    }

    fn take(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::Execute(command_id, op, sender) => {
                self.waiting.insert(command_id, Requester::Executed(sender));
                self.handle_input(Input::Execute(command_id, op), None);
            }
            SessionCommand::Publish(command_id, publication, sender) => {
                self.waiting.insert(command_id, Requester::Published(sender));
                self.handle_input(Input::Publish(command_id, publication), None);
            }
            SessionCommand::Subscribe(command_id, channels, writer) => {
                self.waiting.insert(command_id, Requester::SubscriptionEvent(writer));
                self.handle_input(Input::Subscribe(command_id, channels), None);
            }
            SessionCommand::Cancel(command_id) => {
                if self.waiting.remove(&command_id).is_some() {
                    self.handle_input(Input::Cancel(command_id), None);
                }
            }
        }
    }

    /// Sends and reads on each connection. Returns whether any event has happened.
    fn poll_connections(&mut self, context: &mut Context<'_>) -> bool {
        let mut has_happened = false;
        let mut index = 0;
        while let Some((id, connection)) = self.connections.get_mut(index) {
            let id = *id;
            let happened = connection.poll(context, &mut self.piece, &self.waiting);
            let Poll::Ready(happened) = happened else {
                index += 1;
                continue;
            };
            has_happened = true;
            match happened {
                ConnectionEvent::Opened(stream) => {
                    connection.stage = Stage::Open(Open::new(stream));
                    self.handle_input(Input::Opened(id), None);
                }
                ConnectionEvent::Received(length) => {
                    let piece = std::mem::take(&mut self.piece);
                    self.handle_input(Input::Received(id, &piece[..length]), Some(id));
                    self.piece = piece;
                }
                ConnectionEvent::Closed(fault) => {
                    self.connections.remove(index);
                    self.handle_input(Input::Closed(id, fault), None);
                }
            }
            // The session may have closed it.
            if self.connections.get(index).is_some_and(|(other, _)| *other == id) {
                index += 1;
            }
        }
        has_happened
    }

    /// Passes an input to the session, received from a connection if `from` is given, and executes
    /// its outputs.
    fn handle_input(&mut self, input: Input<'_>, from: Option<ConnectionId>) {
        self.session.handle_input(input, self.clock.now());
        loop {
            match self.session.poll_output() {
                Output::Open(id, endpoint) => {
                    let opening = stream::open::<R>(endpoint, self.tls.clone()).map_err(not_opened);
                    self.connections.push((id, Connection::new(opening.boxed())));
                }
                Output::Send(id, bytes) => {
                    if let Some((readiness, open)) = self.open(id) {
                        open.send(bytes);
                        readiness.set();
                    }
                }
                Output::Close(id) => self.connections.retain(|(other, _)| *other != id),
                Output::Executed(command_id, result) => {
                    if let Some(Requester::Executed(waiting)) = self.waiting.remove(&command_id) {
                        // The caller may have been dropped, here and below.
                        let _ = waiting.send(result);
                    }
                }
                Output::Published(command_id, result) => {
                    if let Some(Requester::Published(waiting)) = self.waiting.remove(&command_id) {
                        let _ = waiting.send(result);
                    }
                }
                Output::SubscriptionEvent(command_id, event) => {
                    if let Some(Requester::SubscriptionEvent(reader)) =
                        self.waiting.get(&command_id)
                    {
                        reader.write(event);
                        if let Some((_, open)) = from.and_then(|id| self.open(id)) {
                            open.held_up_by = Some(command_id);
                        }
                    }
                }
                Output::Event(event) => self.events.emit(event),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn open(&mut self, id: ConnectionId) -> Option<(&Readiness, &mut Open)> {
        self.connections.iter_mut().find_map(|(other, connection)| match &mut connection.stage {
            Stage::Open(open) if *other == id => Some((&connection.readiness, open)),
            _ => None,
        })
    }
}

impl Connection {
    fn new(opening: BoxFuture<'static, Result<BoxedStream, LinkFault>>) -> Self {
        Connection { readiness: Readiness::new(), stage: Stage::Opening(opening) }
    }

    /// Sends and reads, if it was woken or has more to send.
    fn poll(
        &mut self,
        context: &Context<'_>,
        piece: &mut [u8],
        waiting: &FxHashMap<CommandId, Requester>,
    ) -> Poll<ConnectionEvent> {
        if !self.readiness.take(context) {
            return Poll::Pending;
        }
        let event =
            self.stage.poll(&mut Context::from_waker(self.readiness.waker()), piece, waiting);
        if event.is_ready() {
            // More may have arrived.
            self.readiness.set();
        }
        event
    }
}

impl Stage {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        piece: &mut [u8],
        waiting: &FxHashMap<CommandId, Requester>,
    ) -> Poll<ConnectionEvent> {
        let open = match self {
            Stage::Opening(opening) => {
                return Poll::Ready(match ready!(opening.poll_unpin(context)) {
                    Ok(stream) => ConnectionEvent::Opened(stream),
                    Err(fault) => ConnectionEvent::Closed(fault),
                });
            }
            Stage::Open(open) => open,
        };
        open.poll_send(context);
        if let Some(Requester::SubscriptionEvent(reader)) =
            open.held_up_by.and_then(|command_id| waiting.get(&command_id))
        {
            ready!(reader.poll_room(context));
        }
        open.held_up_by = None;
        Poll::Ready(match ready!(Pin::new(&mut open.stream).poll_read(context, piece)) {
            Ok(0) => ConnectionEvent::Closed(ended(&"the server closed the connection")),
            Ok(length) => ConnectionEvent::Received(length),
            Err(error) => ConnectionEvent::Closed(ended(&error)),
        })
    }
}

fn not_opened(error: io::Error) -> LinkFault {
    let kind = if is_tls(&error) { LinkFaultKind::Tls } else { LinkFaultKind::Unreachable };
    LinkFault::new(kind, error.to_string())
}

fn ended(why: &dyn std::fmt::Display) -> LinkFault {
    LinkFault::new(LinkFaultKind::Ended, why.to_string())
}

impl Open {
    fn new(stream: BoxedStream) -> Self {
        Open {
            stream,
            outgoing: Vec::new(),
            sent: 0,
            is_flushed: true,
            is_broken: false,
            held_up_by: None,
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if self.is_broken {
            return;
        }
        self.is_flushed = false;
        if self.outgoing.is_empty() {
            self.outgoing = bytes;
        } else {
            // Sent bytes are removed even while more follow.
            self.outgoing.drain(..std::mem::take(&mut self.sent));
            self.outgoing.extend(bytes);
        }
    }

    /// Sends as many bytes as the connection accepts.
    fn poll_send(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(Err(_)) = self.try_send(context) {
            self.is_broken = true;
            self.is_flushed = true;
            self.outgoing = Vec::new();
            self.sent = 0;
        }
    }

    fn try_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            let unsent = &self.outgoing[self.sent..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

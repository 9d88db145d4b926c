//! A session as a backend: operations go to the executor of the session, which is started by the
//! first one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_channel::{mpsc, oneshot};
use futures_util::future::{self, FutureExt};
use futures_util::stream::{self, Stream, StreamExt};
use ivy_proto::ChannelName;
use ivy_proto::backend::{
    BoxFuture, BoxStream, CommandId, Notifier, Queue, Session, SessionStart, SubscriptionEvent,
};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use crate::clock::Clock;
use crate::events::EventSink;
use crate::guarded_backend::describe_panic;
use crate::random::random;
use crate::runtime::Runtime;
use crate::tls::Tls;

use super::executor::{SessionCommand, SessionExecutor};
use super::subscription_channel::{Reader, subscription_channel};

/// A backend that is a session.
///
/// Each executor drives a session of its own. If it ends, because its runtime ended or its session
/// panicked, the next operation starts another one.
pub(crate) struct SessionBackend<R> {
    remote: Arc<Remote<R>>,
}

struct Remote<R> {
    make: Box<dyn Fn(SessionStart) -> Box<dyn Session> + Send + Sync>,
    tls: Option<Tls>,
    clock: Clock<R>,
    events: EventSink,
    mailbox: Mutex<Option<mpsc::UnboundedSender<SessionCommand>>>,
    last_command_id: AtomicU64,
}

impl<R: Runtime> SessionBackend<R> {
    /// A backend whose sessions are created by `make`. Nothing is opened yet.
    pub(crate) fn new(
        make: impl Fn(SessionStart) -> Box<dyn Session> + Send + Sync + 'static,
        tls: Option<Tls>,
        clock: Clock<R>,
        events: EventSink,
    ) -> Self {
        let remote = Remote {
            make: Box::new(make),
            tls,
            clock,
            events,
            mailbox: Mutex::default(),
            last_command_id: AtomicU64::new(0),
        };
        SessionBackend { remote: Arc::new(remote) }
    }
}

impl<R> Clone for SessionBackend<R> {
    fn clone(&self) -> Self {
        SessionBackend { remote: Arc::clone(&self.remote) }
    }
}

/// A session that is a queue.
pub(crate) struct SessionQueue<R> {
    backend: SessionBackend<R>,
    capabilities: Capabilities,
}

impl<R: Runtime> SessionQueue<R> {
    pub(crate) fn new(backend: SessionBackend<R>, capabilities: Capabilities) -> Self {
        SessionQueue { backend, capabilities }
    }
}

impl<R: Runtime> Queue for SessionQueue<R> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let remote = Arc::clone(&self.backend.remote);
        async move {
            let result = remote
                .request(|command_id, sender| SessionCommand::Execute(command_id, op, sender))
                .await;
            result.unwrap_or_else(|| Err(Fault::new(FaultKind::ReplyLost).with_detail(ENDED)))
        }
        .boxed()
    }
}

impl<R: Runtime> Notifier for SessionBackend<R> {
    fn publish(&self, publication: Publication) -> BoxFuture<Result<u64, NotifyFault>> {
        let remote = Arc::clone(&self.remote);
        async move {
            let command =
                |command_id, sender| SessionCommand::Publish(command_id, publication, sender);
            remote.request(command).await.unwrap_or_else(|| Err(lost()))
        }
        .boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<SubscriptionEvent> {
        let remote = Arc::clone(&self.remote);
        stream::once(future::lazy(move |_| remote.subscribe(channels))).flatten().boxed()
    }
}

impl<R> fmt::Debug for SessionQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

impl<R> fmt::Debug for SessionBackend<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.remote.make)(SessionStart::default()).fmt(f)
    }
}

const ENDED: &str = "the backend's session has ended";

fn lost() -> NotifyFault {
    NotifyFault::new(NotifyFaultKind::ConnectionLost).with_detail(ENDED)
}

impl<R: Runtime> Remote<R> {
    /// Makes a request to the session and waits for its result; `None` if the session ends without
    /// one.
    async fn request<T>(
        self: Arc<Self>,
        command: impl FnOnce(CommandId, oneshot::Sender<T>) -> SessionCommand,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let command_id = self.command_id();
        self.post(command(command_id, sender));
        let mut cancel_on_drop = CancelOnDrop { remote: self, command_id, has_ended: false };
        let result = receiver.await;
        cancel_on_drop.has_ended = true;
        result.ok()
    }

    fn subscribe(self: Arc<Self>, channels: Vec<ChannelName>) -> Subscription<R> {
        let (writer, events) = subscription_channel();
        let command_id = self.command_id();
        self.post(SessionCommand::Subscribe(command_id, channels, writer));
        Subscription {
            events,
            _cancel_on_drop: CancelOnDrop { remote: self, command_id, has_ended: false },
        }
    }

    fn command_id(&self) -> CommandId {
        CommandId(self.last_command_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a command to the executor, and starts one if none runs. If the system cannot run it,
    /// or its session cannot be created, the command is dropped, and with it the sender of its
    /// result.
    fn post(&self, command: SessionCommand) {
        let mut running = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        let command = match &*running {
            None => command,
            Some(mailbox) => match mailbox.unbounded_send(command) {
                Ok(()) => return,
                Err(ended) => ended.into_inner(),
            },
        };
        let (mailbox, received) = mpsc::unbounded();
        let started = self.start(received);
        *running = match started {
            // It was just created, so it accepts commands.
            Ok(()) => mailbox.unbounded_send(command).is_ok().then_some(mailbox),
            Err(error) => {
                tracing::error!(error, "cannot start the executor of a backend");
                None
            }
        };
    }

    /// Starts an executor with a new session.
    fn start(&self, received: mpsc::UnboundedReceiver<SessionCommand>) -> Result<(), String> {
        let mut clock = self.clock;
        clock.follow_wall(clock.now());
        let random = random().map_err(|cause| cause.to_string())?;
        let start = SessionStart::new(random, clock.wall());
        let session = catch_unwind(AssertUnwindSafe(|| (self.make)(start)));
        let session = session
            .map_err(|panic| format!("cannot create a session: {}", describe_panic(panic)))?;
        let (tls, events) = (self.tls.clone(), self.events.clone());
        let executor = SessionExecutor::<R>::new(session, received, tls, self.clock, events);
        R::spawn("ivy-session", executor.run()).map_err(|error| error.to_string())
    }

    /// Cancels a command whose caller was dropped.
    fn cancel(&self, command_id: CommandId) {
        let running = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = &*running {
            // An executor that has ended has nothing to cancel.
            let _ = mailbox.unbounded_send(SessionCommand::Cancel(command_id));
        }
    }
}

/// Cancels the command if dropped before its result.
struct CancelOnDrop<R: Runtime> {
    remote: Arc<Remote<R>>,
    command_id: CommandId,
    has_ended: bool,
}

impl<R: Runtime> Drop for CancelOnDrop<R> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.remote.cancel(self.command_id);
        }
    }
}

/// A subscription. Dropping it ends it.
struct Subscription<R: Runtime> {
    events: Reader,
    _cancel_on_drop: CancelOnDrop<R>,
}

impl<R: Runtime> Stream for Subscription<R> {
    type Item = SubscriptionEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<SubscriptionEvent>> {
        self.events.poll_next_unpin(context)
    }
}

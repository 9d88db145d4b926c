//! What a queue and a notifier must be able to do, whatever stands behind them.
//!
//! A backend is what carries out the operations of [`queue`](crate::queue) and
//! [`notify`](crate::notify): a client of a server, a store in a file, a list in memory. It names no
//! runtime. There are these ways to write one:
//!
//! * An [`Exchange`] maps operations to HTTP requests, and responses to replies. It does no IO.
//! * A [`Queue`] or [`Notifier`] does anything else: its operations are futures, and a subscription is a
//!   stream. The builders of the adapters take one with `.queue(..)` and `.notifier(..)`.
//!
//! A backend that converses with a server over connections is best written as a [`Session`], a machine
//! without IO that runs over any runtime.
//!
//! A [`Plug`] makes either of a URL, which a [`BackendUrl`] is once it was taken apart.
//!
//! Not yet stable: methods with a default may be added.

mod exchange;
mod host;
mod plug;
mod problem;
mod segment;
mod session;
mod url;

use std::fmt;
use std::pin::Pin;

use futures_core::Stream;

pub use exchange::{Exchange, HttpRequest, MOST_REQUESTS, RequestKind, Step};
pub use host::Host;
pub use plug::{
    FindQueue, MakeNotifier, MakeQueue, NotifierBackend, NotifierImpl, Plug, QueueBackend,
    QueueImpl, SessionFactory,
};
pub use problem::{BackendError, UrlProblem};
pub use segment::segment;
pub use session::{
    CommandId, ConnectionId, Endpoint, Input, LinkFault, LinkFaultKind, Output, Session,
    SessionStart,
};
pub use url::BackendUrl;

use crate::id::Receipt;
use crate::name::{ChannelName, QueueName};
use crate::notify::{NotifyFault, Publication};
use crate::queue::{Capabilities, Fault, QueueOp, QueueReply};

/// An operation under way.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a subscription brings, one after the other.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// A queue backend.
///
/// # Contract
///
/// * Each operation is answered by the reply that its [`QueueOp`] names, or by a [`Fault`] whose
///   kind says whether it may have had an effect all the same.
/// * A message that a reserve has brought is given to nobody else until its lease ends, and is ready
///   again then. Only its [`Receipt`] touches, releases or deletes it.
/// * Dropping the future of an operation cancels it. Whether it has had its effect is then unknown,
///   unless [`takes_back_reserves`](Capabilities::takes_back_reserves) says otherwise.
/// * An operation takes no longer than [`QueueOp::time_limit`].
/// * A post creates a queue that is missing. A worker that is told that there is none
///   ([`NoQueue`](crate::queue::FaultKind::NoQueue)) creates it with [`QueueOp::CreateQueue`]; a backend
///   whose queues need not be created answers a reserve with no messages.
/// * `Debug` shows no secret: that of an `Ivy` shows that of its queue.
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// What the backend can do. The machines ask once, when they are made.
    fn capabilities(&self) -> Capabilities;

    /// Carries out an operation. Nothing happens before the future is polled.
    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>>;

    /// What the backend reports by itself, if it does. Asked for once, when the first worker starts,
    /// and polled for as long as there may be workers, at some hundred thousand events a second at most.
    fn watch(&self) -> Option<BoxStream<QueueEvent>> {
        None
    }
}

/// What a queue backend reports by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueEvent {
    /// There may be a message in this queue: a worker that rests since the queue was empty asks at once.
    Wake(QueueName),
    /// The leases of these receipts have ended before their time, with the connection that they were
    /// bound to for instance. The messages may be with other workers already.
    LeasesLost(Vec<Receipt>),
}

/// A notifier backend: it carries results to their callers, at most once and best effort.
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Publishes, and returns how many subscribers were reached. It answers within some seconds also
    /// where its server does not: a worker has a limited number of notices under way at a time.
    fn publish(&self, publication: Publication) -> BoxFuture<Result<u64, NotifyFault>>;

    /// Subscribes to these channels: first comes [`SubscriptionEvent::Subscribed`], then each notice, and the stream
    /// ends after [`SubscriptionEvent::Lost`]. Nothing happens before it is polled, and dropping it ends the
    /// subscription.
    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<SubscriptionEvent>;
}

/// What a subscription brings.
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// All channels are subscribed to.
    Subscribed,
    /// A notice arrived.
    Notice {
        /// The channel that it arrived on.
        channel: ChannelName,
        /// What was published.
        payload: Vec<u8>,
    },
    /// The subscription could not be made, or has ended.
    Lost(NotifyFault),
}

//! The interfaces of queue and notifier backends.
//!
//! A backend executes the operations of [`queue`](crate::queue) and [`notify`](crate::notify): a
//! client of a server, a store in a file, a list in memory. It depends on no runtime. There are
//! several ways to write one:
//!
//! * An [`Exchange`] maps operations to HTTP requests, and responses to replies. It does no IO.
//! * A [`Queue`] or [`Notifier`] does anything else: its operations are futures, and a subscription
//!   is a stream. Pass it to `.queue(..)` or `.notifier(..)` of an adapter's builder.
//!
//! A [`Session`] is best for a server with connections of its own protocol. It is a machine without
//! IO that runs on any runtime.
//!
//! A [`Plug`] creates any of them from a [`BackendUrl`].
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

pub use exchange::{Exchange, HttpRequest, MAX_REQUESTS, Step};
pub use host::Host;
pub use plug::{
    CUSTOM, FindQueue, MakeNotifier, MakeQueue, NotifierBackend, NotifierImpl, Plug, QueueBackend,
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

/// The future of an operation.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The stream of a subscription.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// A queue backend.
///
/// # Contract
///
/// * Each operation completes with the reply that its [`QueueOp`] names, or with a [`Fault`] whose
///   kind says whether it may have had an effect.
/// * A reserved message is not delivered again until its lease ends, and is ready again then.
///   Only its [`Receipt`] touches, releases or deletes it.
/// * Dropping the future of an operation cancels it. Whether it has had an effect is then unknown,
///   unless [`takes_back_reserves`](Capabilities::takes_back_reserves) is set.
/// * An operation takes at most [`QueueOp::time_limit`].
/// * A post creates a missing queue. A worker creates a missing queue with [`QueueOp::CreateQueue`]
///   when a reserve fails with [`NoQueue`](crate::queue::FaultKind::NoQueue); a backend whose
///   queues need not be created replies with no messages instead.
/// * `Debug` shows no secret, because the `Debug` of an `Ivy` includes that of its queue.
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// What the backend supports. Read once, when a machine is created.
    fn capabilities(&self) -> Capabilities;

    /// Executes an operation. Nothing happens before the future is polled.
    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>>;

    /// The events that the backend reports by itself, if it does. Called once, when the first
    /// worker starts, and polled for as long as there may be workers, at a few hundred thousand
    /// events per second at most.
    fn watch(&self) -> Option<BoxStream<QueueEvent>> {
        None
    }
}

/// An event that a queue backend reports by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueEvent {
    /// There may be a message in this queue: a worker that pauses after an empty reserve reserves
    /// immediately.
    Wake(QueueName),
    /// The leases of these receipts ended early, for example with the connection that they were
    /// bound to. Other workers may have the messages already.
    LeasesLost(Vec<Receipt>),
}

/// A notifier backend: carries results to their callers, at most once and best effort.
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Publishes, and returns the number of subscribers reached. It must complete within some
    /// seconds even if its server does not respond, because a worker has a limited number of
    /// notices in flight.
    fn publish(&self, publication: Publication) -> BoxFuture<Result<u64, NotifyFault>>;

    /// Subscribes to these channels. The stream yields [`SubscriptionEvent::Subscribed`], then each
    /// notice, and ends after [`SubscriptionEvent::Lost`]. Nothing happens before it is polled, and
    /// dropping it ends the subscription.
    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<SubscriptionEvent>;
}

/// An event of a subscription.
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// All channels are subscribed to.
    Subscribed,
    /// A notice arrived.
    Notice {
        /// The channel that it arrived on.
        channel: ChannelName,
        /// The published bytes. Empty if they are more than those of any notice, so that they are
        /// ignored as an invalid notice.
        payload: Vec<u8>,
    },
    /// The subscription failed or has ended.
    Lost(NotifyFault),
}

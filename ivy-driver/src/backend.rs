//! What a queue and a notifier must be able to do, whatever stands behind them.

use std::fmt;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use ivy_proto::ChannelName;
use ivy_proto::notify::{NotifyFault, Publication};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};

/// A queue backend. Dropping the future of an operation gives it up.
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Does what is asked, within [`QueueOp::time_limit`].
    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>>;
}

/// A notifier backend.
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Publishes, and tells how many subscribers heard it. It must answer within some seconds also
    /// where its server does not: a worker has a limited number of notices under way at a time.
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>>;

    /// Subscribes to these channels. Nothing happens until the stream is polled, and dropping it
    /// ends the subscription. It ends after [`Heard::Lost`].
    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard>;
}

/// What a subscription brings.
#[derive(Debug)]
pub enum Heard {
    /// All channels are subscribed to.
    Subscribed,
    /// A notice arrived.
    Notice {
        /// The channel that it arrived on.
        channel: ChannelName,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The subscription could not be made, or has ended.
    Lost(NotifyFault),
}

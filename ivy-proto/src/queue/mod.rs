//! Queues: what can be asked of one, as plain data.
//!
//! A machine says what it wants with a [`QueueOp`]. A backend does it, over whatever protocol it
//! speaks, and answers with a [`QueueReply`] or a [`Fault`]. What a backend can do, it says once,
//! with its [`Capabilities`].

mod capabilities;
mod entries;
mod fault;
mod message;
mod oddity;
mod op;
mod reply;
mod settings;

pub use capabilities::{
    BadCapabilities, BatchLimits, Capabilities, Lease, NameNotForBackend, NameRule, Retry,
};
pub(crate) use entries::{different, entries, only_entry};
pub use fault::{Effect, Fault, FaultKind};
pub use message::{Body, DeliveryCount, NewMessage, PeekedMessage, ReceivedBody, ReservedMessage};
pub use oddity::Oddity;
pub use op::{Batch, QueueOp};
pub use reply::{Answers, QueueReply, Reserved};
pub use settings::{DeadLetterSetting, QueueInfo, QueueSettings};

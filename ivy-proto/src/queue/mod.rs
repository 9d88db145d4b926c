//! Queues: their operations, as plain data.
//!
//! A machine requests a [`QueueOp`]. A backend executes it, over any protocol, and returns a
//! [`QueueReply`] or a [`Fault`]. It describes what it supports by its [`Capabilities`].

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

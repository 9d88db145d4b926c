//! Queues: their operations, as plain data.
//!
//! A machine requests a [`QueueOp`]. A backend executes it, over any protocol, and returns a
//! [`QueueReply`] or a [`Fault`]. It describes what it supports by its [`Capabilities`].

mod capabilities;
mod deviation;
mod entries;
mod fault;
mod message;
mod op;
mod post_size;
mod reply;
mod settings;

pub use capabilities::{
    AdminCapabilities, BadCapabilities, BatchLimits, Capabilities, Lease, NameNotForBackend,
    NameRule, Retry,
};
pub use deviation::ResponseDeviation;
pub(crate) use entries::{different, entries, only_entry};
pub use fault::{Effect, Fault, FaultKind};
pub use message::{Body, DeliveryCount, NewMessage, PeekedMessage, ReceivedBody, ReservedMessage};
pub use op::{Batch, QueueOp};
pub(crate) use post_size::{EMPTY_POST, size_in_post};
pub use reply::{QueueReply, ReplyCheck, Reserved};
pub use settings::{DeadLetterSetting, QueueInfo, QueueSettings};

//! The protocol core of ivy, a distributed task library, without any IO.

pub mod admin;
pub mod broker;
pub mod config;
mod error;
pub mod event;
mod id;
mod misuse;
mod name;
pub mod notify;
pub mod producer;
pub mod queue;
mod retry;
mod rng;
mod secret;
pub mod task;
mod text;
mod time;
mod timers;
pub mod wire;
pub mod worker;

pub use error::{Cause, ErrorKind};
pub use id::{InvalidTaskId, JobId, MessageId, OpId, Receipt, ReservationId, TaskId};
pub use misuse::Misuse;
pub use name::{ChannelName, InvalidName, Priority, QueueName, TaskName};
pub use retry::Backoff;
pub use rng::Rng;
pub use secret::Secret;
pub use task::TaskError;
pub use time::{Deadline, Moment, WallClock};

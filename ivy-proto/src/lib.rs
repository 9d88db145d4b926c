//! The protocol core of ivy, a distributed task library, without any IO.

pub mod admin;
pub mod backend;
pub mod broker;
pub mod config;
pub mod connect;
mod error;
pub mod event;
mod hash_map;
mod id;
mod misuse;
mod name;
pub mod notify;
#[cfg(ivy_planted)]
pub mod planted;
#[cfg(not(ivy_planted))]
mod planted;
pub mod producer;
pub mod queue;
mod retry;
mod rng;
mod secret;
mod slab_map;
pub mod task;
pub mod text;
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
pub use task::{Task, TaskError};
pub use time::{Deadline, Moment, WallClock};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_types_are_send_and_sync() {
        fn check<T: Send + Sync + 'static>() {}
        check::<broker::Broker>();
        check::<producer::Producer>();
        check::<worker::Worker>();
        check::<(producer::Input, producer::Output, worker::Input, worker::Output)>();
        check::<(broker::Input, broker::Output, queue::QueueOp, queue::QueueReply, queue::Fault)>();
        check::<(notify::Publication, notify::NotifyFault, event::Event, Cause, Misuse)>();
        check::<(config::Config, config::ConfigError, backend::BackendUrl, Secret)>();
        check::<(wire::Codec, wire::LegacyKey, wire::Envelope, wire::Notice, wire::DeadLetter)>();
        check::<(task::Registry<()>, task::BlockingRegistry<()>, task::Callbacks, TaskError)>();
        check::<task::Task<(std::rc::Rc<u8>,), *const u8>>();
    }
}

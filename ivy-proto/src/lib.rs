//! The core of ivy, a distributed task library, without IO: time, randomness and bytes are arguments.
//!
//! Programs use one of the adapters `ivy-tokio`, `ivy-async-std` and `ivy-blocking`. Use this crate for
//! contracts that several programs share ([`Task`]), for a custom [`backend`], or to drive the state
//! machines in a loop of your own, in a simulation or in a fuzz target.
//!
//! *The Node package*, in the documentation, is the Node.js package `ivy` 0.2.2, whose wire format this
//! crate reads and writes; in identifiers it is `node`, its frames are `legacy`.
//!
//! module | contents
//! --- | ---
//! [`task`] | what programs write: tasks, call options, handlers, errors
//! [`producer`], [`worker`], [`broker`] | state machines: a producer turns calls into messages, a worker messages into results, a broker is a queue in memory
//! [`queue`], [`notify`] | operations, replies, capabilities and faults of queues and notifiers
//! [`wire`] | the message format and its encryption, as `PROTOCOL.md` of this crate specifies them
//! [`backend`] | traits for backends, and how URLs name them
//! [`connect`], [`text`] | shared code of clients: the order in which addresses are tried, untrusted text escaped
//! [`config`] | configuration from URLs, the environment and code
//! [`event`] | what machines report to operators
//! [`admin`] | what operators do: inspect queues, requeue and delete dead letters
//! [`inspect`] | what operators are shown of messages
//! [`check`] | whether keys, queue and notifier work
//! [`metrics`], [`presence`] | what machines count, and what workers publish about themselves
//! [`health`] | whether a worker is live and ready, and the HTTP of probes
//!
//! # Driving a machine
//!
//! A machine is fed with [`handle_input`](producer::Producer::handle_input), and then asked with
//! [`poll_output`](producer::Producer::poll_output) until it returns [`Wait`](producer::Output::Wait)
//! with the time of its next timer. It never blocks, reads a clock or starts anything.
//!
//! ```
//! use ivy_proto::producer::{Input, Output, Producer, ProducerConfig, ReplyTo};
//! use ivy_proto::queue::Capabilities;
//! use ivy_proto::task::CallOptions;
//! use ivy_proto::wire::Codec;
//! use ivy_proto::{Moment, Task, TaskId, WallClock};
//!
//! const FACTORIAL: Task<(u64,), u64> = Task::new("docs.factorial").queue("docs");
//!
//! let config = ProducerConfig::new(Capabilities::broker(), Codec::plain());
//! let mut producer = Producer::new(config, [7; 32], WallClock::default());
//!
//! let (id, options) = (TaskId::from_random([1; 16]), CallOptions::new());
//! let call = FACTORIAL.to_call(id, &(5,), &options, ReplyTo::None)?;
//! producer.handle_input(Input::Calls(vec![call]), Moment::EPOCH)?;
//!
//! assert!(matches!(producer.poll_output(), Output::Queue(..)));
//! assert!(matches!(producer.poll_output(), Output::Wait(None)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//!
//! An application receives a [`Cause`], classified by [`ErrorKind`]: a configuration that is invalid
//! ([`config::ConfigError`]), a call that was not or possibly not sent ([`producer::SendError`]), a request
//! that failed ([`queue::Fault`]), a task that failed permanently ([`task::TaskFailure`]). A fault of a
//! queue or of a notifier ([`notify::NotifyFault`]) says whether the request may have taken effect. A machine
//! returns [`Misuse`] if its driver breaks its contract, and nothing has changed then. The texts say what
//! happened, why, and what to do next, and contain no secret and no payload.
//!
//! # Limits
//!
//! Arguments are a tuple of up to eight values; arguments and results are nested up to 125 levels deep.
//! The size of a message is limited by its queue ([`queue::Capabilities`]; 256 KiB in memory), that of a
//! notice to 1 MiB.
//! Input from the network never panics, and never allocates or recurses without a bound.

pub mod admin;
pub mod backend;
pub mod broker;
pub mod check;
pub mod config;
pub mod connect;
mod error;
pub mod event;
mod hash_map;
pub mod health;
mod id;
pub mod inspect;
pub mod metrics;
mod misuse;
mod name;
mod name_text;
pub mod notify;
#[cfg(ivy_planted)]
pub mod planted;
#[cfg(not(ivy_planted))]
mod planted;
pub mod presence;
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
        check::<(admin::Sweep, admin::SweepConfig, admin::Input, admin::Output)>();
        check::<(producer::Input, producer::Output, worker::Input, worker::Output)>();
        check::<(broker::Input, broker::Output, queue::QueueOp, queue::QueueReply, queue::Fault)>();
        check::<(notify::Publication, notify::NotifyFault, event::Event, Cause, Misuse)>();
        check::<(config::Config, config::ConfigError, backend::BackendUrl, Secret)>();
        check::<(wire::Codec, wire::LegacyKey, wire::Envelope, wire::Notice, wire::DeadLetter)>();
        check::<(task::Registry<()>, task::BlockingRegistry<()>, task::Callbacks, TaskError)>();
        check::<task::Task<(std::rc::Rc<u8>,), *const u8>>();
    }
}

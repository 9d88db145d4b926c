//! An in-memory broker of message queues with timed leases, as a state machine without IO.
//!
//! One engine with three uses: the memory backend of every adapter, the local server `ivy serve`,
//! and the broker of simulations. It has no clock, threads or randomness of its own: the same seed
//! and inputs produce the same outputs.
//!
//! # The life of a message
//!
//! ```text
//!                                 reserve: count + 1, new reservation
//!        post          ┌───────┐ ─────────────────────────────────► ┌──────────┐
//!      ──────────────► │ READY │                                    │ RESERVED │ ◄─┐ touch: count + 1,
//!                      └───────┘ ◄───────────────────────────────── └──────────┘ ──┘ new reservation
//!                          ▲       lease ends, or release, to the     │  │
//!               delay ends │       old position                       │  │
//!        post          ┌─────────┐                                    │  │
//!      ──────────────► │ DELAYED │ ◄──────────────────────────────────┘  └──► removed: delete with the
//!        with a delay  └─────────┘   release with a delay                     reservation
//!
//!      READY ──► removed: delete without a reservation, reserve with `delete`
//!      READY ──► another queue: a reserve finds it reserved too often already (dead letter)
//!      any   ──► removed: clear, deletion of the queue, or its age
//! ```
//!
//! * Ready messages are delivered in the order of their arrival, and a message keeps its position
//!   while it is reserved: a released message is first again.
//! * In addition to the count of reserves and touches, a message has two exact counts: of leases
//!   that ended, and of releases with a failed attempt.
//! * A reservation becomes invalid when a touch replaces it, its lease ends, or the message is
//!   released.
//! * A message's age counts from its post, whatever its state.
//! * A reserve that finds no message may wait. Waiters are served in the order of their arrival, as
//!   soon as there is a message, each with the messages that are available.
//! * Only posts and settings create a queue. All other requests to a missing queue are refused.
//! * The messages of a queue may be unreservable, if they are delivered in another way. A reserve
//!   finds nothing there.
//!
//! # Driving it
//!
//! ```
//! use std::time::Duration;
//! use ivy_proto::broker::{Response, Broker, BrokerConfig, Input, Output, Request, RequestId, Timer};
//! use ivy_proto::queue::{Body, NewMessage};
//! use ivy_proto::{Moment, QueueName};
//!
//! let mut broker = Broker::new(BrokerConfig::default(), [7; 32]);
//! let queue = QueueName::new("mail")?;
//! let second = Duration::from_secs(1);
//!
//! // A message that is ready in three seconds.
//! let message = NewMessage { body: Body::new("hello"), delay: 3 * second };
//! let post = Request::Post { queue: queue.clone(), messages: vec![message] };
//! broker.handle_input(Input::Request(RequestId(1), post), Moment::EPOCH)?;
//!
//! // A consumer that waits for it.
//! let reserve =
//!     Request::Reserve { queue, count: 1, timeout: None, wait: 10 * second, delete: false };
//! broker.handle_input(Input::Request(RequestId(2), reserve), Moment::EPOCH)?;
//!
//! // The loop of every driver: execute the outputs, and sleep until the next deadline.
//! let mut now = Moment::EPOCH;
//! let mut responses = Vec::new();
//! while responses.len() < 2 {
//!     match broker.poll_output() {
//!         Output::Response(request, response) => responses.push((request, now, response?)),
//!         Output::Wait(Some(deadline)) => {
//!             assert_eq!(deadline.why, Timer::DelayEnds);
//!             now = deadline.at;
//!             broker.handle_input(Input::Tick, now)?;
//!         }
//!         Output::Wait(None) => unreachable!("the second request waits"),
//!     }
//! }
//!
//! let (request, at, Response::Reserved(messages)) = &responses[1] else { panic!("a reserve") };
//! assert_eq!((*request, at.since(Moment::EPOCH)), (RequestId(2), 3 * second));
//! assert_eq!(messages[0].body.as_str(), "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ascending_set;
mod backend;
mod config;
mod dead_letter;
mod machine;
mod message;
mod messages;
mod queue;
mod queues;
mod request;
mod return_times;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod waiters;

pub use config::{BodyEncoding, BrokerConfig, Requeue};
pub use machine::Broker;
pub use request::{
    Delivery, Input, MessageView, Output, Refusal, Request, RequestId, Response, Target, Timer,
};

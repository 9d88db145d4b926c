//! An in-memory broker of message queues with timed leases, as a state machine without IO.
//!
//! One engine with three uses: the memory backend of every adapter, the engine behind the local
//! server, `ivy serve`, and the broker of a simulation. It has no clock, no threads and no
//! randomness of its own, so the same seed and the same inputs give the same answers.
//!
//! # The life of a message
//!
//! ```text
//!                                 reserve: count + 1, new reservation
//!        post          ┌───────┐ ─────────────────────────────────► ┌──────────┐
//!      ──────────────► │ READY │                                    │ RESERVED │ ◄─┐ touch: count + 1,
//!                      └───────┘ ◄───────────────────────────────── └──────────┘ ──┘ new reservation
//!                          ▲       lease ends, or release, to the     │  │
//!               delay ends │       place that it had                  │  │
//!        post          ┌─────────┐                                    │  │
//!      ──────────────► │ DELAYED │ ◄──────────────────────────────────┘  └──► gone: delete with the
//!        with a delay  └─────────┘   release with a delay                     reservation
//!
//!      READY ──► gone: delete without a reservation, reserve with `delete`
//!      READY ──► another queue: a reserve finds it reserved too often already (dead letter)
//!      any   ──► gone: clear, deletion of the queue, or its age
//! ```
//!
//! * Ready messages are handed out in the order in which they came to the queue, and each keeps
//!   its place while it is away: what is given back is first again.
//! * Beside its count of reserves and touches, a message has two counts that are exact: of leases
//!   that ended, and of releases with a failed attempt.
//! * A reservation is worthless once it was replaced by a touch, its lease ended, or the message
//!   was given back.
//! * A message's age counts from its post, whatever state it is in.
//! * A reserve that finds nothing may wait. Those who wait are served in the order in which they
//!   came, each with what there is, as soon as there is any.
//! * Only posts and settings create a queue. Everything else on a missing queue is refused.
//! * A queue may be one whose messages are not reserved, since they reach their readers in another
//!   way. A reserve finds nothing there.
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
//! // A message that can be had in three seconds.
//! let message = NewMessage { body: Body::new("hello"), delay: 3 * second };
//! let post = Request::Post { queue: queue.clone(), messages: vec![message] };
//! broker.handle_input(Input::Request(RequestId(1), post), Moment::EPOCH)?;
//!
//! // Somebody who waits for it.
//! let reserve =
//!     Request::Reserve { queue, count: 1, timeout: None, wait: 10 * second, delete: false };
//! broker.handle_input(Input::Request(RequestId(2), reserve), Moment::EPOCH)?;
//!
//! // The loop of every driver: do what the broker wants, and sleep until it wants more.
//! let mut now = Moment::EPOCH;
//! let mut answers = Vec::new();
//! while answers.len() < 2 {
//!     match broker.poll_output() {
//!         Output::Response(request, answer) => answers.push((request, now, answer?)),
//!         Output::Wait(Some(deadline)) => {
//!             assert_eq!(deadline.why, Timer::DelayEnds);
//!             now = deadline.at;
//!             broker.handle_input(Input::Tick, now)?;
//!         }
//!         Output::Wait(None) => unreachable!("the second request waits"),
//!     }
//! }
//!
//! let (request, at, Response::Reserved(messages)) = &answers[1] else { panic!("a reserve") };
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

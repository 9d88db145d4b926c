//! Redis as a notifier: what is said first on a connection, when a connection is replaced, and what
//! the server's errors mean.

mod greeting;
mod publisher;
mod refusal;
mod server;
mod subscriber;

use std::time::Duration;

pub use greeting::Greeting;
pub use publisher::{Generation, Publisher, Question, Step};
pub use refusal::refusal;
pub use server::Server;
pub use subscriber::{Change, Subscriber};

/// How old a connection grows before it is replaced, and how often it is replaced at most.
const RENEW_EVERY: Duration = Duration::from_secs(60);

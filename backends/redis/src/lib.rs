//! Redis as a backend of ivy: its protocol, and a session that decides what is said on its connections.
//!
//! There is no IO here. A [`RedisNotifier`] is a [`Session`](ivy_proto::backend::Session) that an
//! executor gives its connections, such as that of the adapters `ivy-tokio`, `ivy-async-std` and
//! `ivy-blocking`, where a program names its server as `redis://host` or `rediss://host`.
//!
//! # Limits
//!
//! What a server sends is bounded before anything is decoded: a line to 1 KiB, a text to a little
//! over 1 MiB, an array to 1024 elements, four levels deep. A larger answer ends the connection.
//! Connecting may take five seconds, and so may each answer.
//!
//! # Promises
//!
//! A notice reaches those who are subscribed while it is published, at most once but for the second
//! in which a subscription is replaced by a new one. Redis keeps no notice for those who are not
//! connected.

mod address;
mod conversation;
mod frame;
mod greeting;
mod notifier;
mod questions;
mod refusal;
mod server;

pub use address::{BadCredentials, NotADatabase, RedisAddress, plug};
pub use notifier::RedisNotifier;

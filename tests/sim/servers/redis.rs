//! A Redis server: its keys, its commands, the scripts of a queue, and its connections.
//!
//! [`Server`] receives and returns the bytes of connections, at times that the caller passes. It
//! never blocks. [`PubSub`] is the part that a notifier needs, without bytes.

mod commands;
mod connection;
mod error_state;
mod pubsub;
mod replica;
mod resp;
mod scripts;
mod server;
mod store;

pub use error_state::{ErrorState, Kind};
pub use pubsub::PubSub;
pub use resp::{BadCommand, Command, CommandReader, Reply};
pub use scripts::{MODELLED, Script};
pub use server::{ClientId, Server, Written};
pub use store::{SortedSet, Store, Value};

//! A Redis server: its keys, its commands, the scripts of a queue, and its connections.
//!
//! [`Server`] receives and returns the bytes of connections, at times that the caller passes. It
//! never blocks. [`PubSub`] is the part that a notifier needs, without bytes.

mod commands;
mod connection;
mod pubsub;
mod replica;
mod resp;
mod scripts;
mod server;
mod store;
mod trouble;

pub use pubsub::PubSub;
pub use resp::{BadCommand, Command, CommandReader, ReplyTo};
pub use scripts::{MODELLED, Script};
pub use server::{ClientId, Server, Written};
pub use store::{Store, Value};
pub use trouble::{Kind, Trouble};

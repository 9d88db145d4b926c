//! Where an IronMQ project is found, and what opens it.

mod address;
mod path;
mod token;

pub(crate) use address::parse_host;
pub use address::{Address, InvalidAddress, Scheme};
pub use path::segment;
pub use token::{BadToken, Token};

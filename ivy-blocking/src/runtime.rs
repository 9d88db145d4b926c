//! Threads, with the clients of this crate.

use ivy_driver::{RedisServer, Threads};
use rustls::ClientConfig;

use crate::http::HttpClient;
use crate::redis::RedisNotifier;

/// The runtime of the names of this crate.
pub type Runtime = Threads<Clients>;

/// The clients that block their threads.
#[derive(Debug)]
pub enum Clients {}

impl ivy_driver::Clients for Clients {
    type Http = HttpClient;
    type Redis = RedisNotifier;

    fn http(tls: Option<ClientConfig>) -> HttpClient {
        HttpClient::new(tls)
    }

    fn redis(server: RedisServer, tls: Option<ClientConfig>) -> RedisNotifier {
        RedisNotifier::new(server, tls)
    }
}

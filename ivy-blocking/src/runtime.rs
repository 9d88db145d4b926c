//! Threads, with the clients of this crate.

use std::io;
use std::net::SocketAddr;

use ivy_driver::{Net, Threads};
use rustls::ClientConfig;

use crate::http::HttpClient;
use crate::net::{Tcp, connect, resolve};

/// The runtime of the names of this crate.
pub type Runtime = Threads<Clients>;

/// The clients that block threads of their own.
#[derive(Debug)]
pub enum Clients {}

impl Net for Clients {
    type Tcp = Tcp;

    fn resolve(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send {
        resolve(host, port)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Tcp>> + Send {
        connect(address)
    }
}

impl ivy_driver::Clients for Clients {
    type Http = HttpClient;

    fn http(tls: Option<ClientConfig>) -> HttpClient {
        HttpClient::new(tls)
    }
}

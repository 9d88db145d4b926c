//! Threads, with the clients of this crate.

use std::io;
use std::net::SocketAddr;

use ivy_driver::{HttpClient, Net, Threads, Tls};

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
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        #[cfg(feature = "http")]
        let client = Some(Box::new(crate::http::UreqClient::new(tls)) as Box<dyn HttpClient>);
        #[cfg(not(feature = "http"))]
        let client = tls.and(None);
        client
    }
}

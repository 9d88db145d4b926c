//! The runtime of threads, with the clients of this crate.

use std::io;
use std::net::SocketAddr;
#[cfg(feature = "http")]
use std::{net::TcpStream, time::Duration};

#[cfg(feature = "http")]
use ivy_driver::internal::{block_on, connect_first};
use ivy_driver::{HttpClient, Net, Threads, Tls};

use crate::net::{Tcp, connect, resolve};

/// The runtime of this crate's types.
pub type Runtime = Threads<Clients>;

/// Clients that block threads of their own.
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
        let client = Some(Box::new(crate::http::UreqClient::new(tls, open)) as Box<dyn HttpClient>);
        #[cfg(not(feature = "http"))]
        let client = tls.and(None);
        client
    }
}

/// Connects to the first address that accepts, within a time limit.
#[cfg(feature = "http")]
pub(crate) fn open(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    block_on(connect_first::<Runtime, _, _>(addresses, limit, crate::net::open))
}

//! The runtime of threads, with the connections of this crate.

use std::io;
use std::net::{SocketAddr, TcpListener};

use ivy_driver::{HttpClient, Net, Threads, Tls, http_client};

use crate::listener::Listener;
use crate::net::{Tcp, connect, resolve};

/// The runtime of this crate's types.
pub type Runtime = Threads<Clients>;

/// Clients over sockets that are read by threads.
#[derive(Debug)]
pub enum Clients {}

impl Net for Clients {
    type Tcp = Tcp;
    type Listener = Listener;

    fn resolve(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send {
        resolve(host, port)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Tcp>> + Send {
        connect(address)
    }

    fn listen(socket: TcpListener) -> io::Result<Listener> {
        Ok(Listener::new(socket))
    }

    fn accept(listener: &Listener) -> impl Future<Output = io::Result<Tcp>> + Send {
        listener.accept()
    }
}

impl ivy_driver::Clients for Clients {
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        http_client::<Runtime>(tls)
    }
}

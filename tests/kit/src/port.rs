use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use tokio::net::TcpSocket;

/// A port of the loopback interface that nothing listens on.
///
/// Another program may bind it before the caller does: bind port 0 instead if possible.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(ANY_PORT)
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}

/// A port on which nothing listens as long as this exists: connections to it are refused.
#[derive(Debug)]
pub struct ClosedPort(TcpSocket);

impl ClosedPort {
    /// Reserves a port.
    #[must_use]
    pub fn take() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be created");
        socket.bind(ANY_PORT.into()).expect("the loopback interface has a free port");
        ClosedPort(socket)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.0.local_addr().expect("it is bound").port()
    }
}

const ANY_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_closed_port_refuses_connections() {
        let port = ClosedPort::take();
        let error = TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

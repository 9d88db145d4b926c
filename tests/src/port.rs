use std::net::{Ipv4Addr, TcpListener};

/// A port of the loopback interface that nothing listens on.
///
/// Another program may take it before the caller does: whoever can, binds port 0 instead.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}

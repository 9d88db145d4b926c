//! A server name whose target can change.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Relays each new connection to the current target port. Existing connections keep their target,
/// like connections to a name whose address changes.
pub struct Relay {
    port: u16,
    target: Arc<AtomicU16>,
    listening: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to this port.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("the loopback interface has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let target = Arc::new(AtomicU16::new(target));
        let current = Arc::clone(&target);
        let listening = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let target = current.load(Ordering::SeqCst);
                connections.spawn(async move {
                    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Relay { port, target, listening }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Relays new connections to this port.
    pub fn forward_to(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("port", &self.port).finish_non_exhaustive()
    }
}

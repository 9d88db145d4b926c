//! The task that sends and receives for a connection.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::{AbortHandle, FutureExt, abortable};

/// A connection whose sending and receiving is a future of its own, which ends with the last clone
/// of it. What a server does not read would otherwise be kept for as long as it holds the connection
/// open, and once more for each connection that replaces it.
#[derive(Clone, Debug)]
pub struct WithTraffic<Connection> {
    /// The connection.
    pub connection: Connection,
    _ends: Arc<AbortOnDrop>,
}

impl<Connection> WithTraffic<Connection> {
    /// Ties `traffic` to this connection. Returns it as a future that is to be spawned.
    #[must_use = "nothing is sent unless the future is polled"]
    pub fn new(
        connection: Connection,
        traffic: impl Future<Output = ()> + Send,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (traffic, ends) = abortable(traffic);
        let ends = Arc::new(AbortOnDrop(ends));
        (WithTraffic { connection, _ends: ends }, traffic.map(drop))
    }
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn traffic_that_would_never_end_ends_with_the_last_clone_of_its_connection() {
        let (connection, traffic) = WithTraffic::new((), pending());
        let traffic = tokio::spawn(traffic);
        let clone = connection.clone();
        drop(connection);
        tokio::task::yield_now().await;
        assert!(!traffic.is_finished());
        drop(clone);
        traffic.await.unwrap();
    }
}

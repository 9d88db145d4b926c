//! Serves the pages of a program: probes and metrics.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ivy_proto::health::http::{Page, Response};

use super::address::{HealthError, bind};
use super::connections::Connections;
use super::counters::Counters;
use crate::runtime::Runtime;
use crate::timeout::timeout;

/// The pause after a connection could not be accepted: the system may have no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The pages that a program serves.
pub trait Pages: Send + Sync + 'static {
    /// The response to the request of a page.
    fn page(&self, page: Page) -> impl Future<Output = Response> + Send;
}

/// A socket that listens for probes and scrapers.
pub struct HealthListener<R: Runtime> {
    listener: R::Listener,
    address: SocketAddr,
    counters: Counters,
}

impl<R: Runtime> HealthListener<R> {
    /// Listens at an address. Port 0 stands for any free one.
    ///
    /// # Errors
    /// If the address is in use, or the system does not allow it.
    pub fn bind(address: SocketAddr) -> Result<Self, HealthError> {
        let refused = |error| HealthError::Refused { address, error };
        let socket = bind(address)?;
        let bound = socket.local_addr().map_err(refused)?;
        let (listener, counters) = (R::listen(socket).map_err(refused)?, Counters::default());
        Ok(HealthListener { listener, address: bound, counters })
    }

    /// The address, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.clone()
    }
}

impl<R: Runtime> fmt::Debug for HealthListener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthListener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Serves these pages until `end` completes. Then nothing listens any more.
pub async fn serve<R: Runtime, P: Pages>(
    listener: HealthListener<R>,
    pages: P,
    end: impl Future<Output = ()> + Send,
) {
    let mut end = pin!(end);
    let mut connections = Connections::<R, P>::new(Arc::new(pages), listener.counters());
    loop {
        let mut accepting = pin!(R::accept(&listener.listener));
        let accepted = poll_fn(|context| {
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            connections.poll(context);
            if !connections.has_place() {
                return Poll::Pending;
            }
            accepting.as_mut().poll(context).map(Some)
        });
        match accepted.await {
            None => return,
            Some(Ok(tcp)) => connections.add(tcp),
            Some(Err(_)) => {
                let others = poll_fn(|context| {
                    connections.poll(context);
                    end.as_mut().poll(context)
                });
                if timeout::<R, _>(PAUSE, others).await.is_some() {
                    return;
                }
            }
        }
    }
}

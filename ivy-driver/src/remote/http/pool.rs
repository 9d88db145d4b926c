//! The connections that are not in use.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt;
use ivy_proto::backend::Endpoint;

use super::connection::Connection;
use crate::runtime::Runtime;

/// How long an idle connection is kept: less than the 60 s after which common load balancers drop
/// it silently.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// Idle connections. Each request in flight takes one, so it delays no other request.
#[derive(Default)]
pub(super) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the order in which they became idle.
    idle: Vec<Idle>,
    /// Whether [`close_unusable`] runs.
    has_closer: bool,
    /// Wakes it.
    closer: Option<Waker>,
}

struct Idle {
    until: Instant,
    endpoint: Endpoint,
    connection: Connection,
}

impl Pool {
    /// An open connection to this endpoint. The one used last is taken first, so that surplus ones
    /// expire.
    pub(super) fn take(&self, endpoint: &Endpoint, now: Instant) -> Option<Connection> {
        loop {
            let mut taken = {
                let idle = &mut self.state().idle;
                let last = idle.iter().rposition(|idle| idle.endpoint == *endpoint)?;
                idle.remove(last)
            };
            // The request that uses it polls it with a waker of its own.
            if now < taken.until && taken.connection.is_open(Waker::noop()) {
                return Some(taken.connection);
            }
        }
    }

    /// Keeps a connection for the next request, until it expires or the server closes it.
    pub(super) fn keep<R: Runtime>(self: &Arc<Self>, endpoint: Endpoint, connection: Connection) {
        let mut kept = Idle { until: R::now() + IDLE_LIMIT, endpoint, connection };
        let mut state = self.state();
        if let Some(closer) = &state.closer
            && !kept.connection.is_open(closer)
        {
            return;
        }
        state.idle.push(kept);
        let has_closer = std::mem::replace(&mut state.has_closer, true);
        drop(state);
        if has_closer {
            return;
        }
        if let Err(error) = R::spawn("ivy-http", close_unusable::<R>(Arc::downgrade(self))) {
            tracing::warn!(%error, "idle connections are not closed in time");
            self.state().has_closer = false;
        }
    }

    /// Closes the connections that have expired or that the server has closed. `closer` is woken
    /// when the server closes another. Returns when the next one expires, or `None` if there is
    /// none, which ends the closer.
    fn close_unusable(&self, now: Instant, closer: &Waker) -> Option<Instant> {
        let mut state = self.state();
        state.idle.retain_mut(|idle| now < idle.until && idle.connection.is_open(closer));
        let next = state.idle.first().map(|idle| idle.until);
        state.has_closer = next.is_some();
        state.closer = next.map(|_| closer.clone());
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is valid even if polling a connection panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the closer.
impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(closer) = self.state().closer.take() {
            closer.wake();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} idle)", self.state().idle.len())
    }
}

/// Closes unusable connections as soon as they are, until none is idle or the pool is dropped.
async fn close_unusable<R: Runtime>(pool: Weak<Pool>) {
    let mut expiry = None;
    poll_fn(move |context: &mut Context<'_>| {
        loop {
            let pool = pool.upgrade();
            let Some(next) = pool.and_then(|pool| pool.close_unusable(R::now(), context.waker()))
            else {
                return Poll::Ready(());
            };
            let (_, sleep) = match expiry.take() {
                Some((at, sleep)) if at == next => expiry.insert((at, sleep)),
                _ => expiry.insert((next, R::sleep_until(next).boxed())),
            };
            if sleep.poll_unpin(context).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

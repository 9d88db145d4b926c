//! A runtime for the tests of this crate: tokio, whose time can be paused.

use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::futures::{CancellationToken, TaskPerCallback};
use crate::remote::http_client;
use crate::runtime::{AsyncRuntime, Clients, HttpClient, Net, Runtime};
use crate::tls::Tls;

pub(crate) enum Tokio {}

thread_local! {
    static REFUSED: Cell<u32> = const { Cell::new(0) };
    static STARTED: OnceCell<Instant> = const { OnceCell::new() };
    static SET_FORWARD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Makes the system fail to run the next `handlers` handlers that this thread starts.
pub(crate) fn refuse_handlers(handlers: u32) {
    REFUSED.set(handlers);
}

/// Sets the wall clock forward for this thread's test. Otherwise it follows tokio's time.
pub(crate) fn set_clock_forward(by: Duration) {
    SET_FORWARD.set(SET_FORWARD.get() + by);
}

impl Net for Tokio {
    type Tcp = Compat<TcpStream>;
    type Listener = TcpListener;

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Tcp> {
        Ok(TcpStream::connect(address).await?.compat())
    }

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    }

    async fn accept(listener: &TcpListener) -> io::Result<Self::Tcp> {
        Ok(listener.accept().await?.0.compat())
    }
}

impl Clients for Tokio {
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        http_client::<Self>(tls)
    }
}

impl Runtime for Tokio {
    type CancellationToken = CancellationToken;
    type Callbacks = TaskPerCallback<Self>;

    fn instance() -> Option<u64> {
        let runtime = Handle::try_current().ok()?;
        let mut hasher = DefaultHasher::new();
        runtime.id().hash(&mut hasher);
        Some(hasher.finish())
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix_time() -> Duration {
        let started = STARTED.with(|started| *started.get_or_init(Self::now));
        let since = Self::now().saturating_duration_since(started);
        Duration::from_secs(1_700_000_000) + since + SET_FORWARD.get()
    }

    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send {
        tokio::time::sleep_until(until.into())
    }

    fn spawn(
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let refused = REFUSED.get();
        if name == "ivy-handler" && refused > 0 {
            REFUSED.set(refused - 1);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        tokio::spawn(future);
        Ok(())
    }

    fn cancel(token: &CancellationToken) {
        token.cancel();
    }

    fn is_cancelled(token: &CancellationToken) -> bool {
        token.is_cancelled()
    }
}

impl AsyncRuntime for Tokio {
    fn cancelled(token: &CancellationToken) -> impl Future<Output = ()> + Send {
        token.cancelled()
    }
}

//! Accepts and serves connections, and shuts them down.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};

use super::service::Service;
use super::socket;

/// The maximum number of bytes of a request buffered before its body is read.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection may go without a complete request head. It counts from the previous
/// response, so it is longer than clients keep idle connections: if the server closed one while a
/// request is in flight, the client would not know whether it was executed.
const HEAD_LIMIT: Duration = Duration::from_secs(90);
/// The backlog of the listener. A client beyond it would retry after a second, and thousands may
/// connect at once.
const BACKLOG: u32 = 4096;
/// How long requests may take to finish at shutdown.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);
/// How long to pause if no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on this address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server must not wait for the connections of the previous one.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until `end` completes. Then calls `close` and gives the requests in flight a
/// moment to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    end: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    tokio::select! {
        never = accept(&listener, &service, &connections) => match never {},
        () = end => {}
    }
    drop(listener);
    service.close();
    // Slower requests are cut off.
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, connections.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    service: &Arc<Service>,
    connections: &GracefulShutdown,
) -> Infallible {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    // The default limit of headers is a hundred; setting one costs an allocation per request.
    http.max_buf_size(MAX_HEAD).title_case_headers(true);
    // A client that has closed its sending side still gets its response. That is detected while a
    // response is pending.
    http.half_close(true);
    let mut is_failing = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Usually the limit of open files. It recovers when connections end.
                if !is_failing {
                    eprintln!("ivy serve: cannot accept connections now: {error}");
                }
                is_failing = true;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        is_failing = false;
        // A response is one small write, which must not wait for the acknowledgement of the
        // previous one.
        let _ = stream.set_nodelay(true);
        let service = Arc::clone(service);
        let (socket, client) = socket::split(stream);
        let respond = service_fn(move |request| Arc::clone(&service).respond(request, &client));
        // An error means that the client disconnected or does not speak HTTP. No `async` block
        // around this future: it would use more memory, and there may be thousands of connections.
        tokio::spawn(connections.watch(http.serve_connection(TokioIo::new(socket), respond)));
    }
}

#[cfg(test)]
mod tests {
    use ivy_proto::broker::BrokerConfig;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::super::access::Access;
    use super::super::faults::Faults;
    use super::super::shared_state::SharedState;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_an_incomplete_head_is_closed() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let state = SharedState::start(BrokerConfig::default(), [7; 32]).unwrap();
        let access = Access { project: "p".parse().unwrap(), token: "t".parse().unwrap() };
        let service = Service::new(state, access, Faults::new(Vec::new(), 0), false);
        tokio::spawn(serve(listener, Arc::new(service), std::future::pending()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let started = Instant::now();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        assert!(started.elapsed() >= HEAD_LIMIT);
        assert!(!response.starts_with(b"HTTP/1.1 200"));
    }
}

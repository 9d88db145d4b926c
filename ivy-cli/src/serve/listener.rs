//! Connections: accepted, served, and ended together.

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

/// The most bytes of a request that are held before its body is read.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection may go without the whole head of a request. It counts from the answer
/// before, so it is longer than clients keep connections that they do not use: one that closes
/// while a request is on its way leaves open whether that was done.
const HEAD_LIMIT: Duration = Duration::from_secs(90);
/// The most connections that wait to be accepted. A client beyond them would try again after a
/// second, and thousands may come at once.
const MAX_UNACCEPTED: u32 = 4096;
/// How long requests may take to end when the server does.
const LAST_REQUESTS: Duration = Duration::from_secs(1);
/// How long to wait when no more connections can be had.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens at this address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that is started again must not wait for the connections of the one before.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(MAX_UNACCEPTED)
}

/// Serves connections until `end` comes true. Then `close` is called, and the requests that are
/// being worked on are given a moment to end.
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
    // Whoever takes longer is cut off.
    let _ = tokio::time::timeout(LAST_REQUESTS, connections.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    service: &Arc<Service>,
    connections: &GracefulShutdown,
) -> Infallible {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    // The most headers are a hundred by themselves; a limit that is set costs an allocation each time.
    http.max_buf_size(MAX_HEAD).title_case_headers(true);
    // A client that sends nothing more still gets its answer. That it has done so is noticed where
    // an answer waits.
    http.half_close(true);
    let mut refusing = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Mostly the limit of open files. Connections that end make room.
                if !refusing {
                    eprintln!("ivy serve: cannot accept connections now: {error}");
                }
                refusing = true;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        refusing = false;
        // An answer is one small write. It must not wait for the acknowledgement of another.
        let _ = stream.set_nodelay(true);
        let service = Arc::clone(service);
        let (socket, client) = socket::split(stream);
        let respond = service_fn(move |request| Arc::clone(&service).respond(request, &client));
        // An error is a client that went away or does not speak HTTP: nobody to tell. There may be
        // thousands of connections, and a block around this one would keep more than it does.
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
    use super::super::engine::Engine;
    use super::super::faults::Faults;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_head_does_not_come_to_its_end_is_closed() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let engine = Engine::start(BrokerConfig::default(), [7; 32]).unwrap();
        let access = Access { project: "p".parse().unwrap(), token: "t".parse().unwrap() };
        let service = Service::new(engine, access, Faults::new(Vec::new(), 0), false);
        tokio::spawn(serve(listener, Arc::new(service), std::future::pending()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let started = Instant::now();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(started.elapsed() >= HEAD_LIMIT);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

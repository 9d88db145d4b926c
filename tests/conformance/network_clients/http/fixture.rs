//! Servers that send what a case wants, and requests in flight.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::{Request, Response};
use ivy_driver::{Clients, HttpClient, HttpRequest, Net, Runtime, Tls, http_client};
use ivy_proto::queue::{Fault, FaultKind};
use ivy_test_kit::PATIENCE;
use tokio::sync::oneshot;

pub(super) const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"ids\":[\"1\"]}";
/// The maximum size of the body of a response, in bytes.
pub(super) const RESPONSE_LIMIT: usize = 1024;

/// The runtime of tokio, for its adapter and for helpers.
pub(super) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap())
}

/// A server's side, which accepts connections one by one.
pub(super) struct Server(TcpListener);

impl Server {
    pub(super) fn start() -> Self {
        Server(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// A server that sends each connection this response and closes it.
    pub(super) fn always(response: Vec<u8>) -> String {
        let server = Self::start();
        let url = server.url();
        thread::spawn(move || {
            loop {
                let mut stream = server.accept();
                if read_head(&mut stream).is_ok() {
                    let _ = stream.write_all(&response);
                }
            }
        });
        url
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(super) fn port(&self) -> u16 {
        self.address().port()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    pub(super) fn accept(&self) -> TcpStream {
        self.0.accept().unwrap().0
    }

    /// Accepts a connection and reads the head of its request.
    pub(super) fn accept_request(&self) -> TcpStream {
        let mut stream = self.accept();
        read_head(&mut stream).unwrap();
        stream
    }
}

/// Reads until the end of a head.
pub(super) fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// Reads a request without a body and responds.
pub(super) fn respond(stream: &mut (impl Read + Write)) {
    read_head(stream).unwrap();
    stream.write_all(GOOD).unwrap();
}

/// Asserts that the client has closed a connection.
pub(super) fn assert_closed(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

pub(super) type Answer = Result<Response<Bytes>, Fault>;

pub(super) fn client<R: Runtime>() -> Box<dyn HttpClient> {
    R::http(None).unwrap()
}

pub(super) fn get(url: &str) -> HttpRequest {
    of(Request::get(url).body(Bytes::new()).unwrap())
}

pub(super) fn of(request: Request<Bytes>) -> HttpRequest {
    HttpRequest::new(request).with_time_limit(PATIENCE).with_response_limit(RESPONSE_LIMIT)
}

/// A request in flight.
pub(super) struct InFlight {
    response: Receiver<Answer>,
    /// Dropping it cancels the request.
    wanted: oneshot::Sender<Infallible>,
}

impl InFlight {
    pub(super) fn start<R: Runtime>(client: &dyn HttpClient, request: HttpRequest) -> Self {
        let (give, response) = channel();
        let (wanted, cancelled) = oneshot::channel();
        let sent = client.send(request);
        let sending = async move {
            if let Either::Left((response, _)) = select(sent, cancelled).await {
                let _ = give.send(response);
            }
        };
        R::spawn("request", sending).unwrap();
        InFlight { response, wanted }
    }

    pub(super) fn respond(self) -> Answer {
        self.response.recv_timeout(PATIENCE).unwrap()
    }

    pub(super) fn cancel(self) {
        drop(self.wanted);
    }
}

pub(super) fn send<R: Runtime>(client: &dyn HttpClient, request: HttpRequest) -> Answer {
    InFlight::start::<R>(client, request).respond()
}

pub(super) fn fetch<R: Runtime>(url: &str) -> Answer {
    send::<R>(&*client::<R>(), get(url))
}

/// The status of a response, or why there is none.
pub(super) fn kind_of<R: Runtime>(response: &[u8]) -> Result<u16, FaultKind> {
    let response = fetch::<R>(&Server::always(response.to_vec()));
    response.map(|response| response.status().as_u16()).map_err(|fault| fault.kind())
}

/// An address that does not respond, as behind a firewall that drops packets: its listener accepts
/// nothing, and its backlog is full.
pub(super) struct SilentAddress {
    pub(super) address: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl SilentAddress {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        let waiting = std::iter::from_fn(|| connect().ok()).collect();
        SilentAddress { address, _held: (listener, waiting) }
    }
}

/// An adapter's runtime on which each host has these addresses.
#[derive(Debug)]
pub(super) struct WithAddresses<R>(R);

static ADDRESSES: Mutex<Vec<(String, Vec<SocketAddr>)>> = Mutex::new(Vec::new());

impl<R> WithAddresses<R> {
    pub(super) fn name(host: &str, addresses: Vec<SocketAddr>) {
        ADDRESSES.lock().unwrap().push((host.to_owned(), addresses));
    }
}

impl<R: Runtime> Net for WithAddresses<R> {
    type Tcp = R::Tcp;
    type Listener = R::Listener;

    async fn resolve(host: String, _: u16) -> io::Result<Vec<SocketAddr>> {
        let known = ADDRESSES.lock().unwrap();
        Ok(known.iter().rfind(|known| known.0 == host).unwrap().1.clone())
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<R::Tcp>> + Send {
        R::connect(address)
    }

    fn listen(socket: TcpListener) -> io::Result<R::Listener> {
        R::listen(socket)
    }

    fn accept(listener: &R::Listener) -> impl Future<Output = io::Result<R::Tcp>> + Send {
        R::accept(listener)
    }
}

impl<R: Runtime> Clients for WithAddresses<R> {
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        http_client::<Self>(tls)
    }
}

impl<R: Runtime> Runtime for WithAddresses<R> {
    type CancellationToken = R::CancellationToken;
    type Callbacks = R::Callbacks;

    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send {
        R::sleep_until(until)
    }

    fn spawn(
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        R::spawn(name, future.boxed())
    }

    fn cancel(token: &R::CancellationToken) {
        R::cancel(token);
    }

    fn is_cancelled(token: &R::CancellationToken) -> bool {
        R::is_cancelled(token)
    }
}

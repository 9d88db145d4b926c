//! A proxy in front of a queue server that can inject faults into chosen requests.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy in front of an IronMQ server. It forwards requests one by one and knows the operation of
/// each, so that a test can inject faults into the next requests of a kind.
pub struct FaultyProxy {
    port: u16,
    script: Arc<Script>,
    listening: JoinHandle<()>,
}

/// The operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// Posts messages.
    Post,
    /// Reserves messages.
    Reserve,
    /// Renews a lease.
    Touch,
    /// Releases a message.
    Release,
    /// Deletes messages.
    Delete,
    /// Anything else.
    Other,
}

/// A fault of a request.
#[derive(Clone, Debug)]
pub enum ProxyFault {
    /// It is not forwarded; the response is this status with an HTML page, as from a gateway.
    Status(u16),
    /// It is forwarded, and the connection closes without a response.
    LoseResponse,
    /// It is forwarded, and the connection closes in the middle of the response.
    CutResponse,
    /// It is forwarded, and the response's body is replaced by this text.
    ReplaceBody(&'static str),
}

/// Holds responses back until it is dropped.
#[derive(Debug)]
pub struct HeldResponses {
    _end: watch::Sender<()>,
}

impl FaultyProxy {
    /// Starts a proxy in front of the server on this port.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("the loopback interface has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let script = Arc::new(Script::default());
        let of_connections = Arc::clone(&script);
        let listening = tokio::spawn(async move {
            // A connection ends with its client, with its server, or by a fault.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let script = Arc::clone(&of_connections);
                connections.spawn(async move { forward(client, server, &script).await });
            }
        });
        FaultyProxy { port, script, listening }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Injects this fault into each of the next `count` requests of a kind.
    pub fn inject(&self, kind: RequestKind, times: usize, fault: ProxyFault) {
        let mut plans = self.script.plans();
        plans.entry(kind).or_default().faults.extend(std::iter::repeat_n(fault, times));
    }

    /// Holds the responses to requests of a kind back, including those in flight, until the
    /// returned value is dropped.
    #[must_use]
    pub fn hold_responses(&self, kind: RequestKind) -> HeldResponses {
        let (end, held) = watch::channel(());
        self.script.plans().entry(kind).or_default().held = Some(held);
        HeldResponses { _end: end }
    }

    /// How many requests of a kind have arrived so far.
    #[must_use]
    pub fn seen(&self, kind: RequestKind) -> usize {
        self.script.plans().get(&kind).map_or(0, |plan| plan.seen)
    }

    /// How many planned faults of a kind have not happened yet.
    #[must_use]
    pub fn planned(&self, kind: RequestKind) -> usize {
        self.script.plans().get(&kind).map_or(0, |plan| plan.faults.len())
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl fmt::Debug for FaultyProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyProxy").field("port", &self.port).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Script(Mutex<BTreeMap<RequestKind, Plan>>);

#[derive(Default)]
struct Plan {
    seen: usize,
    faults: std::collections::VecDeque<ProxyFault>,
    held: Option<watch::Receiver<()>>,
}

impl Script {
    fn plans(&self) -> MutexGuard<'_, BTreeMap<RequestKind, Plan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request and returns its fault, if one is planned.
    fn next(&self, kind: RequestKind) -> Option<ProxyFault> {
        let mut plans = self.plans();
        let plan = plans.entry(kind).or_default();
        plan.seen += 1;
        plan.faults.pop_front()
    }

    async fn wait_while_held(&self, kind: RequestKind) {
        let held = self.plans().get(&kind).and_then(|plan| plan.held.clone());
        if let Some(mut held) = held {
            // Nothing is ever sent: this ends when the sender is dropped.
            let _ = held.changed().await;
        }
    }
}

/// Forwards one connection's requests until either side closes it or a fault ends it.
async fn forward(mut client: TcpStream, server: u16, script: &Script) -> io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    while let Some(request) = read_message(&mut client, &mut from_client).await? {
        let kind = kind_of(&request);
        let fault = script.next(kind);
        if let Some(ProxyFault::Status(status)) = fault {
            let page = "<html>no</html>";
            let head = format!("HTTP/1.1 {status} No\r\nContent-Type: text/html\r\n");
            client.write_all(with_body(&head, page).as_bytes()).await?;
            continue;
        }
        server.write_all(&request).await?;
        let response = tokio::select! {
            response = read_message(&mut server, &mut from_server) => response?,
            // A client that cancels a request closes the connection; so must the proxy.
            more = client.read_buf(&mut from_client) => match more? {
                0 => None,
                _ => return Err(io::Error::other("a second request before the first response")),
            },
        };
        let Some(response) = response else { return Ok(()) };
        script.wait_while_held(kind).await;
        match fault {
            None | Some(ProxyFault::Status(_)) => client.write_all(&response).await?,
            Some(ProxyFault::ReplaceBody(text)) => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
                client.write_all(with_body(head, text).as_bytes()).await?;
            }
            Some(ProxyFault::CutResponse) => {
                client.write_all(&response[..response.len() - response.len() / 4]).await?;
                return client.shutdown().await;
            }
            Some(ProxyFault::LoseResponse) => return client.shutdown().await,
        }
    }
    Ok(())
}

fn with_body(head: &str, body: &str) -> String {
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads an HTTP message, head and body; `None` if the connection ends before one begins. Bytes
/// beyond it stay in `read`.
async fn read_message(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(length) = message_length(read)?
            && read.len() >= length
        {
            let rest = read.split_off(length);
            return Ok(Some(std::mem::replace(read, rest)));
        }
        if stream.read_buf(read).await? == 0 {
            return if read.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// The length of a message, as soon as its head is complete.
fn message_length(read: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let field = |name: &str| {
        let mut lines = head.lines().skip(1);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    if field("transfer-encoding").is_some() {
        return Err(io::Error::other("this proxy does not support a body without Content-Length"));
    }
    let length = field("content-length").map_or(Ok(0), str::parse);
    Ok(Some(end + 4 + length.map_err(io::Error::other)?))
}

/// The operation of a request, by its first line.
fn kind_of(request: &[u8]) -> RequestKind {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    match (method, last) {
        ("POST", "messages") => RequestKind::Post,
        ("POST", "reservations") => RequestKind::Reserve,
        ("POST", "touch") => RequestKind::Touch,
        ("POST", "release") => RequestKind::Release,
        ("DELETE", _) if path.contains("/messages") => RequestKind::Delete,
        _ => RequestKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client of a proxy in front of a server whose every response is `[1,2,3]`.
    async fn client() -> (TcpStream, FaultyProxy) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = Vec::new();
                while let Ok(Some(_)) = read_message(&mut stream, &mut read).await {
                    let response = with_body("HTTP/1.1 200 OK\r\n", "[1,2,3]");
                    stream.write_all(response.as_bytes()).await.expect("a reader");
                }
            }
        });
        let proxy = FaultyProxy::start(port).await;
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await;
        (client.expect("a proxy"), proxy)
    }

    async fn post(client: &mut TcpStream) -> io::Result<Option<String>> {
        let request = with_body("POST /q/messages HTTP/1.1\r\n", "{}");
        client.write_all(request.as_bytes()).await?;
        let response = read_message(client, &mut Vec::new()).await?;
        Ok(response.map(|response| String::from_utf8(response).expect("text")))
    }

    #[tokio::test]
    async fn requests_without_a_fault_are_forwarded() {
        let (mut client, proxy) = client().await;
        proxy.inject(RequestKind::Touch, 1, ProxyFault::LoseResponse);
        for _ in 0..2 {
            assert!(post(&mut client).await.unwrap().unwrap().ends_with("[1,2,3]"));
        }
        assert_eq!(proxy.seen(RequestKind::Post), 2);
        assert_eq!(proxy.planned(RequestKind::Touch), 1);
    }

    #[tokio::test]
    async fn each_fault_happens_as_often_as_planned() {
        let (mut client, proxy) = client().await;
        proxy.inject(RequestKind::Post, 1, ProxyFault::Status(503));
        proxy.inject(RequestKind::Post, 1, ProxyFault::ReplaceBody("what?"));
        assert!(post(&mut client).await.unwrap().unwrap().starts_with("HTTP/1.1 503 "));
        assert!(post(&mut client).await.unwrap().unwrap().ends_with("what?"));
        assert!(post(&mut client).await.unwrap().unwrap().ends_with("[1,2,3]"));
    }

    #[tokio::test]
    async fn responses_are_lost_whole_or_in_part() {
        let (mut first, proxy) = client().await;
        proxy.inject(RequestKind::Post, 1, ProxyFault::LoseResponse);
        assert_eq!(post(&mut first).await.unwrap(), None);
        proxy.inject(RequestKind::Post, 1, ProxyFault::CutResponse);
        let second = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await;
        assert!(post(&mut second.unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn responses_are_held_back_until_the_hold_is_dropped() {
        let (mut client, proxy) = client().await;
        let held = proxy.hold_responses(RequestKind::Post);
        let response = tokio::spawn(async move { post(&mut client).await });
        while proxy.seen(RequestKind::Post) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!response.is_finished());
        drop(held);
        assert!(response.await.unwrap().unwrap().is_some());
    }

    #[test]
    fn requests_are_distinguished_by_operation() {
        for (line, kind) in [
            ("POST /3/projects/p/queues/q/messages HTTP/1.1", RequestKind::Post),
            ("POST /3/projects/p/queues/q/reservations HTTP/1.1", RequestKind::Reserve),
            ("POST /3/projects/p/queues/q/messages/1/touch HTTP/1.1", RequestKind::Touch),
            ("POST /3/projects/p/queues/q/messages/1/release HTTP/1.1", RequestKind::Release),
            ("DELETE /3/projects/p/queues/q/messages HTTP/1.1", RequestKind::Delete),
            ("DELETE /3/projects/p/queues/q/messages/1 HTTP/1.1", RequestKind::Delete),
            ("GET /3/projects/p/queues/q/messages?n=1 HTTP/1.1", RequestKind::Other),
            ("DELETE /3/projects/p/queues/q HTTP/1.1", RequestKind::Other),
        ] {
            assert_eq!(kind_of(line.as_bytes()), kind, "{line}");
        }
    }
}

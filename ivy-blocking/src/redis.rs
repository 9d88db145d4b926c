//! The Redis client: one connection that publishes, and one for each subscription.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ivy_proto::ChannelName;
use ivy_proto::config::RedisAddress;
use ivy_proto::notify::redis::{Greeting, refusal};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::{Cmd, Msg, Parser, RedisError, RedisResult, Value};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::backend::{Answer, Heard, News, Notifier, PublishResult, Subscriber, Subscription};
use crate::cancel::CancellationToken;
use crate::threads::spawn;
use crate::tls::{OwnRoots, is_tls};

/// The longest line of an answer to what is said first, in bytes.
const LONGEST_LINE: usize = 1024;
/// How many publications are sent together at most.
const BATCH: usize = 256;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until a connection can be used, authentication included.
    connect: Duration,
    /// One command.
    command: Duration,
    /// The silence on a subscription after which the server is asked whether it still stands: a
    /// connection that a firewall forgot stays silent for ever, and so does one without notices.
    silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (connect, command) = (Duration::from_secs(5), Duration::from_secs(5));
        Limits { connect, command, silence: Duration::from_secs(20) }
    }
}

/// How long a connection that was not used is taken to stand.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A notifier over Redis's publish and subscribe.
#[derive(Debug)]
pub(crate) struct RedisNotifier {
    server: Arc<Server>,
    /// Opened by the first publication, with the thread that publishes.
    publisher: OnceLock<Sender<(Publication, Answer<PublishResult>)>>,
}

#[derive(Clone)]
struct Server {
    address: RedisAddress,
    tls: Option<Arc<ClientConfig>>,
    limits: Limits,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.server())
    }
}

impl RedisNotifier {
    pub(crate) fn new(address: &RedisAddress, roots: &OwnRoots) -> Self {
        let tls = address.tls.then(|| Arc::new(roots.with_system_roots()));
        let address = address.clone();
        let server = Arc::new(Server { address, tls, limits: Limits::default() });
        RedisNotifier { server, publisher: OnceLock::new() }
    }
}

impl Notifier for RedisNotifier {
    fn publish(&self, publication: Publication, answer: Answer<PublishResult>) {
        let publisher = self.publisher.get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            let server = Arc::clone(&self.server);
            if let Err(error) = spawn("ivy-publisher", move || server.publish_all(&receiver)) {
                // Every publication will be told that its answer is lost.
                tracing::error!(%error, "the publisher's thread cannot be started");
            }
            sender
        });
        // Without the thread the mail is dropped, and the answer with it.
        let _ = publisher.send((publication, answer));
    }

    fn subscribe(&self, channels: Vec<ChannelName>, news: News) -> Subscription {
        let (subscriber, subscription) = Subscription::new(news);
        let server = Arc::clone(&self.server);
        if let Err(error) = spawn("ivy-subscriber", move || server.listen(&channels, &subscriber)) {
            tracing::error!(%error, "the subscriber's thread cannot be started");
        }
        subscription
    }
}

impl Server {
    /// Publishes what comes by mail until nobody is left who could send it.
    fn publish_all(&self, mailbox: &Receiver<(Publication, Answer<PublishResult>)>) {
        let mut connection = None;
        let mut used_at = Instant::now();
        while let Ok(first) = mailbox.recv() {
            let batch = [first].into_iter().chain(mailbox.try_iter()).take(BATCH).collect();
            let has_rested = used_at.elapsed() > TRUSTED_FOR;
            let mut standing = connection.take();
            if has_rested {
                standing = standing.and_then(|connection| self.still_standing(connection));
            }
            let ready = match standing {
                Some(connection) => Ok(connection),
                None => self.open(&CancellationToken::new()),
            };
            connection = self.publish(ready, batch);
            used_at = Instant::now();
        }
    }

    /// A connection that has rested, if it still stands: what is published on one that a restart of
    /// the server has ended would be lost, though the server is there again.
    fn still_standing(&self, mut connection: Connection) -> Option<Connection> {
        connection.limit(self.limits.command);
        connection.ask(&redis::cmd("PING")).ok().map(|_| connection)
    }

    /// Publishes these together. Gives the connection back if it can be used again.
    fn publish(
        &self,
        connection: Result<Connection, NotifyFault>,
        batch: Vec<(Publication, Answer<PublishResult>)>,
    ) -> Option<Connection> {
        let mut commands = Vec::new();
        for (Publication { channel, payload }, _) in &batch {
            let command = redis::cmd("PUBLISH").arg(channel.as_str()).arg(payload.as_str()).clone();
            command.write_packed_command(&mut commands);
        }
        let lost = |error: RedisError| self.meaning(&error, NotifyFaultKind::ConnectionLost);
        let mut connection = connection.and_then(|mut connection| {
            connection.limit(self.limits.command);
            connection.send(&commands).map_err(lost)?;
            Ok(connection)
        });
        for (_, answer) in batch {
            let published = match &mut connection {
                Ok(connection) => connection.receive().and_then(|receivers| {
                    redis::from_redis_value(receivers).map_err(RedisError::from)
                }),
                Err(fault) => {
                    answer.give(Err(fault.clone()));
                    continue;
                }
            };
            answer.give(published.map_err(|error| {
                let fault = lost(error);
                connection = Err(fault.clone());
                fault
            }));
        }
        connection.ok()
    }

    /// Subscribes, and tells what is heard until the connection or the subscription ends.
    fn listen(&self, channels: &[ChannelName], subscriber: &Subscriber) {
        let Err(fault) = self.hear(channels, subscriber);
        subscriber.tell(Heard::Lost(fault));
    }

    fn hear(
        &self,
        channels: &[ChannelName],
        subscriber: &Subscriber,
    ) -> Result<std::convert::Infallible, NotifyFault> {
        let mut connection = self.open(subscriber.ended())?;
        let early = connection
            .subscribe(channels)
            .map_err(|error| self.meaning(&error, NotifyFaultKind::Unreachable))?;
        subscriber.tell(Heard::Subscribed);
        early.into_iter().filter_map(notice).for_each(|heard| subscriber.tell(heard));
        let mut asked = false;
        loop {
            let patience = if asked { self.limits.command } else { self.limits.silence };
            connection.limit(patience);
            match connection.receive() {
                Ok(said) => {
                    asked = false;
                    if let Some(heard) = notice(said) {
                        subscriber.tell(heard);
                    }
                }
                Err(error) if error.is_timeout() && !asked => {
                    connection.limit(self.limits.command);
                    asked = connection.send(&redis::cmd("PING").get_packed_command()).is_ok();
                    if !asked {
                        return Err(self.meaning(&error, NotifyFaultKind::ConnectionLost));
                    }
                }
                Err(error) => return Err(self.meaning(&error, NotifyFaultKind::ConnectionLost)),
            }
        }
    }

    /// A connection that can be used. It is shut down when it is given up.
    fn open(&self, given_up: &CancellationToken) -> Result<Connection, NotifyFault> {
        let mut connection = self.connect(given_up)?;
        let unreachable = |error: io::Error| self.no_connection(&error);
        let mut greeting = Greeting::new(&self.address);
        while let Some(command) = greeting.next_command() {
            connection.stream.write_all(&command).map_err(unreachable)?;
            connection.stream.flush().map_err(unreachable)?;
            greeting.answered(&read_line(&mut connection.stream).map_err(unreachable)?)?;
        }
        Ok(connection)
    }

    fn connect(&self, given_up: &CancellationToken) -> Result<Connection, NotifyFault> {
        let RedisAddress { host, port, .. } = &self.address;
        // The resolver and TLS want an IPv6 address without the brackets that it has in a URL.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let until = Instant::now() + self.limits.connect;
        let unreachable = |error: io::Error| self.no_connection(&error);
        let socket = reach(host, *port, until).map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let handle = socket.try_clone().map_err(unreachable)?;
        given_up.on_cancel(move || {
            // It fails only if the connection has ended already.
            let _ = handle.shutdown(Shutdown::Both);
        });
        let mut socket = Limited { socket, until };
        let Some(tls) = &self.tls else { return Ok(Connection::new(Stream::Plain(socket))) };
        let insecure = |error: &dyn fmt::Display| self.fault(NotifyFaultKind::Tls, error);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| insecure(&error))?;
        let mut session =
            ClientConnection::new(Arc::clone(tls), name).map_err(|error| insecure(&error))?;
        session.complete_io(&mut socket).map_err(unreachable)?;
        Ok(Connection::new(Stream::Secured(Box::new(StreamOwned::new(session, socket)))))
    }

    fn no_connection(&self, error: &io::Error) -> NotifyFault {
        let tls = is_tls(error);
        self.fault(if tls { NotifyFaultKind::Tls } else { NotifyFaultKind::Unreachable }, error)
    }

    /// A fault of the connection to the server.
    fn fault(&self, kind: NotifyFaultKind, error: &dyn fmt::Display) -> NotifyFault {
        NotifyFault::new(kind).with_detail(format!("{}: {error}", self.address.server()))
    }

    /// What an error means; `broken` if the connection is what failed.
    fn meaning(&self, error: &RedisError, broken: NotifyFaultKind) -> NotifyFault {
        match error.code() {
            Some(code) => {
                let said = format!("{code} {}", error.detail().unwrap_or_default());
                refusal(said.trim_end(), &self.address)
            }
            // Of what is no Redis the text may hold anything.
            None if error.is_io_error() => self.fault(broken, error),
            None => self.fault(broken, &error.category()),
        }
    }
}

/// Connects to the first address of a host that answers.
fn reach(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A line of a server, without its break.
fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
        }
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A connection, and what was read of an answer that is not yet whole.
struct Connection {
    stream: Stream,
    parser: Parser,
}

impl Connection {
    fn new(stream: Stream) -> Self {
        Connection { stream, parser: Parser::new() }
    }

    /// Everything from now on takes at most so long.
    fn limit(&mut self, limit: Duration) {
        let socket = match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Secured(stream) => &mut stream.sock,
        };
        socket.until = Instant::now() + limit;
    }

    fn send(&mut self, commands: &[u8]) -> RedisResult<()> {
        self.stream.write_all(commands)?;
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(&mut self.stream)?.extract_error()
    }

    fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.send(&command.get_packed_command())?;
        self.receive()
    }

    /// Subscribes to these channels. Gives what was said meanwhile besides the confirmations.
    fn subscribe(&mut self, channels: &[ChannelName]) -> RedisResult<Vec<Value>> {
        let mut subscribe = redis::cmd("SUBSCRIBE");
        for channel in channels {
            subscribe.arg(channel.as_str());
        }
        self.send(&subscribe.get_packed_command())?;
        let (mut confirmed, mut early) = (0, Vec::new());
        while confirmed < channels.len() {
            let said = self.receive()?;
            match redis::from_redis_value_ref::<(String, String, u64)>(&said) {
                Ok((kind, _, _)) if kind == "subscribe" => confirmed += 1,
                _ => early.push(said),
            }
        }
        Ok(early)
    }
}

/// A message as a notice; nothing if it is none, or its channel has a name that we cannot have
/// asked for.
fn notice(said: Value) -> Option<Heard> {
    let message = Msg::from_owned_value(said)?;
    let channel = ChannelName::new(message.get_channel_name()).ok()?;
    Some(Heard::Notice { channel, payload: message.get_payload_bytes().to_vec() })
}

/// What a connection runs over.
enum Stream {
    Plain(Limited),
    Secured(Box<StreamOwned<ClientConnection, Limited>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Secured(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Secured(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Secured(stream) => stream.flush(),
        }
    }
}

/// A socket on which nothing lasts longer than until a moment.
struct Limited {
    socket: TcpStream,
    until: Instant,
}

impl Limited {
    /// A signal interrupts what has a time limit. It is begun again with what is left of it.
    fn begun_again<T>(
        &mut self,
        mut attempt: impl FnMut(&mut TcpStream, Duration) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt(&mut self.socket, left(self.until)?) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                ended => return ended,
            }
        }
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun_again(|socket, left| {
            socket.set_read_timeout(Some(left))?;
            socket.read(buffer)
        })
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun_again(|socket, left| {
            socket.set_write_timeout(Some(left))?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests;

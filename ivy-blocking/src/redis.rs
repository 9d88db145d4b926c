//! The Redis client: one connection that publishes, and one for each subscription.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_channel::{mpsc as channel, oneshot};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_driver::{Heard, Notifier, RedisFaults, UnderWay, block_on, spawn, under_way};
use ivy_proto::ChannelName;
use ivy_proto::config::RedisAddress;
use ivy_proto::notify::redis::Greeting;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::{Cmd, Msg, Parser, RedisError, RedisResult, Value};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

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

/// How many notices may wait to be taken in before the subscriber's thread waits with them.
const UNREAD_NOTICES: usize = 1024;

/// A publication, and where its answer goes.
type Order = (Publication, oneshot::Sender<Result<u64, NotifyFault>>);

/// A notifier over Redis's publish and subscribe.
pub struct RedisNotifier {
    server: Arc<Server>,
    /// Opened by the first publication, with the thread that publishes.
    publisher: OnceLock<Sender<Order>>,
}

#[derive(Clone)]
struct Server {
    faults: RedisFaults,
    tls: Option<Arc<ClientConfig>>,
    limits: Limits,
}

impl RedisNotifier {
    pub(crate) fn new(address: &RedisAddress, tls: Option<ClientConfig>) -> Self {
        let (faults, tls) = (RedisFaults::new(address.clone()), tls.map(Arc::new));
        let server = Arc::new(Server { faults, tls, limits: Limits::default() });
        RedisNotifier { server, publisher: OnceLock::new() }
    }
}

impl fmt::Debug for RedisNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisNotifier({:?})", self.server.faults)
    }
}

impl Notifier for RedisNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        let publisher = self.publisher.get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            let server = Arc::clone(&self.server);
            if let Err(error) = spawn("ivy-publisher", move || server.publish_all(&receiver)) {
                // Every publication will be told that its answer is lost.
                tracing::error!(%error, "the publisher's thread cannot be started");
            }
            sender
        });
        let (give, given) = oneshot::channel();
        // Without the thread the mail is dropped, and the other end of the answer with it.
        let _ = publisher.send((publication, give));
        let lost = || Err(NotifyFault::new(NotifyFaultKind::ConnectionLost));
        given.map(move |answer| answer.unwrap_or_else(|_| lost())).boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let server = Arc::clone(&self.server);
        stream::once(async move {
            let (sender, heard) = channel::channel(UNREAD_NOTICES);
            // It fails only if the connection has ended already.
            let (work, wanted) =
                under_way(|socket: TcpStream| drop(socket.shutdown(Shutdown::Both)));
            let listen = move || server.listen(&channels, Subscriber(sender), &work);
            if let Err(error) = spawn("ivy-subscriber", listen) {
                tracing::error!(%error, "the subscriber's thread cannot be started");
            }
            heard.map(move |heard| {
                let _ = &wanted;
                heard
            })
        })
        .flatten()
        .boxed()
    }
}

/// Tells what a subscription hears.
struct Subscriber(channel::Sender<Heard>);

impl Subscriber {
    /// Waits while too much is unread, until nobody listens any more.
    fn tell(&mut self, heard: Heard) {
        if block_on(poll_fn(|context| self.0.poll_ready(context))).is_ok() {
            // Nobody may listen any more.
            let _ = self.0.start_send(heard);
        }
    }
}

impl Server {
    /// Publishes what comes by mail until nobody is left who could send it.
    fn publish_all(&self, mailbox: &Receiver<Order>) {
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
                None => self.open(|_| Ok(())),
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
        batch: Vec<Order>,
    ) -> Option<Connection> {
        let mut commands = Vec::new();
        for (Publication { channel, payload }, _) in &batch {
            let command = redis::cmd("PUBLISH").arg(channel.as_str()).arg(payload.as_str()).clone();
            command.write_packed_command(&mut commands);
        }
        let lost = |error: RedisError| self.faults.meaning(&error, NotifyFaultKind::ConnectionLost);
        let mut connection = connection.and_then(|mut connection| {
            connection.limit(self.limits.command);
            connection.send(&commands).map_err(lost)?;
            Ok(connection)
        });
        // Nobody may wait for an answer any more.
        for (_, answer) in batch {
            let published = match &mut connection {
                Ok(connection) => connection.receive().and_then(|receivers| {
                    redis::from_redis_value(receivers).map_err(RedisError::from)
                }),
                Err(fault) => {
                    let _ = answer.send(Err(fault.clone()));
                    continue;
                }
            };
            let published = published.map_err(|error| {
                let fault = lost(error);
                connection = Err(fault.clone());
                fault
            });
            let _ = answer.send(published);
        }
        connection.ok()
    }

    /// Subscribes, and tells what is heard until the connection or the subscription ends.
    fn listen(
        &self,
        channels: &[ChannelName],
        mut subscriber: Subscriber,
        work: &UnderWay<TcpStream>,
    ) {
        let Err(fault) = self.hear(channels, &mut subscriber, work);
        subscriber.tell(Heard::Lost(fault));
    }

    fn hear(
        &self,
        channels: &[ChannelName],
        subscriber: &mut Subscriber,
        work: &UnderWay<TcpStream>,
    ) -> Result<Infallible, NotifyFault> {
        let given_up = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
        let mut connection =
            self.open(|socket| work.begin(socket.try_clone()?).map_err(given_up))?;
        let early = connection
            .subscribe(channels)
            .map_err(|error| self.faults.meaning(&error, NotifyFaultKind::Unreachable))?;
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
                        return Err(self.faults.meaning(&error, NotifyFaultKind::ConnectionLost));
                    }
                }
                Err(error) => {
                    return Err(self.faults.meaning(&error, NotifyFaultKind::ConnectionLost));
                }
            }
        }
    }

    /// A connection that can be used. Its socket is shown before anything is said on it.
    fn open(
        &self,
        show: impl FnOnce(&TcpStream) -> io::Result<()>,
    ) -> Result<Connection, NotifyFault> {
        let unreachable = |error: io::Error| self.faults.no_connection(&error);
        let mut connection = self.connect(show)?;
        let mut greeting = Greeting::new(self.faults.address());
        while let Some(command) = greeting.next_command() {
            connection.socket.write_all(&command).map_err(unreachable)?;
            connection.socket.flush().map_err(unreachable)?;
            greeting.answered(&read_line(&mut connection.socket).map_err(unreachable)?)?;
        }
        Ok(connection)
    }

    fn connect(
        &self,
        show: impl FnOnce(&TcpStream) -> io::Result<()>,
    ) -> Result<Connection, NotifyFault> {
        let RedisAddress { host, port, .. } = self.faults.address();
        // The resolver and TLS want an IPv6 address without the brackets that it has in a URL.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let until = Instant::now() + self.limits.connect;
        let unreachable = |error: io::Error| self.faults.no_connection(&error);
        let socket = reach(host, *port, until).map_err(unreachable)?;
        socket.set_nodelay(true).and_then(|()| show(&socket)).map_err(unreachable)?;
        let mut socket = Limited { socket, until };
        let Some(tls) = &self.tls else { return Ok(Connection::new(socket)) };
        let insecure = |error: &dyn fmt::Display| self.faults.fault(NotifyFaultKind::Tls, error);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| insecure(&error))?;
        let mut session =
            ClientConnection::new(Arc::clone(tls), name).map_err(|error| insecure(&error))?;
        session.complete_io(&mut socket).map_err(unreachable)?;
        Ok(Connection::new(StreamOwned::new(session, socket)))
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
    socket: Box<dyn Socket>,
    parser: Parser,
}

impl Connection {
    fn new(socket: impl Socket + 'static) -> Self {
        Connection { socket: Box::new(socket), parser: Parser::new() }
    }

    /// Everything from now on takes at most so long.
    fn limit(&mut self, limit: Duration) {
        self.socket.limit(Instant::now() + limit);
    }

    fn send(&mut self, commands: &[u8]) -> RedisResult<()> {
        self.socket.write_all(commands)?;
        Ok(self.socket.flush()?)
    }

    fn receive(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(&mut self.socket)?.extract_error()
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

/// What was said, if it is a notice.
fn notice(said: Value) -> Option<Heard> {
    ivy_driver::notice(&Msg::from_owned_value(said)?)
}

/// What a connection runs over.
trait Socket: Read + Write + Send {
    /// Nothing lasts longer than until then.
    fn limit(&mut self, until: Instant);
}

impl Socket for Limited {
    fn limit(&mut self, until: Instant) {
        self.until = until;
    }
}

impl Socket for StreamOwned<ClientConnection, Limited> {
    fn limit(&mut self, until: Instant) {
        self.sock.until = until;
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

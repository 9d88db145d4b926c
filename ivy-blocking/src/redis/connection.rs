//! A connection to a Redis server, on which nothing lasts longer than it may.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use ivy_proto::ChannelName;
use redis::{Cmd, Parser, RedisResult, Value};
use rustls::{ClientConnection, StreamOwned};

/// The longest line of an answer to what is said first, in bytes.
const LONGEST_LINE: usize = 1024;

/// A connection, and what was read of an answer that is not yet whole.
pub(super) struct Connection {
    socket: Box<dyn Socket>,
    parser: Parser,
}

impl Connection {
    pub(super) fn new(socket: impl Socket + 'static) -> Self {
        Connection { socket: Box::new(socket), parser: Parser::new() }
    }

    /// Everything from now on takes at most so long.
    pub(super) fn limit(&mut self, limit: Duration) {
        self.socket.limit(Instant::now() + limit);
    }

    pub(super) fn send(&mut self, commands: &[u8]) -> io::Result<()> {
        self.socket.write_all(commands)?;
        self.socket.flush()
    }

    /// A line of the server, without its break.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
            }
            let mut byte = [0];
            self.socket.read_exact(&mut byte)?;
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    pub(super) fn receive(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(&mut self.socket)?.extract_error()
    }

    pub(super) fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.send(&command.get_packed_command())?;
        self.receive()
    }

    /// Subscribes to these channels. Gives what was said meanwhile besides the confirmations.
    pub(super) fn subscribe(&mut self, channels: &[ChannelName]) -> RedisResult<Vec<Value>> {
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

/// What a connection runs over.
pub(super) trait Socket: Read + Write + Send {
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
pub(super) struct Limited {
    socket: TcpStream,
    until: Instant,
}

impl Limited {
    pub(super) fn new(socket: TcpStream, until: Instant) -> Self {
        Limited { socket, until }
    }

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

/// Connects to the first address of a host that answers.
pub(super) fn reach(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
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

//! A connection to a Redis server, on which nothing lasts longer than it may.

use std::io;
use std::time::{Duration, Instant};

use ivy_proto::ChannelName;
use redis::{Cmd, Parser, RedisResult, Value};

use crate::connector::Socket;

/// The longest line of an answer to what is said first, in bytes.
const LONGEST_LINE: usize = 1024;

/// A connection, and what was read of an answer that is not yet whole.
pub(super) struct Connection {
    socket: Box<dyn Socket>,
    parser: Parser,
}

impl Connection {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Connection { socket, parser: Parser::new() }
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

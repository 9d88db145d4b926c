//! A scripted Redis server, whose replies a test can replace byte by byte.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::pieces::send_pieces;

/// The longest command that is accepted, in bytes.
const MAX_COMMAND: usize = 4 * 1024 * 1024;

/// A server that implements `PING`, `HELLO`, `AUTH`, `SELECT`, `SUBSCRIBE` and `PUBLISH` as Redis
/// does, unless a test has set another reply to the next command of a kind.
pub struct ScriptedRedis {
    port: u16,
    state: Arc<State>,
}

/// What is sent instead of Redis's own reply.
#[derive(Clone, Debug)]
pub enum ScriptedReply {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, and then Redis's own reply.
    Before(Vec<u8>),
    /// Nothing: the connection ends.
    HangUp,
    /// These bytes, and then the connection ends.
    BytesAndHangUp(Vec<u8>),
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    script: Mutex<VecDeque<(&'static str, ScriptedReply)>>,
    /// The subscribed connections, each with its channels.
    subscribers: Mutex<Vec<(TcpStream, Vec<String>)>>,
    commands: Mutex<Vec<Vec<String>>>,
}

impl ScriptedRedis {
    /// Starts a server.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("the loopback interface has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A connection ends with its client, or as the script specifies.
                thread::spawn(move || converse(stream, &state));
            }
        });
        ScriptedRedis { port, state }
    }

    /// Its address, including a password.
    #[must_use]
    pub fn url(&self, password: &str) -> String {
        format!("redis://:{password}@127.0.0.1:{}", self.port)
    }

    /// Sets the reply to the next command of this name.
    pub fn reply_next(&self, command: &'static str, reply: ScriptedReply) {
        lock(&self.state.script).push_back((command, reply));
    }

    /// Whether all scripted replies were sent.
    #[must_use]
    pub fn has_sent_all_replies(&self) -> bool {
        lock(&self.state.script).is_empty()
    }

    /// Sends these bytes to all subscribers.
    pub fn push(&self, bytes: &[u8]) {
        for (stream, _) in lock(&self.state.subscribers).iter_mut() {
            // A subscriber that has disconnected does not receive it.
            let _ = stream.write_all(bytes);
        }
    }

    /// Publishes a payload to a channel, as any client can.
    pub fn publish(&self, channel: &str, payload: &[u8]) {
        deliver(&self.state, channel, payload, |message| vec![message.to_vec()]);
    }

    /// The same, with the message's bytes cut into pieces that are sent one after the other.
    pub fn publish_in_pieces(
        &self,
        channel: &str,
        payload: &[u8],
        cut: impl FnOnce(&[u8]) -> Vec<Vec<u8>>,
    ) {
        deliver(&self.state, channel, payload, cut);
    }

    /// Ends the connections of all subscribers.
    pub fn disconnect_subscribers(&self) {
        for (stream, _) in lock(&self.state.subscribers).drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// The arguments of each command of this name that has arrived so far.
    #[must_use]
    pub fn received(&self, command: &str) -> Vec<Vec<String>> {
        let commands = lock(&self.state.commands);
        commands.iter().filter(|args| args[0].eq_ignore_ascii_case(command)).cloned().collect()
    }
}

impl Drop for ScriptedRedis {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.disconnect_subscribers();
        // Wakes the listener, so that it ends.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl fmt::Debug for ScriptedRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedRedis").field("port", &self.port).finish_non_exhaustive()
    }
}

fn converse(mut stream: TcpStream, state: &State) {
    let _ = stream.set_nodelay(true);
    let Ok(reading) = stream.try_clone() else { return };
    let mut commands = BufReader::new(reading);
    let mut subscribed = false;
    while let Ok(args) = read_command(&mut commands) {
        let Some(name) = args.first().map(|name| name.to_ascii_uppercase()) else { return };
        lock(&state.commands).push(args.clone());
        let usual =
            |stream: &mut TcpStream| reply_as_redis(&name, &args, subscribed, stream, state);
        let scripted = {
            let mut script = lock(&state.script);
            let position = script.iter().position(|(command, _)| *command == name);
            position.and_then(|position| script.remove(position))
        };
        let written = match scripted.map(|(_, reply)| reply) {
            None => usual(&mut stream),
            Some(ScriptedReply::Bytes(bytes)) => stream.write_all(&bytes),
            Some(ScriptedReply::Before(bytes)) => {
                stream.write_all(&bytes).and_then(|()| usual(&mut stream))
            }
            Some(ScriptedReply::HangUp) => return hang_up(&stream),
            Some(ScriptedReply::BytesAndHangUp(bytes)) => {
                let _ = stream.write_all(&bytes);
                return hang_up(&stream);
            }
        };
        subscribed |= name == "SUBSCRIBE";
        if written.is_err() {
            return;
        }
    }
}

fn hang_up(stream: &TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn reply_as_redis(
    name: &str,
    args: &[String],
    subscribed: bool,
    stream: &mut TcpStream,
    state: &State,
) -> io::Result<()> {
    match name {
        "PING" if subscribed => stream.write_all(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        "PING" => stream.write_all(b"+PONG\r\n"),
        "HELLO" => stream
            .write_all(b"*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"),
        "SUBSCRIBE" => {
            let channels = args[1..].to_vec();
            // Locked meanwhile, so that messages published after the confirmation are delivered.
            let mut subscribers = lock(&state.subscribers);
            for (number, channel) in (1..).zip(&channels) {
                let length = channel.len();
                let confirmed =
                    format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:{number}\r\n");
                stream.write_all(confirmed.as_bytes())?;
            }
            subscribers.push((stream.try_clone()?, channels));
            Ok(())
        }
        "PUBLISH" => {
            let whole = |message: &[u8]| vec![message.to_vec()];
            let receivers = deliver(state, &args[1], args[2].as_bytes(), whole);
            stream.write_all(format!(":{receivers}\r\n").as_bytes())
        }
        _ => stream.write_all(b"+OK\r\n"),
    }
}

/// Sends a payload to a channel's subscribers, and returns how many there are.
fn deliver(
    state: &State,
    channel: &str,
    payload: &[u8],
    cut: impl FnOnce(&[u8]) -> Vec<Vec<u8>>,
) -> usize {
    let mut message =
        format!("*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${}\r\n", channel.len(), payload.len())
            .into_bytes();
    message.extend(payload);
    message.extend(b"\r\n");
    let pieces = cut(&message);
    let mut subscribers = lock(&state.subscribers);
    let listening = subscribers.iter_mut().filter(|(_, names)| names.iter().any(|n| n == channel));
    listening.filter_map(|(stream, _)| send_pieces(stream, &pieces).ok()).count()
}

/// Reads a command as clients send it: an array of bulk strings.
fn read_command(stream: &mut impl BufRead) -> io::Result<Vec<String>> {
    let count = read_number(stream, '*')?;
    (0..count)
        .map(|_| {
            let mut word = vec![0; read_number(stream, '$')? + 2];
            stream.read_exact(&mut word)?;
            word.truncate(word.len() - 2);
            Ok(String::from_utf8_lossy(&word).into_owned())
        })
        .collect()
}

fn read_number(stream: &mut impl BufRead, sigil: char) -> io::Result<usize> {
    let mut line = String::new();
    stream.by_ref().take(64).read_line(&mut line)?;
    let number = line.trim_end().strip_prefix(sigil).and_then(|number| number.parse().ok());
    let number = number.filter(|number| *number <= MAX_COMMAND);
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no command"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

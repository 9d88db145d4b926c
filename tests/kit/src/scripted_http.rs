//! A scripted HTTP server: each response is the bytes that a test specifies.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::pieces::send_pieces;

/// A server whose every response is the same bytes, until they are replaced.
pub struct ScriptedHttp {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    connections: AtomicUsize,
    reply: Mutex<ScriptedResponse>,
}

/// The bytes of a response, and what follows them.
#[derive(Clone, Debug, Default)]
pub struct ScriptedResponse {
    /// What is sent, one piece after the other.
    pub pieces: Vec<Vec<u8>>,
    /// What follows.
    pub then: Then,
}

/// What follows a response's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// The server reads the next request.
    #[default]
    KeepAlive,
    /// The connection ends.
    Close,
    /// One more byte from time to time, without end.
    SendForever,
}

impl ScriptedHttp {
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
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&shared);
                // A connection ends with its client, or as the response specifies.
                thread::spawn(move || converse(&stream, &state));
            }
        });
        ScriptedHttp { port, state }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the response from now on.
    pub fn respond(&self, reply: ScriptedResponse) {
        *self.state.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for ScriptedHttp {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it ends.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl fmt::Debug for ScriptedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedHttp").field("port", &self.port).finish_non_exhaustive()
    }
}

fn converse(stream: &TcpStream, state: &State) {
    let _ = stream.set_nodelay(true);
    let mut requests = BufReader::new(stream);
    while read_request(&mut requests).is_ok() {
        let ScriptedResponse { pieces, then } =
            state.reply.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if pieces.iter().all(Vec::is_empty) || send_pieces(stream, &pieces).is_err() {
            break;
        }
        match then {
            Then::KeepAlive => {}
            Then::Close => break,
            Then::SendForever => {
                while !state.ended.load(Ordering::SeqCst) && (&*stream).write_all(b"x").is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
                break;
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Reads a complete request.
fn read_request(stream: &mut impl BufRead) -> io::Result<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(announced) = line.strip_prefix("content-length:") {
            length = announced.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut stream.take(length), &mut io::sink()).map(|_| ())
}

//! Passes the bytes that a thread reads to the future that wants them.

use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ivy_driver::internal::run_woken_by;

/// The maximum number of bytes that one read returns. One such piece is buffered while the next is
/// read.
const PIECE: usize = 16 * 1024;

/// The bytes that have been read from a connection and are not consumed yet.
pub(crate) struct Incoming {
    state: Mutex<State>,
    /// The piece has been consumed, or the connection was dropped.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    piece: Vec<u8>,
    /// The part of the piece that has not been consumed.
    unread: Range<usize>,
    /// How the connection ended, after the piece.
    end: Option<io::Result<()>>,
    waiting: Option<Waker>,
    /// Whether the thread waits until the piece is consumed.
    is_held_up: bool,
    is_closed: bool,
}

impl Incoming {
    pub(crate) fn new() -> Self {
        let state = State { piece: vec![0; PIECE], ..State::default() };
        Incoming { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.unread.is_empty() {
            match &mut state.end {
                // An error is reported once.
                Some(end) => return Poll::Ready(std::mem::replace(end, Ok(())).map(|()| 0)),
                None => {
                    let waker = context.waker();
                    if !state.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(waker)) {
                        let before = state.waiting.replace(waker.clone());
                        drop(state);
                        drop(before);
                    }
                    return Poll::Pending;
                }
            }
        }
        let unread = &state.piece[state.unread.clone()];
        let length = unread.len().min(buffer.len());
        buffer[..length].copy_from_slice(&unread[..length]);
        state.unread.start += length;
        if state.is_held_up && state.unread.is_empty() {
            state.is_held_up = false;
            drop(state);
            self.changed.notify_one();
        }
        Poll::Ready(Ok(length))
    }

    /// Ends the thread, which need not read any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let waiting = state.waiting.take();
        drop(state);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Passes on the first bytes of a buffer, in exchange for another buffer. Returns whether more
    /// are wanted.
    fn pass_on(&self, buffer: &mut Vec<u8>, length: usize) -> bool {
        let mut state = self.state();
        while !state.unread.is_empty() && !state.is_closed {
            state.is_held_up = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.unread = 0..length;
        std::mem::swap(&mut state.piece, buffer);
        self.wake(state)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) -> bool {
        let (waiting, is_closed) = (state.waiting.take(), state.is_closed);
        drop(state);
        if let Some(waiting) = waiting {
            run_woken_by(|| waiting.wake());
        }
        !is_closed
    }

    fn end(&self, end: io::Result<()>) {
        let mut state = self.state();
        state.end = Some(end);
        self.wake(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the connection ends or is dropped.
pub(crate) fn read(mut socket: &TcpStream, incoming: &Incoming) {
    let mut buffer = vec![0; PIECE];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return incoming.end(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return incoming.end(Err(error)),
            Ok(length) if incoming.pass_on(&mut buffer, length) => {}
            Ok(_) => return,
        }
    }
}

//! Sockets with a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A socket whose operations time out at a deadline.
pub(super) struct Limited {
    pub(super) socket: Arc<TcpStream>,
    pub(super) until: Instant,
}

impl Limited {
    /// A signal interrupts operations with a time limit. They are restarted with the remaining
    /// time.
    fn begun_again<T>(
        &self,
        mut attempt: impl FnMut(&TcpStream, Duration) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt(&self.socket, left(self.until)?) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                ended => return ended,
            }
        }
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun_again(|mut socket, left| {
            socket.set_read_timeout(Some(left))?;
            socket.read(buffer)
        })
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun_again(|mut socket, left| {
            socket.set_write_timeout(Some(left))?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.as_ref().flush()
    }
}

/// The remaining time.
pub(super) fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

//! Ctrl-C, and the signal by which a system ends a program.

#[cfg(unix)]
use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Failure;

impl Interrupts {
    /// Runs a future to its end, unless the program is asked to stop before. The future is then dropped.
    pub(crate) async fn run_until_interrupted<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = future => Ok(done),
            () = self.next() => Err(Failure::interrupted()),
        }
    }
}

/// The signals that ask the program to stop. Once they are watched, they do not end it by
/// themselves.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

#[cfg(unix)]
impl Interrupts {
    pub(crate) fn watch() -> Result<Self, Failure> {
        let watch = || -> io::Result<Self> {
            Ok(Interrupts {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        };
        watch().map_err(|error| Failure::local("cannot watch signals", error))
    }

    /// Waits for the next one. This is cancel safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that ask the program to stop.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Interrupts;

#[cfg(not(unix))]
impl Interrupts {
    pub(crate) fn watch() -> Result<Self, Failure> {
        Ok(Interrupts)
    }

    /// Waits for the next one. This is cancel safe.
    pub(crate) async fn next(&mut self) {
        // Without the signal, the program is simply ended.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

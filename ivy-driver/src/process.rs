//! The process that something was made in.
//!
//! A fork copies the memory of a process and one of its threads. What a child inherits of a producer or
//! worker, that was used before, is the memory without the threads: it would wait for ever, or send on
//! connections that its parent uses too.

use std::sync::atomic::{AtomicU32, Ordering};

use ivy_proto::Cause;

/// The process that something was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Self {
        Process(std::process::id())
    }

    pub(crate) fn is_current(self) -> bool {
        self == Process::current()
    }
}

/// The process in which something was used first.
#[derive(Debug, Default)]
pub(crate) struct FirstUse(AtomicU32);

/// No process has this number.
const NONE: u32 = 0;

impl FirstUse {
    /// Uses it in this process.
    ///
    /// # Errors
    /// [`Cause::Forked`] if it was used in another process before.
    pub(crate) fn here(&self) -> Result<(), Cause> {
        let Process(this) = Process::current();
        match self.0.compare_exchange(NONE, this, Ordering::Relaxed, Ordering::Relaxed) {
            Err(first) if first != this => Err(Cause::Forked),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

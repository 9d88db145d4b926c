//! The process that created an object.
//!
//! A fork copies the memory of a process and one of its threads. A child that inherits a producer
//! or worker already in use has its memory without its threads: it would wait indefinitely, or
//! write to connections that its parent uses too.

use std::sync::atomic::{AtomicU32, Ordering};

use ivy_proto::Cause;

/// The id of the process that created an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Self {
        Process(std::process::id())
    }

    pub(crate) fn is_current(self) -> bool {
        self == Process::current()
    }
}

/// The id of the process that first used an object.
#[derive(Debug, Default)]
pub(crate) struct ForkCheck(AtomicU32);

/// No process has this id.
const NONE: u32 = 0;

impl ForkCheck {
    /// Claims it for this process.
    ///
    /// # Errors
    /// [`Cause::Forked`] if another process used it before.
    pub(crate) fn claim(&self) -> Result<(), Cause> {
        let Process(this) = Process::current();
        match self.0.compare_exchange(NONE, this, Ordering::Relaxed, Ordering::Relaxed) {
            Err(first) if first != this => Err(Cause::Forked),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

//! Random bytes from the system.

use std::sync::{Mutex, PoisonError};

use ivy_proto::{Cause, TaskId};

/// How many ids are created from one request to the system.
const IDS: usize = 64;

/// Creates the ids of tasks. One request to the system per id would take as long as much of the
/// rest of a call.
#[derive(Default)]
pub(crate) struct TaskIds(Mutex<Vec<[u8; 16]>>);

impl TaskIds {
    pub(crate) fn next(&self) -> Result<TaskId, Cause> {
        // No code that can panic runs while the lock is held.
        let mut unused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.is_empty() {
            let bytes: [u8; 16 * IDS] = random()?;
            unused.extend(bytes.as_chunks().0);
        }
        let bytes = unused.pop().map_or_else(random, Ok)?;
        Ok(TaskId::from_random(bytes))
    }
}

/// Random bytes, for seeds and ids.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Cause> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| {
        Cause::config(format!("the system provides no random numbers: {error}"))
    })?;
    Ok(bytes)
}

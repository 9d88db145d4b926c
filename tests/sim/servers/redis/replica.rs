//! A replica, which receives writes a little later.

use std::collections::VecDeque;

use super::resp::Command;
use super::store::Store;

/// The maximum number of writes that a replica may lag behind.
const MAX_LAG: usize = 32;

/// A replica. The writes of a script arrive as a whole, as from a real server.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    store: Store,
    pending: VecDeque<Vec<Command>>,
}

impl Replica {
    /// A replica with these contents.
    pub(super) fn of(store: &Store) -> Self {
        Replica { store: store.clone(), pending: VecDeque::new() }
    }

    /// Receives commands that were written together; it may apply them later.
    pub(super) fn replicate(&mut self, written: Vec<Command>) {
        self.pending.push_back(written);
        if self.pending.len() > MAX_LAG {
            self.catch_up_to(MAX_LAG);
        }
    }

    /// Its contents without this many of the last writes.
    pub(super) fn promote(mut self, lost: usize) -> Store {
        self.catch_up_to(lost);
        self.store
    }

    fn catch_up_to(&mut self, pending: usize) {
        while self.pending.len() > pending {
            for command in self.pending.pop_front().into_iter().flatten() {
                self.store.apply(&command);
            }
        }
    }
}

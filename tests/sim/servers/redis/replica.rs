//! A replica, which receives writes a little later.

use std::collections::VecDeque;

use super::resp::Command;
use super::store::Store;

/// The maximum number of writes that a replica may lag behind.
const MOST_BEHIND: usize = 32;

/// A replica. The writes of a script arrive as a whole, as from a real server.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    store: Store,
    behind: VecDeque<Vec<Command>>,
}

impl Replica {
    /// A replica that has all of this.
    pub(super) fn of(store: &Store) -> Self {
        Replica { store: store.clone(), behind: VecDeque::new() }
    }

    /// It receives commands that were written together, sooner or later.
    pub(super) fn hear(&mut self, written: Vec<Command>) {
        self.behind.push_back(written);
        if self.behind.len() > MOST_BEHIND {
            self.catch_up_to(MOST_BEHIND);
        }
    }

    /// Its contents without this many of the last writes.
    pub(super) fn promote(mut self, lost: usize) -> Store {
        self.catch_up_to(lost);
        self.store
    }

    fn catch_up_to(&mut self, behind: usize) {
        while self.behind.len() > behind {
            for command in self.behind.pop_front().into_iter().flatten() {
                self.store.apply(&command);
            }
        }
    }
}

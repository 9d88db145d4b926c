//! How many tasks have run.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How many tasks have run, for a load that waits for more on one thread.
#[derive(Default)]
pub(crate) struct Count {
    run: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Count {
    pub(crate) fn increment(&self) {
        let run = self.run.fetch_add(1, Ordering::Relaxed) + 1;
        if run == self.target.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }

    /// Waits until this many more have run. There is one thread, so nothing runs while this is set up.
    pub(crate) async fn wait_for_more(&self, many: u64) {
        self.target.store(self.run.load(Ordering::Relaxed) + many, Ordering::Relaxed);
        self.reached.notified().await;
    }
}

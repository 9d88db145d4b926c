//! The tokio runtime that the servers' helpers and the tokio adapter run on.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::Runtime;

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("the system has threads"))
}

/// Blocks this thread on a future.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

//! Probes and scrapers of a worker. Shared by all adapters; in real time, because the clients are
//! threads.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

/// What a handler waits for.
macro_rules! received {
    ($receiver:ident) => {
        $receiver.recv().await
    };
}

mod adapter {
    #[path = "../../../tests/shared_by_adapters/futures/handler.rs"]
    mod handler;

    use std::sync::LazyLock;

    use tokio::runtime::Runtime;

    pub(crate) use ivy_tokio::*;

    pub(crate) use self::handler::handler;

    /// Waits in a runtime that runs while a test does something else.
    pub(crate) fn wait<F: Future>(future: F) -> F::Output {
        static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
        RUNTIME.block_on(future)
    }
}
#[path = "../../tests/shared_by_adapters/health.rs"]
mod health;

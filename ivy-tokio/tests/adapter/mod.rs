//! This adapter's side of the tests shared by all adapters.

#[path = "../../../tests/shared_by_adapters/futures/handler.rs"]
mod handler;

pub(crate) use ivy_tokio::*;

pub(crate) use self::handler::handler;

/// Waits in virtual time, with one runtime per test.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

//! How the tests that are written once for all adapters reach this one.

#[path = "../../../tests/adapters/futures/handler.rs"]
mod handler;

pub(crate) use ivy_tokio::*;

pub(crate) use self::handler::handler;

/// Waits in virtual time, each test on one runtime.
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

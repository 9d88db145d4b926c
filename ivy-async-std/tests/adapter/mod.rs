//! How the tests that are written once for all adapters reach this one.

#[path = "../../../tests/adapters/futures/handler.rs"]
mod handler;

pub(crate) use ivy_async_std::*;

pub(crate) use self::handler::handler;

/// Waits.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    async_std::task::block_on(future)
}

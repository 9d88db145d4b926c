//! This adapter's side of the tests shared by all adapters.

#[path = "../../../tests/shared_by_adapters/futures/handler.rs"]
mod handler;

pub(crate) use ivy_async_std::*;

pub(crate) use self::handler::handler;

/// Waits.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    async_std::task::block_on(future)
}

//! How the tests that are written once for all adapters reach this one.

pub(crate) use ivy_async_std::*;

/// Waits.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    async_std::task::block_on(future)
}

/// A handler as this adapter takes it.
macro_rules! handler {
    (|$arg:ident: $type:ty| $body:expr) => {
        |$arg: $type| async move { $body }
    };
}
pub(crate) use handler;

//! How the tests that are written once for all adapters reach this one.

pub(crate) use ivy_tokio::*;

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

/// A handler as this adapter takes it.
macro_rules! handler {
    (|$arg:ident: $type:ty| $body:expr) => {
        |$arg: $type| async move { $body }
    };
}
pub(crate) use handler;

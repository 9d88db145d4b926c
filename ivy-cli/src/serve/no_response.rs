//! A request that is not answered.

/// The connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer is given")]
pub(crate) struct NoResponse;

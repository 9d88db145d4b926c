//! Requests without a response.

/// The connection is closed without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no response is sent")]
pub(crate) struct NoResponse;

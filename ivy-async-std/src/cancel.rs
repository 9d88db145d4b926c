//! Telling those who work to stop.

use std::convert::Infallible;

use async_channel::{Receiver, Sender};

/// Tells a handler, and what it has started elsewhere, to stop. Its clones are cancelled together.
#[derive(Clone, Debug)]
pub struct CancellationToken {
    // A channel that carries nothing: closing it wakes everybody at once, and lasts.
    sender: Sender<Infallible>,
    receiver: Receiver<Infallible>,
}

impl CancellationToken {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        CancellationToken { sender, receiver }
    }

    pub(crate) fn cancel(&self) {
        self.sender.close();
    }

    /// Whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until it is cancelled. Dropping the future loses nothing.
    pub async fn cancelled(&self) {
        let _ = self.receiver.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn everybody_is_told_and_stays_told() {
        let token = CancellationToken::new();
        let clone = token.clone();
        let (one, other) = (token.cancelled(), clone.cancelled());
        assert!(!clone.is_cancelled());
        assert!(clone.cancelled().now_or_never().is_none());
        token.cancel();
        assert!(clone.is_cancelled());
        assert!(futures_util::future::join(one, other).now_or_never().is_some());
        assert!(token.cancelled().now_or_never().is_some());
    }
}

//! The unread notices of a subscription.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::stream::Stream;
use ivy_proto::backend::SubscriptionEvent;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};

/// The maximum number of unread bytes before reading from the server pauses.
const UNREAD_BYTES: usize = 1 << 20;
/// The maximum number of unread notices before reading from the server pauses.
const UNREAD_NOTICES: usize = 1024;

#[derive(Debug, Default)]
struct State {
    events: VecDeque<SubscriptionEvent>,
    bytes: usize,
    /// No more notices follow.
    is_ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The writing end. Dropping it ends the subscription as lost, once.
#[derive(Debug)]
pub(super) struct Writer(Arc<Mutex<State>>);

/// The reading end.
#[derive(Debug)]
pub(super) struct Reader(Arc<Mutex<State>>);

pub(super) fn subscription_channel() -> (Writer, Reader) {
    let state = Arc::<Mutex<State>>::default();
    (Writer(Arc::clone(&state)), Reader(state))
}

impl Writer {
    pub(super) fn write(&self, event: SubscriptionEvent) {
        let mut state = lock(&self.0);
        state.is_ended |= matches!(event, SubscriptionEvent::Lost(_));
        state.bytes += size(&event);
        state.events.push_back(event);
        wake(state);
    }

    /// Waits until there is room for more.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.bytes < UNREAD_BYTES && state.events.len() < UNREAD_NOTICES {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if !state.is_ended {
            state.is_ended = true;
            let lost = NotifyFault::new(NotifyFaultKind::ConnectionLost);
            state.events.push_back(SubscriptionEvent::Lost(lost));
        }
        wake(state);
    }
}

impl Stream for Reader {
    type Item = SubscriptionEvent;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<SubscriptionEvent>> {
        let mut state = lock(&self.0);
        let Some(event) = state.events.pop_front() else {
            if state.is_ended {
                return Poll::Ready(None);
            }
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= size(&event);
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Some(event))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No code that can panic runs while the lock is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the reader, outside of the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

fn size(event: &SubscriptionEvent) -> usize {
    match event {
        SubscriptionEvent::Notice { payload, .. } => payload.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::poll_fn;
    use futures_util::stream::StreamExt;
    use ivy_proto::ChannelName;

    use super::*;

    fn notice(bytes: usize) -> SubscriptionEvent {
        SubscriptionEvent::Notice {
            channel: ChannelName::new("news").unwrap(),
            payload: vec![b'x'; bytes],
        }
    }

    fn has_room(writer: &Writer) -> bool {
        poll_fn(|context| writer.poll_room(context)).now_or_never().is_some()
    }

    #[tokio::test]
    async fn there_is_room_again_once_the_excess_is_read() {
        for (notices, bytes) in [(UNREAD_NOTICES, 1), (2, UNREAD_BYTES / 2)] {
            let (writer, mut reader) = subscription_channel();
            for _ in 0..notices {
                assert!(has_room(&writer));
                writer.write(notice(bytes));
            }
            assert!(!has_room(&writer));
            reader.next().await.unwrap();
            assert!(has_room(&writer));
        }
    }

    #[tokio::test]
    async fn a_subscription_is_lost_once_its_writer_is_dropped() {
        let (writer, mut reader) = subscription_channel();
        writer.write(notice(1));
        drop(writer);
        assert!(matches!(reader.next().await, Some(SubscriptionEvent::Notice { .. })));
        assert!(matches!(reader.next().await, Some(SubscriptionEvent::Lost(_))));
        assert!(reader.next().await.is_none());
    }

    #[tokio::test]
    async fn a_lost_subscription_reports_its_loss_once() {
        let (writer, mut reader) = subscription_channel();
        writer.write(SubscriptionEvent::Lost(NotifyFault::new(NotifyFaultKind::Refused)));
        drop(writer);
        assert!(matches!(reader.next().await, Some(SubscriptionEvent::Lost(_))));
        assert!(reader.next().await.is_none());
    }
}

//! Wakes a task at a deadline that changes often.

use std::task::{Context, Poll, ready};

use futures_util::future::{BoxFuture, FutureExt};
use ivy_proto::Moment;

use crate::clock::Clock;
use crate::runtime::Runtime;

/// A timer. If its deadline becomes later, the runtime's timer stays as it is: to set one takes
/// longer than to be woken too early once.
pub(crate) struct Alarm<R> {
    clock: Clock<R>,
    /// When the runtime's timer ends, and that timer.
    sleeping: Option<(Moment, BoxFuture<'static, ()>)>,
}

impl<R: Runtime> Alarm<R> {
    pub(crate) fn new(clock: Clock<R>) -> Self {
        Alarm { clock, sleeping: None }
    }

    /// Waits for this deadline, or indefinitely if there is none.
    pub(crate) fn poll(&mut self, deadline: Option<Moment>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            let (_, sleeping) = match &mut self.sleeping {
                Some(sleeping) if sleeping.0 <= deadline => sleeping,
                other => {
                    let sleeping = self.clock.sleep_until(Some(deadline)).boxed();
                    other.insert((deadline, sleeping))
                }
            };
            ready!(sleeping.poll_unpin(context));
            self.sleeping = None;
            if self.clock.now() >= deadline {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::testing::Tokio;

    fn after(seconds: u64) -> Option<Moment> {
        Some(Moment::after_epoch(Duration::from_secs(seconds)))
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_ends_at_its_deadline_however_that_changes() {
        let clock = Clock::<Tokio>::start();
        let mut alarm = Alarm::new(clock);
        for (earlier, deadline) in [(5, 5), (6, 9), (20, 12), (30, 40)] {
            let first = poll_fn(|context| Poll::Ready(alarm.poll(after(earlier), context))).await;
            assert!(first.is_pending());
            poll_fn(|context| alarm.poll(after(deadline), context)).await;
            let late = clock.now().since(Moment::EPOCH) - Duration::from_secs(deadline);
            assert!(late < Duration::from_millis(5), "{late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_without_a_deadline_does_not_end() {
        let mut alarm = Alarm::new(Clock::<Tokio>::start());
        let first = poll_fn(|context| Poll::Ready(alarm.poll(after(1), context))).await;
        assert!(first.is_pending());
        let waiting = poll_fn(|context| alarm.poll(None, context));
        assert!(tokio::time::timeout(Duration::from_secs(60), waiting).await.is_err());
    }
}

//! The progress of a call, from the producer to its listeners.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use event_listener::Event;
use ivy_proto::producer::{ReplyTo, SendError};
use ivy_proto::task::{TaskOutcome, TaskReleased};
use ivy_proto::{MessageId, Moment};

use crate::call_changes::CallWatch;

/// The producer's side: reports the progress of a call. Dropping it reports that nothing more will
/// happen.
#[derive(Debug)]
pub(crate) struct CallProgress {
    call: Arc<CallState>,
    until: Until,
    /// Who waits for this call together with others.
    watch: Option<CallWatch>,
}

impl CallProgress {
    /// Creates both sides: the reporter and the shared state of the call.
    pub(crate) fn begin(until: Until, watch: Option<CallWatch>) -> (Self, Arc<CallState>) {
        let call = Arc::new(CallState::default());
        (CallProgress { call: Arc::clone(&call), until, watch }, call)
    }

    /// Reports that the call was sent, or failed, at `now`. Returns whether its listener needs no
    /// more.
    pub(crate) fn sent(&self, result: Result<MessageId, SendError>, now: Moment) -> bool {
        self.change(|history| {
            history.sent_at = result.is_ok().then_some(now);
            history.may_be_sent = result.as_ref().is_err_and(SendError::may_be_sent);
            history.sent = Some(result);
            history.ended |= history.knows_all(self.until);
            history.ended
        })
    }

    /// Reports that a worker released its message.
    pub(crate) fn released(&self, release: Arc<TaskReleased>) {
        self.call.change(|history| history.release = Some(release));
    }

    /// Reports its result. Returns whether its listener needs no more: the result may arrive before
    /// the reply to the post.
    pub(crate) fn result_received(&self, outcome: TaskOutcome) -> bool {
        self.change(|history| {
            history.outcome = Some(outcome);
            history.ended |= history.knows_all(self.until);
            history.ended
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut CallHistory) -> T) -> T {
        let result = self.call.change(change);
        if let Some(watch) = &self.watch {
            watch.report();
        }
        result
    }
}

impl Drop for CallProgress {
    fn drop(&mut self) {
        if !self.call.history().ended {
            self.change(|history| history.ended = true);
        }
    }
}

/// How long a call has a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it was sent.
    Sent,
    /// Until its result has arrived, or the listener was dropped.
    Result,
}

impl Until {
    /// Who waits for the result, if the task has no callback.
    pub(crate) fn reply(self) -> ReplyTo {
        match self {
            Until::Sent => ReplyTo::None,
            Until::Result => ReplyTo::Handle,
        }
    }
}

/// What is known about a call so far.
#[derive(Debug, Default)]
pub(crate) struct CallState {
    history: Mutex<CallHistory>,
    changed: Event,
}

#[derive(Debug, Default)]
pub(crate) struct CallHistory {
    sent: Option<Result<MessageId, SendError>>,
    /// When it was sent.
    pub(crate) sent_at: Option<Moment>,
    /// Whether it may have been sent, because no reply to its post arrived.
    pub(crate) may_be_sent: bool,
    /// The waker of the caller that waits for the call to be sent.
    sender: Option<Waker>,
    /// Whether the outcome was ever waited for. Until then a change notifies no one, which would
    /// allocate.
    is_awaited: bool,
    pub(crate) outcome: Option<TaskOutcome>,
    /// The latest report of a worker that released its message.
    pub(crate) release: Option<Arc<TaskReleased>>,
    /// The producer reports no more.
    pub(crate) ended: bool,
}

/// What has become known of a call.
#[derive(Debug)]
pub(crate) enum CallNews {
    /// It was sent at this moment. Its result is still to come.
    Sent(Moment),
    /// It was not sent, or possibly not.
    NotSent(SendError),
    /// Its result has arrived.
    Ended(TaskOutcome),
    /// The producer reports no more of it.
    Stopped,
}

impl CallHistory {
    fn knows_all(&self, until: Until) -> bool {
        self.sent_at.is_some() && (until == Until::Sent || self.outcome.is_some())
    }
}

impl CallState {
    pub(crate) fn history(&self) -> MutexGuard<'_, CallHistory> {
        // No code that can panic runs while the lock is held.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut CallHistory) -> T) -> T {
        let (result, sender, is_awaited) = {
            let mut history = self.history();
            (change(&mut history), history.sender.take(), history.is_awaited)
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        if is_awaited {
            self.changed.notify(usize::MAX);
        }
        result
    }

    /// The id of the call's message once it was sent, or why it was not; `None` if that never will be
    /// known. There is one caller, so one waker suffices.
    pub(crate) fn poll_sent(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<MessageId, SendError>>> {
        let mut history = self.history();
        let sent = history.sent.take();
        if sent.is_some() || history.ended {
            return Poll::Ready(sent);
        }
        history.sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// What has become known of the call since this was last called, for its only caller. `None` if
    /// nothing has.
    pub(crate) fn take_news(&self) -> Option<CallNews> {
        let mut history = self.history();
        if let Some(outcome) = history.outcome.take() {
            return Some(CallNews::Ended(outcome));
        }
        match (history.sent.take(), history.sent_at) {
            (Some(Err(error)), _) => Some(CallNews::NotSent(error)),
            (Some(Ok(_)), Some(at)) => Some(CallNews::Sent(at)),
            _ => history.ended.then_some(CallNews::Stopped),
        }
    }

    /// Waits for the outcome; `None` if none will come.
    pub(crate) async fn outcome(&self) -> Option<TaskOutcome> {
        loop {
            let changed = self.changed.listen();
            {
                let mut history = self.history();
                history.is_awaited = true;
                if history.outcome.is_some() || history.ended {
                    return history.outcome.clone();
                }
            }
            changed.await;
        }
    }
}

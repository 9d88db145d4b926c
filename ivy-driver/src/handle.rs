//! The caller's end of a call.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use ivy_proto::event::TaskRef;
use ivy_proto::producer::SendError;
use ivy_proto::task::{TaskHeld, TaskOutcome};
use ivy_proto::{Cause, TaskId};
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::error::Error;
use crate::producer::{Mail, Producer};
use crate::runtime::Runtime;
use crate::waits::Waits;

/// Waits for the result of a call. Dropping it forgets the result, not the task.
///
/// Up to 100,000 may wait for results that have not come. Beyond that a call fails as
/// [`Full`](crate::ErrorKind::Full), until a result comes or a handle is dropped.
pub struct Handle<R, Output> {
    listener: Listener<R>,
    output: PhantomData<fn() -> Output>,
}

impl<R: Runtime, Output> Handle<R, Output> {
    pub(crate) fn new(listener: Listener<R>) -> Self {
        Handle { listener, output: PhantomData }
    }

    /// The scheduled task's id, which the logs of producer and worker name.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.listener.task.id
    }

    /// Why a worker gave the task's message back without running it, as was last heard. The message was
    /// not for that worker, and waits for another one. Nothing if no worker said so.
    #[must_use]
    pub fn held(&self) -> Option<TaskHeld> {
        self.listener.call.history().held.as_deref().cloned()
    }
}

impl<R: Runtime, Output: DeserializeOwned> Handle<R, Output> {
    /// Waits for the task's result, at most so long.
    pub(crate) async fn wait(&self, timeout: Duration) -> Result<Output, Error<R>> {
        let outcome = self.listener.outcome(timeout).await;
        outcome
            .and_then(|outcome| Ok(outcome.value()?))
            .map_err(|error| error.about(&self.listener.task))
    }
}

impl<R, Output> fmt::Debug for Handle<R, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.listener.task.id)
    }
}

/// What happens to a call, told by the producer. Dropping it tells that nothing more will.
#[derive(Debug)]
pub(crate) struct Progress {
    call: Arc<Call>,
    until: Until,
}

impl Progress {
    /// It was sent, or was not. Says whether the call is followed no longer.
    pub(crate) fn sent(&self, result: Result<(), SendError>) -> bool {
        self.call.change(|history| {
            history.is_sent = result.is_ok();
            history.sent = Some(result);
            history.ended |= history.knows_all(self.until);
            history.ended
        })
    }

    /// A worker gave its message back.
    pub(crate) fn held(&self, held: Arc<TaskHeld>) {
        self.call.change(|history| history.held = Some(held));
    }

    /// Its result has arrived. Says whether the call is followed no longer: it may not be known yet
    /// that it was sent.
    pub(crate) fn resumed(&self, outcome: TaskOutcome) -> bool {
        self.call.change(|history| {
            history.outcome = Some(outcome);
            history.ended |= history.knows_all(self.until);
            history.ended
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.call.change(|history| history.ended = true);
    }
}

/// How long a call is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// It was sent.
    Sent,
    /// Its result has come, or nobody wants it any more.
    Result,
}

/// Follows one call.
#[derive(Debug)]
pub(crate) struct Listener<R> {
    task: TaskRef,
    call: Arc<Call>,
    /// Keeps the producer going while somebody waits.
    producer: Arc<Producer>,
    /// Those of the handler that called.
    waits: Option<Waits>,
    runtime: PhantomData<fn() -> R>,
}

/// What was heard of a call so far.
#[derive(Debug, Default)]
struct Call {
    history: Mutex<History>,
    changed: Event,
}

#[derive(Debug, Default)]
struct History {
    sent: Option<Result<(), SendError>>,
    is_sent: bool,
    /// The one who waits for the call to be sent.
    sender: Option<Waker>,
    outcome: Option<TaskOutcome>,
    /// Why a worker gave its message back, as was last heard.
    held: Option<Arc<TaskHeld>>,
    /// The producer has let go of the call.
    ended: bool,
}

impl History {
    fn knows_all(&self, until: Until) -> bool {
        self.is_sent && (until == Until::Sent || self.outcome.is_some())
    }
}

impl Call {
    fn history(&self) -> MutexGuard<'_, History> {
        // No code that can panic runs while the lock is held.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut History) -> T) -> T {
        let (result, sender) = {
            let mut history = self.history();
            (change(&mut history), history.sender.take())
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        self.changed.notify(usize::MAX);
        result
    }

    /// Whether the call was sent, once that is known; nothing if it never will be. There is one who
    /// asks, so nothing but his waker is kept.
    fn poll_sent(&self, context: &mut Context<'_>) -> Poll<Option<Result<(), SendError>>> {
        let mut history = self.history();
        let sent = history.sent.take();
        if sent.is_some() || history.ended {
            return Poll::Ready(sent);
        }
        history.sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits for the outcome; nothing if none will come.
    async fn outcome(&self) -> Option<TaskOutcome> {
        loop {
            let changed = self.changed.listen();
            {
                let history = self.history();
                if history.outcome.is_some() || history.ended {
                    return history.outcome.clone();
                }
            }
            changed.await;
        }
    }
}

impl<R: Runtime> Listener<R> {
    pub(crate) fn new(
        task: TaskRef,
        producer: Arc<Producer>,
        waits: Option<Waits>,
        until: Until,
    ) -> (Self, Progress) {
        let call = Arc::new(Call::default());
        let progress = Progress { call: Arc::clone(&call), until };
        (Listener { task, call, producer, waits, runtime: PhantomData }, progress)
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// Waits until the call was sent.
    pub(crate) async fn sent(self) -> Result<Self, Error<R>> {
        let TaskRef { id, name, queue } = &self.task;
        let span =
            tracing::info_span!("ivy.send", task.id = %id, task.name = %name, queue = %queue);
        let sending = poll_fn(|context| self.call.poll_sent(context));
        let error = match sending.instrument(span).await {
            Some(Ok(())) => return Ok(self),
            Some(Err(error)) => error,
            None => return Err(Error::from(Cause::Stopped).about(&self.task)),
        };
        let may_be_sent = matches!(error, SendError::Unknown { .. });
        let error = Error::from(Cause::Send(error)).about(&self.task);
        Err(if may_be_sent { error.with_listener(self) } else { error })
    }

    async fn outcome(&self, timeout: Duration) -> Result<TaskOutcome, Error<R>> {
        if !self.producer.is_here() {
            return Err(Error::from(Cause::Forked));
        }
        if let Some(outcome) = self.call.history().outcome.clone() {
            return Ok(outcome);
        }
        let waits = Waits::current().or_else(|| self.waits.clone());
        let waiting = waits.and_then(|waits| waits.begin(&self.task));
        let interrupted = pin!(async {
            match &waiting {
                Some(waiting) => waiting.interrupted().await,
                None => std::future::pending().await,
            }
        });
        let until = R::now().checked_add(timeout);
        let time_is_up = pin!(async {
            match until {
                Some(until) => R::sleep_until(until).await,
                None => std::future::pending().await,
            }
        });
        let outcome = pin!(self.call.outcome());
        match select(outcome, select(time_is_up, interrupted)).await {
            Either::Left((Some(outcome), _)) => Ok(outcome),
            Either::Left((None, _)) => Err(Error::from(Cause::Stopped)),
            Either::Right((Either::Left(_), _)) => {
                let held = self.call.history().held.clone();
                Err(Error::from(Cause::TimedOut { after: timeout, held }))
            }
            Either::Right((Either::Right(_), _)) => Err(Error::from(Cause::Draining)),
        }
    }
}

impl<R> Drop for Listener<R> {
    fn drop(&mut self) {
        if !self.call.history().ended {
            self.producer.post(Mail::Dropped(self.task.id));
        }
    }
}

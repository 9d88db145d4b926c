//! The caller's end of a call.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivy_proto::event::TaskRef;
use ivy_proto::producer::{Input, SendError};
use ivy_proto::task::TaskOutcome;
use ivy_proto::{Cause, TaskId};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::producer::{Mail, Producer};

/// Waits for the result of a call. Dropping it forgets the result, not the task.
pub struct Handle<Output> {
    listener: Listener,
    output: PhantomData<fn() -> Output>,
}

impl<Output> Handle<Output> {
    pub(crate) fn new(listener: Listener) -> Self {
        Handle { listener, output: PhantomData }
    }

    /// The scheduled task's id, which the logs of producer and worker name.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.listener.task.id
    }
}

impl<Output: DeserializeOwned> Handle<Output> {
    /// Waits for the task's result, at most so long, in any thread. Several may wait at a time;
    /// each is given the result.
    ///
    /// It can be waited for again, also after [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), and if the task
    /// [`Failed`](crate::ErrorKind::Failed) for good, its result is
    /// [too large](crate::ErrorKind::ResultTooLarge) or
    /// [not of type `Output`](crate::ErrorKind::BadResult), or the thread that waits for it
    /// [has ended](crate::ErrorKind::Stopped).
    pub fn result(&self, timeout: Duration) -> Result<Output> {
        let outcome = self.listener.outcome(timeout);
        outcome
            .and_then(|outcome| Ok(outcome.value()?))
            .map_err(|error| error.about(&self.listener.task))
    }
}

impl<Output> fmt::Debug for Handle<Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.id())
    }
}

/// What happens to a call, told by the producer. Dropping it tells that nothing more will.
#[derive(Debug)]
pub(crate) struct Progress {
    call: Arc<Call>,
}

impl Progress {
    /// It was sent, or was not.
    pub(crate) fn sent(&self, result: Result<(), SendError>) {
        self.call.change(|history| history.sent = Some(result));
    }

    /// Its result has arrived.
    pub(crate) fn resumed(&self, outcome: TaskOutcome) {
        self.call.change(|history| history.outcome = Some(outcome));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.call.change(|history| history.ended = true);
    }
}

/// Follows one call.
#[derive(Debug)]
pub(crate) struct Listener {
    task: TaskRef,
    call: Arc<Call>,
    /// Keeps the producer going while somebody waits.
    producer: Arc<Producer>,
}

/// What was heard of a call so far.
#[derive(Debug, Default)]
struct Call {
    history: Mutex<History>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct History {
    sent: Option<Result<(), SendError>>,
    outcome: Option<TaskOutcome>,
    ended: bool,
}

impl Call {
    fn history(&self) -> MutexGuard<'_, History> {
        // No code that can panic runs while the lock is held.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut History)) {
        change(&mut self.history());
        self.changed.notify_all();
    }
}

impl Listener {
    pub(crate) fn new(task: TaskRef, producer: Arc<Producer>) -> (Self, Progress) {
        let call = Arc::new(Call::default());
        let progress = Progress { call: Arc::clone(&call) };
        (Listener { task, call, producer }, progress)
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// Waits until the call was sent.
    pub(crate) fn sent(self) -> Result<Self> {
        let TaskRef { id, name, queue } = &self.task;
        let span =
            tracing::info_span!("ivy.send", task.id = %id, task.name = %name, queue = %queue);
        let sent = span.in_scope(|| {
            let waiting = |history: &mut History| history.sent.is_none() && !history.ended;
            let waited = self.call.changed.wait_while(self.call.history(), waiting);
            waited.unwrap_or_else(PoisonError::into_inner).sent.take()
        });
        let error = match sent {
            Some(Ok(())) => return Ok(self),
            Some(Err(error)) => error,
            None => return Err(Error::from(Cause::Stopped).about(&self.task)),
        };
        let may_be_sent = matches!(error, SendError::Unknown { .. });
        let error = Error::from(Cause::Send(error)).about(&self.task);
        Err(if may_be_sent { error.with_listener(self) } else { error })
    }

    fn outcome(&self, timeout: Duration) -> Result<TaskOutcome> {
        let unknown = |history: &mut History| history.outcome.is_none() && !history.ended;
        if unknown(&mut self.call.history()) {
            // So that the producer can tell how the wait ended, too.
            self.producer.post(Mail::Input(Input::Await { id: self.task.id, timeout }));
        }
        let waited = self.call.changed.wait_timeout_while(self.call.history(), timeout, unknown);
        let history = waited.unwrap_or_else(PoisonError::into_inner).0;
        match &history.outcome {
            Some(outcome) => Ok(outcome.clone()),
            None if history.ended => Err(Error::from(Cause::Stopped)),
            None => Err(Error::from(Cause::TimedOut(timeout))),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.producer.post(Mail::Dropped(self.task.id));
    }
}

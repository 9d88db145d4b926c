//! The handle of a call.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use ivy_proto::producer::SendError;
use ivy_proto::task::{Task, TaskOutcome, TaskReleased};
use ivy_proto::{Cause, MessageId, TaskId};
use serde::de::DeserializeOwned;

use crate::call_listener::CallListener;
use crate::error::Error;
use crate::handler_waits::HandlerWaits;
use crate::runtime::Runtime;

/// A handle to the result of a call. Dropping it discards the result; the task still runs.
///
/// Up to 100,000 handles may wait for results. Beyond that, a call fails with
/// [`Full`](crate::ErrorKind::Full) until a result arrives or a handle is dropped.
pub struct Handle<R, Output> {
    listener: CallListener<R>,
    output: PhantomData<fn() -> Output>,
}

impl<R: Runtime, Output> Handle<R, Output> {
    pub(crate) fn new(listener: CallListener<R>) -> Self {
        Handle { listener, output: PhantomData }
    }

    /// The called task's id, which appears in the logs of producer and worker. Handles of calls
    /// that [chose](ivy_proto::task::CallOptions::id) one id have the same.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.listener.task.id
    }

    /// The latest report of a worker that released the task's message without running it, because
    /// the message was not for that worker. The message waits for another worker. `None` if there
    /// was no such report.
    #[must_use]
    pub fn released(&self) -> Option<TaskReleased> {
        self.listener.call.history().release.as_deref().cloned()
    }

    /// The former name of [`released`](Handle::released).
    #[must_use]
    #[deprecated(note = "renamed to `released`: a message is held only while its lease lasts")]
    pub fn held(&self) -> Option<TaskReleased> {
        self.released()
    }
}

impl<R: Runtime, Output: DeserializeOwned> Handle<R, Output> {
    /// The task's result if it has arrived, without waiting; `None` as long as it may still arrive.
    /// Once it returns a result, it always does.
    ///
    /// For loops that have other work to do, such as the frame of a game or a poll by a web client.
    /// A caller that has nothing else to do waits with [`result`](Handle::result), which needs no
    /// loop. Calling this does not let anything else run: within an async runtime, a loop around it
    /// must await something.
    ///
    /// # Errors
    /// As `result`, except [`TimedOut`](crate::ErrorKind::TimedOut) and
    /// [`Draining`](crate::ErrorKind::Draining).
    pub fn try_result(&self) -> Option<Result<Output, Error<R>>> {
        self.listener.try_outcome().map(|outcome| self.value(outcome))
    }

    /// Waits for the task's result, for `timeout` at most.
    pub(crate) async fn wait(&self, timeout: Duration) -> Result<Output, Error<R>> {
        self.value(self.listener.outcome(timeout).await)
    }

    fn value(&self, outcome: Result<TaskOutcome, Error<R>>) -> Result<Output, Error<R>> {
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

impl<R: Runtime> CallListener<R> {
    /// Waits until the call has been sent.
    pub(crate) async fn sent(self) -> Result<Self, Error<R>> {
        let sent = poll_fn(|context| self.call.poll_sent(context)).await;
        self.posted(sent).map(|(listener, _)| listener)
    }

    /// The listener of a call of which this became known, and the id of its message.
    pub(crate) fn posted(
        self,
        sent: Option<Result<MessageId, SendError>>,
    ) -> Result<(Self, MessageId), Error<R>> {
        match sent {
            Some(Ok(message)) => Ok((self, message)),
            Some(Err(error)) => Err(self.not_sent(error)),
            None => Err(Error::from(Cause::Stopped).about(&self.task)),
        }
    }

    /// The error of a call that was not sent, or possibly not.
    pub(crate) fn not_sent(self, error: SendError) -> Error<R> {
        let may_be_sent = error.may_be_sent();
        let error = Error::from(Cause::Send(error)).about(&self.task);
        if may_be_sent { error.with_listener(self) } else { error }
    }

    /// The error of a wait that has lasted for `timeout`.
    pub(crate) fn timed_out(&self, timeout: Duration) -> Cause {
        Cause::TimedOut(Box::new(self.producer.timed_out(&self.task, &self.call, timeout)))
    }

    /// The outcome, if it is known that it came or never will.
    fn try_outcome(&self) -> Option<Result<TaskOutcome, Error<R>>> {
        if !self.producer.is_in_this_process() {
            return Some(Err(Error::from(Cause::Forked)));
        }
        let history = self.call.history();
        match history.outcome.clone() {
            None if history.ended => Some(Err(Error::from(Cause::Stopped))),
            outcome => outcome.map(Ok),
        }
    }

    async fn outcome(&self, timeout: Duration) -> Result<TaskOutcome, Error<R>> {
        if let Some(known) = self.try_outcome() {
            return known;
        }
        let waits = HandlerWaits::current().or_else(|| self.waits.clone());
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
            Either::Right((Either::Left(_), _)) => Err(Error::from(self.timed_out(timeout))),
            Either::Right((Either::Right(_), _)) => Err(Error::from(Cause::Draining)),
        }
    }
}

impl<R: Runtime> Error<R> {
    /// The handle that still waits for the result of a call that [may or may not have been
    /// sent](crate::ErrorKind::Unknown). `None` for other errors, or if the call was one of another
    /// task.
    #[must_use]
    pub fn into_handle<Args, Output>(self, task: &Task<Args, Output>) -> Option<Handle<R, Output>> {
        let listener = self.into_listener()?;
        (listener.task().name.as_str() == task.name()).then(|| Handle::new(listener))
    }
}

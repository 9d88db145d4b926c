//! The caller's end of a call.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_lock::Mutex;
use async_std::future;
use ivy_proto::event::TaskRef;
use ivy_proto::producer::{Input, SendError};
use ivy_proto::task::TaskOutcome;
use ivy_proto::{Cause, TaskId};
use serde::de::DeserializeOwned;
use tracing::Instrument;

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
    /// Waits for the task's result, at most so long. Several may wait at a time; each is given the
    /// result, one after the other.
    ///
    /// Dropping the future loses nothing: the result can be waited for again, as it can after
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), and if the task
    /// [`Failed`](crate::ErrorKind::Failed) for good, its result is
    /// [too large](crate::ErrorKind::ResultTooLarge) or
    /// [not of type `Output`](crate::ErrorKind::BadResult), or the runtime
    /// [has ended](crate::ErrorKind::Stopped).
    pub async fn result(&self, timeout: Duration) -> Result<Output> {
        let outcome = self.listener.outcome(timeout).await;
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

/// What happens to a call.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It was sent, or was not.
    Sent(Result<(), SendError>),
    /// Its result has arrived.
    Resumed(TaskOutcome),
    /// The time that the caller wanted to wait has passed.
    TimedOut,
}

/// Follows one call. It is told in order what happens, and keeps the outcome.
#[derive(Debug)]
pub(crate) struct Listener {
    task: TaskRef,
    heard: Mutex<History>,
    /// Keeps the producer going while somebody waits.
    producer: Arc<Producer>,
}

/// What was heard of a call so far, and where more is heard.
#[derive(Debug)]
struct History {
    progress: Receiver<Progress>,
    outcome: Option<TaskOutcome>,
}

impl Listener {
    pub(crate) fn new(task: TaskRef, producer: Arc<Producer>) -> (Self, Sender<Progress>) {
        let (sender, progress) = async_channel::unbounded();
        let heard = Mutex::new(History { progress, outcome: None });
        (Listener { task, heard, producer }, sender)
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// Waits until the call was sent.
    pub(crate) async fn sent(mut self) -> Result<Self> {
        let TaskRef { id, name, queue } = &self.task;
        let span =
            tracing::info_span!("ivy.send", task.id = %id, task.name = %name, queue = %queue);
        let heard = self.heard.get_mut();
        let sending = async {
            loop {
                match heard.progress.recv().await.ok()? {
                    Progress::Sent(sent) => return Some(sent),
                    // A result may be quicker than the answer of the queue.
                    Progress::Resumed(outcome) => heard.outcome = Some(outcome),
                    Progress::TimedOut => {}
                }
            }
        };
        let error = match sending.instrument(span).await {
            Some(Ok(())) => return Ok(self),
            Some(Err(error)) => error,
            None => return Err(Error::from(Cause::Stopped).about(&self.task)),
        };
        let may_be_sent = matches!(error, SendError::Unknown { .. });
        let error = Error::from(Cause::Send(error)).about(&self.task);
        Err(if may_be_sent { error.with_listener(self) } else { error })
    }

    async fn outcome(&self, timeout: Duration) -> Result<TaskOutcome> {
        let until = Instant::now().checked_add(timeout);
        let timed_out = || Error::from(Cause::TimedOut(timeout));
        // Another wait on this handle may last longer than this one.
        let mut heard =
            future::timeout(timeout, self.heard.lock()).await.map_err(|_| timed_out())?;
        if heard.outcome.is_none() {
            let left = until.map_or(timeout, |until| until.duration_since(Instant::now()));
            self.producer.post(Mail::Input(Input::Await { id: self.task.id, timeout: left }));
        }
        loop {
            if let Some(outcome) = &heard.outcome {
                return Ok(outcome.clone());
            }
            match heard.progress.recv().await {
                Ok(Progress::Resumed(outcome)) => heard.outcome = Some(outcome),
                // Else it ends the wait of an earlier future, which was dropped.
                Ok(Progress::TimedOut) if until.is_some_and(|until| Instant::now() >= until) => {
                    return Err(timed_out());
                }
                Ok(_) => {}
                Err(_) => return Err(Error::from(Cause::Stopped)),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.producer.post(Mail::Dropped(self.task.id));
    }
}

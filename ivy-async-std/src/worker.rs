//! The worker's role: reserves messages, runs their handlers, and settles each as its task ended.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future;
use futures_util::FutureExt;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::task::Registry;
use ivy_proto::worker::{CancelReason, Input, JobOutcome, Output, Run};
use ivy_proto::{JobId, Moment, OpId, TaskError, worker};
use tracing::Instrument;

use crate::backend::Notifier;
use crate::cancel::CancellationToken;
use crate::context::Ctx;
use crate::driver::{Next, Operations, Role, pump, taken};
use crate::events::{EventSink, Events};
use crate::ivy::Ivy;

/// A running worker.
///
/// [`drain`](Worker::drain) ends it. One that is dropped without reserves no more messages and
/// drains in the background, within the same limit: handlers that have begun are not cut off while
/// the process lives. When the process ends before that, the messages of what was cut off return to
/// their queues when their leases end.
pub struct Worker {
    mailbox: Sender<Input>,
    /// Is closed when it has finished.
    finished: Receiver<Infallible>,
    events: EventSink,
    drain_limit: Duration,
}

impl Worker {
    /// Stops reserving messages. Handlers that run go on.
    pub fn pause(&self) {
        self.post(Input::Pause);
    }

    /// Reserves messages again.
    pub fn resume(&self) {
        self.post(Input::Resume);
    }

    /// Holds results back. What is done is deleted from the queue all the same.
    pub fn pause_notifier(&self) {
        self.post(Input::PauseNotifier);
    }

    /// Publishes the results that were held back, and new ones again.
    pub fn resume_notifier(&self) {
        self.post(Input::ResumeNotifier);
    }

    /// What happens in this worker, from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.events.watch()
    }

    /// Ends the worker: it reserves no more messages, waits until its handlers have returned,
    /// settles their messages, publishes their results and gives back what it has not begun. After
    /// `limit`, handlers that still run are cancelled and their messages given back as well.
    ///
    /// Dropping the future does not stop the draining, and it can be asked for again.
    pub async fn drain(&self, limit: Duration) {
        self.post(Input::Drain { limit });
        let _ = self.finished.recv().await;
    }

    fn post(&self, input: Input) {
        // A worker that has finished takes no more mail.
        let _ = self.mailbox.try_send(input);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("finished", &self.finished.is_closed()).finish()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.post(Input::Drain { limit: self.drain_limit });
    }
}

/// Starts a worker.
pub(crate) fn start(
    ivy: Ivy,
    machine: worker::Worker,
    registry: Registry<Ctx>,
    drain_limit: Duration,
) -> Worker {
    let (mailbox, receiver) = async_channel::unbounded();
    let (running, finished) = async_channel::bounded(1);
    let (clock, events) = (ivy.clock(), ivy.sink().part());
    let role = WorkerRole {
        machine,
        registry,
        operations: Operations::new(ivy.queue()),
        notifier: ivy.notifier(),
        running: HashMap::new(),
        events: events.clone(),
        mailbox: mailbox.clone(),
        ivy,
    };
    async_std::task::spawn(async move {
        pump(role, receiver, clock).await;
        drop(running);
    });
    Worker { mailbox, finished, events, drain_limit }
}

struct WorkerRole {
    machine: worker::Worker,
    registry: Registry<Ctx>,
    operations: Operations,
    notifier: Option<Arc<dyn Notifier>>,
    running: HashMap<JobId, CancellationToken>,
    events: EventSink,
    mailbox: Sender<Input>,
    ivy: Ivy,
}

impl WorkerRole {
    fn feed(&mut self, input: Input, now: Moment) {
        taken("worker", self.machine.handle_input(input, now));
    }

    fn run(&mut self, run: Run) {
        let (job, task, args) = (run.job, run.task.clone(), run.args.clone());
        let context = Ctx::new(run, self.ivy.clone());
        let (stopped, span) = (context.cancelled().clone(), context.span().clone());
        self.running.insert(job, stopped.clone());
        let handler = self.registry.run(&task, context, args);
        let mailbox = self.mailbox.clone();
        let running = async move {
            let Some(handler) = handler else {
                let error = TaskError::new("the worker has no handler of this task");
                return JobOutcome::Failed(error);
            };
            let stopping = async {
                stopped.cancelled().await;
                JobOutcome::Cancelled
            };
            // In this order, a handler that ends because it was told to stop is heard.
            future::or(handler, stopping).await
        };
        async_std::task::spawn(
            async move {
                // A handler's own panic is an outcome. Here its values panic while they are
                // dropped, which must not leave the worker waiting for an end.
                let outcome = AssertUnwindSafe(running).catch_unwind().await;
                let _ = mailbox.try_send(Input::Job(job, outcome.unwrap_or(JobOutcome::Cancelled)));
            }
            .instrument(span),
        );
    }

    fn cancel(&self, job: JobId, reason: CancelReason) {
        if let Some(stopped) = self.running.get(&job) {
            tracing::debug!(?job, ?reason, "a handler is told to stop");
            stopped.cancel();
        }
    }

    fn publish(&self, id: OpId, publication: Publication) {
        let mailbox = self.mailbox.clone();
        let publishing = self.notifier.as_ref().map(|notifier| notifier.publish(publication));
        async_std::task::spawn(async move {
            let answer = match publishing {
                Some(publishing) => publishing.await,
                None => Err(NotifyFault::new(NotifyFaultKind::Unreachable)),
            };
            let _ = mailbox.try_send(Input::Published(id, answer));
        });
    }
}

impl Role for WorkerRole {
    type Mail = Input;

    fn handle(&mut self, input: Input, now: Moment) {
        match &input {
            Input::Queue(id, _) => self.operations.ended(*id),
            Input::Job(job, _) => {
                self.running.remove(job);
            }
            _ => {}
        }
        self.feed(input, now);
    }

    fn tick(&mut self, now: Moment) {
        self.feed(Input::Tick, now);
    }

    fn carry_out(&mut self) -> Next {
        loop {
            match self.machine.poll_output() {
                Output::Queue(id, op) => {
                    let mailbox = self.mailbox.clone();
                    self.operations.start(id, op, move |answer| {
                        let _ = mailbox.try_send(Input::Queue(id, answer));
                    });
                }
                Output::CancelQueue(id) => self.operations.give_up(id),
                Output::Publish(id, publication) => self.publish(id, publication),
                Output::Run(run) => self.run(run),
                Output::Cancel(job, reason) => self.cancel(job, reason),
                Output::Event(event) => self.events.emit(event),
                Output::Wait(deadline) => return Next::Wait(deadline.map(|deadline| deadline.at)),
                Output::Finished => return Next::Finished,
            }
        }
    }
}

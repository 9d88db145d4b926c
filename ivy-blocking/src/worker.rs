//! The worker's role: reserves messages, runs their handlers, and settles each as its task ended.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::task::BlockingRegistry;
use ivy_proto::worker::{CancelReason, Input, JobOutcome, Output, Run};
use ivy_proto::{JobId, Moment, OpId, TaskError, worker};

use crate::backend::{Answer, Notifier};
use crate::cancel::{CancelOnDrop, CancellationToken};
use crate::context::Ctx;
use crate::driver::{Next, Operations, Role, pump, taken};
use crate::error::{Error, Result};
use crate::events::{EventSink, Events};
use crate::ivy::Ivy;
use crate::threads::{Threads, spawn};

/// A running worker.
///
/// [`drain`](Worker::drain) ends it. One that is dropped without reserves no more messages and
/// drains in the background, within the same limit: handlers that have begun are not cut off while
/// the process lives. When the process ends before that, the messages of what was cut off return to
/// their queues when their leases end.
pub struct Worker {
    mailbox: Sender<Input>,
    finished: CancellationToken,
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
    /// `limit`, handlers that still run are cancelled and their messages given back as well; those
    /// that do not ask whether they are [cancelled](Ctx::cancelled) run on, for nothing.
    ///
    /// It can be called by several threads, and again.
    pub fn drain(&self, limit: Duration) {
        self.post(Input::Drain { limit });
        self.finished.cancelled();
    }

    fn post(&self, input: Input) {
        // A worker that has finished takes no more mail.
        let _ = self.mailbox.send(input);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("finished", &self.finished.is_cancelled()).finish()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.post(Input::Drain { limit: self.drain_limit });
    }
}

/// Starts a worker in threads of its own: one for its machine, and up to `concurrency` for handlers.
pub(crate) fn start(
    ivy: Ivy,
    machine: worker::Worker,
    registry: BlockingRegistry<Ctx>,
    concurrency: usize,
    drain_limit: Duration,
) -> Result<Worker> {
    let (mailbox, receiver) = mpsc::channel();
    let (finished, clock, events) = (CancellationToken::new(), ivy.clock(), ivy.sink().part());
    let role = WorkerRole {
        machine,
        registry,
        threads: Threads::new("ivy-handler", concurrency),
        operations: Operations::new(ivy.queue()),
        notifier: ivy.notifier(),
        running: HashMap::new(),
        events: events.clone(),
        mailbox: mailbox.clone(),
        ivy,
    };
    // The guard also ends the wait for a worker that has panicked.
    let guard = CancelOnDrop(finished.clone());
    let run = move || {
        pump(role, &receiver, clock);
        drop(guard);
    };
    spawn("ivy-worker", run)
        .map_err(|error| Error::config(format!("no thread can be started: {error}")))?;
    Ok(Worker { mailbox, finished, events, drain_limit })
}

struct WorkerRole {
    machine: worker::Worker,
    registry: BlockingRegistry<Ctx>,
    threads: Threads,
    operations: Operations,
    notifier: Option<Arc<dyn Notifier>>,
    running: HashMap<JobId, CancellationToken>,
    events: EventSink,
    mailbox: Sender<Input>,
    ivy: Ivy,
}

/// A handler that runs. Its end is told when this is dropped, whatever ended it.
struct Running {
    job: JobId,
    outcome: JobOutcome,
    mailbox: Sender<Input>,
}

impl Running {
    fn ends(mut self, outcome: JobOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, JobOutcome::Cancelled);
        let _ = self.mailbox.send(Input::Job(self.job, outcome));
    }
}

impl WorkerRole {
    fn feed(&mut self, input: Input, now: Moment) {
        taken("worker", self.machine.handle_input(input, now));
    }

    fn run(&mut self, run: Run) {
        let (job, task, args) = (run.job, run.task.clone(), run.args.clone());
        let context = Ctx::new(run, self.ivy.clone());
        let span = context.span().clone();
        self.running.insert(job, context.cancelled().clone());
        let handler = self.registry.job(&task, context, args);
        let mailbox = self.mailbox.clone();
        let running = Running { job, outcome: JobOutcome::Cancelled, mailbox };
        self.threads.run(move || {
            running.ends(span.in_scope(|| match handler {
                Some(handler) => handler(),
                None => {
                    let error = TaskError::new("the worker has no handler of this task");
                    JobOutcome::Failed(error)
                }
            }));
        });
    }

    fn cancel(&self, job: JobId, reason: CancelReason) {
        if let Some(cancelled) = self.running.get(&job) {
            tracing::debug!(?job, ?reason, "a handler is told to stop");
            cancelled.cancel();
        }
    }

    fn publish(&self, id: OpId, publication: Publication) {
        let mailbox = self.mailbox.clone();
        let answer = Answer::of_notifier(move |answer| {
            let _ = mailbox.send(Input::Published(id, answer));
        });
        match &self.notifier {
            Some(notifier) => notifier.publish(publication, answer),
            None => answer.give(Err(NotifyFault::new(NotifyFaultKind::Unreachable))),
        }
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
                        let _ = mailbox.send(Input::Queue(id, answer));
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

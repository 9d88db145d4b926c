//! Drives the worker: reserves messages, runs their handlers, and settles each according to its
//! outcome.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::mpsc::{self, UnboundedSender};
use futures_util::future::{BoxFuture, FutureExt, Join, Ready, join, ready};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ivy_proto::backend::Notifier;
use ivy_proto::health::WorkerHealth;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::QueueReply;
use ivy_proto::worker::{CancelReason, Input, Output, Run};
use ivy_proto::{JobId, Moment, OpId, WallClock, worker};
use rustc_hash::FxHashMap;

use crate::context::Ctx;
use crate::error::Error;
use crate::events::{EventSink, Events};
use crate::flag::{Flag, RaiseOnDrop};
use crate::fork_check::Process;
use crate::handler_waits::HandlerWaits;
use crate::handlers::{Adapter, HandlerCompletion, Handlers};
use crate::health::{HealthListener, HealthReader, Pulse, WorkerPages, serve};
use crate::ivy::Ivy;
use crate::metrics::Metered;
use crate::pump::{Next, Operations, Role, check_accepted, pump};
use crate::runtime::Runtime;
use crate::trace::ProcessSpan;

/// A running worker.
///
/// Stop it with [`drain`](Worker::drain). A worker that is dropped reserves no more messages and
/// drains in the background, within the limit set by
/// [`drain_limit`](crate::WorkerBuilder::drain_limit): its running handlers continue as long as the
/// process and, with tokio, the runtime live. If those end earlier, the unfinished messages return
/// to their queues when their leases end.
pub struct Worker<R> {
    mailbox: UnboundedSender<Input>,
    finished: Flag,
    events: EventSink,
    drain_limit: Duration,
    process: Process,
    health: Arc<HealthReader<R>>,
    health_address: Option<SocketAddr>,
}

impl<R> Worker<R> {
    /// Stops reserving messages. Running handlers continue.
    pub fn pause(&self) {
        self.post(Input::Pause);
    }

    /// Resumes reserving messages.
    pub fn resume(&self) {
        self.post(Input::Resume);
    }

    /// Stops publishing results; they are kept until [`resume_notifier`](Worker::resume_notifier).
    /// Finished messages are still deleted from the queue.
    pub fn pause_notifier(&self) {
        self.post(Input::PauseNotifier);
    }

    /// Publishes the kept results, and new ones again.
    pub fn resume_notifier(&self) {
        self.post(Input::ResumeNotifier);
    }

    /// The events of this worker from now on. Events about the queue's server appear only in
    /// `Ivy::events`.
    #[must_use]
    pub fn events(&self) -> Events<R> {
        self.events.watch()
    }

    /// Where the worker listens for probes, with the port that the system chose for port 0; `None`
    /// if it does not. See [`WorkerBuilder::health`](crate::WorkerBuilder::health).
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Starts to drain the worker. Returns a flag that is raised when the worker has ended; `None`
    /// in a process forked from the worker's, where there is nothing to end.
    pub(crate) fn begin_drain(&self, limit: Duration) -> Option<&Flag> {
        self.process.is_current().then(|| {
            self.post(Input::Drain { limit });
            &self.finished
        })
    }

    /// Its health. The worker's loop is asked; it need not answer.
    pub(crate) async fn read_health(&self) -> WorkerHealth
    where
        R: Runtime,
    {
        match self.process.is_current() {
            true => self.health.read().await,
            false => self.health.ended(),
        }
    }

    fn post(&self, input: Input) {
        // A worker that has finished accepts no more commands.
        let _ = self.mailbox.unbounded_send(input);
    }
}

impl<R> fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("finished", &self.finished.is_raised()).finish()
    }
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        self.post(Input::Drain { limit: self.drain_limit });
    }
}

/// Starts a worker.
pub(crate) fn start<R: Adapter>(
    ivy: Ivy<R>,
    machine: worker::Worker,
    handlers: R::Handlers,
    drain_limit: Duration,
    listener: Option<HealthListener<R>>,
) -> Result<Worker<R>, Error<R>> {
    let (mailbox, receiver) = mpsc::unbounded();
    let (finished, clock, events) = (Flag::default(), ivy.clock(), ivy.sink().child());
    ivy.nudges().add::<R>(mailbox.clone(), &*ivy.queue()).map_err(cannot_start)?;
    let serving = ivy.served().map(|served| served.add(machine.queues()));
    let probes = listener.as_ref().map(HealthListener::counters);
    let last_health = machine.health(clock.now());
    let machine = ivy.meters().add(machine, clock);
    let pulse = Arc::new(Pulse::new(clock.now()));
    let health =
        HealthReader::new(machine.questions(), Arc::clone(&pulse), clock, last_health, probes);
    let health = Arc::new(health);
    let health_address = listener.as_ref().map(HealthListener::address);
    let pages = WorkerPages { health: Arc::clone(&health), meters: ivy.meters().clone() };
    let role = WorkerRole {
        machine,
        pulse,
        handlers,
        operations: Operations::new(ivy.queue()),
        notifier: ivy.notifier(),
        publishing: FuturesUnordered::new(),
        published: VecDeque::new(),
        running: FxHashMap::default(),
        events: events.clone(),
        mailbox: mailbox.clone(),
        ivy,
    };
    // Raised however they end.
    let (ends, pump_ended) = (RaiseOnDrop(finished.clone()), Flag::default());
    let (pump_ends, port_closed) = (RaiseOnDrop(pump_ended.clone()), Flag::default());
    let is_listening = listener.is_some();
    if let Some(listener) = listener {
        let port_closes = RaiseOnDrop(port_closed.clone());
        let listening = async move {
            serve(listener, pages, pump_ended.raised()).await;
            drop(port_closes);
        };
        R::spawn("ivy-health", listening).map_err(cannot_start)?;
    }
    let running = async move {
        pump(role, receiver, clock).await;
        drop((serving, pump_ends));
        // Another worker may listen there next.
        if is_listening {
            port_closed.raised().await;
        }
        drop(ends);
    };
    R::spawn("ivy-worker", running).map_err(cannot_start)?;
    let process = Process::current();
    Ok(Worker { mailbox, finished, events, drain_limit, process, health, health_address })
}

fn cannot_start<R: Runtime>(error: io::Error) -> Error<R> {
    Error::config(format!("cannot start the worker: {error}"))
}

/// How many subscribers received a notice.
type Published = Result<u64, NotifyFault>;

/// A running handler.
pub(crate) struct Running<R: Runtime> {
    cancelled: R::CancellationToken,
    waits: HandlerWaits,
    span: ProcessSpan,
}

impl<R: Runtime> Running<R> {
    /// Prepares to run a handler: its context, and the means to report its end.
    pub(crate) fn begin(
        run: Run,
        ivy: Ivy<R>,
        mailbox: UnboundedSender<Input>,
    ) -> (Self, Ctx<R>, HandlerCompletion) {
        let job = run.job;
        let waits = HandlerWaits::new(job, mailbox.clone());
        let context = Ctx::new(run, ivy, waits.clone());
        let (cancelled, span) = (context.cancelled().clone(), context.process_span().clone());
        let completion = HandlerCompletion::new(job, mailbox, span.clone());
        (Running { cancelled, waits, span }, context, completion)
    }

    pub(crate) fn cancel(&self, reason: CancelReason) {
        self.span.stopped(reason);
        R::cancel(&self.cancelled);
    }

    pub(crate) fn interrupt(&self) {
        self.waits.interrupt();
    }

    /// Reports that it has ended.
    pub(crate) fn end(&self) {
        self.waits.end();
    }
}

struct WorkerRole<R: Adapter> {
    machine: Metered<R, worker::Worker>,
    pulse: Arc<Pulse>,
    handlers: R::Handlers,
    operations: Operations,
    notifier: Option<Arc<dyn Notifier>>,
    publishing: FuturesUnordered<Join<Ready<OpId>, BoxFuture<'static, Published>>>,
    /// Publications that completed immediately.
    published: VecDeque<(OpId, Published)>,
    running: FxHashMap<JobId, Running<R>>,
    events: EventSink,
    mailbox: UnboundedSender<Input>,
    ivy: Ivy<R>,
}

impl<R: Adapter> WorkerRole<R> {
    fn feed(&mut self, input: Input, now: Moment) {
        check_accepted("worker", self.machine.handle_input(input, now));
    }

    fn run(&mut self, run: Run) {
        let (job, args) = (run.job, run.args.clone());
        let (running, context, completion) =
            Running::begin(run, self.ivy.clone(), self.mailbox.clone());
        self.running.insert(job, running);
        self.handlers.run(context, args, completion);
    }

    fn cancel(&self, job: JobId, reason: CancelReason) {
        if let Some(running) = self.running.get(&job) {
            tracing::debug!(?job, ?reason, "cancelling a handler");
            running.cancel(reason);
        }
    }

    fn publish(&mut self, id: OpId, publication: Publication) {
        let Some(notifier) = &self.notifier else {
            let fault = NotifyFault::new(NotifyFaultKind::Unreachable);
            return self.published.push_back((id, Err(fault)));
        };
        let mut publishing = notifier.publish(publication);
        match (&mut publishing).now_or_never() {
            Some(published) => self.published.push_back((id, published)),
            None => self.publishing.push(join(ready(id), publishing)),
        }
    }
}

impl<R: Adapter> Role for WorkerRole<R> {
    type Command = Input;

    fn set_clock(&mut self, wall: WallClock, now: Moment) {
        self.feed(Input::Clock(wall), now);
    }

    fn handle(&mut self, input: Input, now: Moment) {
        if let Input::Job(job, _) = &input
            && let Some(running) = self.running.remove(job)
        {
            running.end();
        }
        self.feed(input, now);
    }

    fn size(input: &Input) -> usize {
        match input {
            Input::Queue(_, Ok(QueueReply::Reserved(reserved))) => reserved.bytes(),
            _ => 0,
        }
    }

    fn tick(&mut self, now: Moment) {
        self.pulse.turns(now);
        self.events.tick(now);
        self.feed(Input::Tick, now);
    }

    fn execute_outputs(&mut self) -> Next {
        loop {
            match self.machine.poll_output() {
                Output::Queue(id, op) => self.operations.start(id, op),
                Output::CancelQueue(id) => self.operations.cancel(id),
                Output::Publish(id, publication) => self.publish(id, publication),
                Output::Run(run) => self.run(run),
                Output::Cancel(job, reason) => self.cancel(job, reason),
                Output::Interrupt(job) => {
                    if let Some(running) = self.running.get(&job) {
                        running.interrupt();
                    }
                }
                Output::Event(event) => self.events.emit(event),
                Output::Wait(deadline) => {
                    let deadline = deadline.map(|deadline| deadline.at);
                    let next = self.events.next_wake(deadline);
                    self.pulse.waits(next);
                    return Next::Wait(next);
                }
                Output::Finished => {
                    self.events.end();
                    return Next::Finished;
                }
            }
        }
    }

    fn answer_questions(&mut self, context: &mut Context<'_>) {
        self.machine.answer_questions(context);
    }

    fn poll_in_flight(&mut self, context: &mut Context<'_>) -> Poll<Input> {
        if let Poll::Ready((id, result)) = self.operations.poll_reply(context) {
            return Poll::Ready(Input::Queue(id, result));
        }
        let published = match self.published.pop_front() {
            Some(published) => Poll::Ready(Some(published)),
            None => self.publishing.poll_next_unpin(context),
        };
        match published {
            Poll::Ready(Some((id, result))) => Poll::Ready(Input::Published(id, result)),
            // An empty `FuturesUnordered` returns `None`; publications may follow.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

//! Delivers one message to the machine of a worker, and runs its handler.

use std::pin::pin;
use std::time::Duration;

use futures_channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures_util::future::{Either, select};
use futures_util::stream::StreamExt;
use ivy_proto::event::{Event, ReleaseReason};
use ivy_proto::producer::ReplyTo;
use ivy_proto::queue::{
    Body, DeliveryCount, Fault, FaultKind, QueueInfo, QueueOp, QueueReply, ReceivedBody, Reserved,
    ReservedMessage,
};
use ivy_proto::task::{CallOptions, Task, ToArgs};
use ivy_proto::worker::{self, CancelReason, Input, JobOutcome, Run, Worker, WorkerSetup};
use ivy_proto::{Cause, JobId, MessageId, Moment, QueueName, Receipt, ReservationId, TaskId};
use serde::de::DeserializeOwned;

use crate::handlers::{Adapter, Handlers};
use crate::ivy::Ivy;
use crate::pump::check_accepted;
use crate::random::random;
use crate::worker::Running;

use super::caller::Caller;
use super::failure::{NextStep, TestFailure, TestFailureKind};

/// What a test chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) id: Option<TaskId>,
    pub(super) attempt: u32,
    pub(super) time_limit: Option<Duration>,
    pub(super) cancel_after: Option<Duration>,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions { id: None, attempt: 1, time_limit: None, cancel_after: None }
    }
}

/// The machine of a worker, the message that it receives, and what has become of it.
pub(super) struct Delivery<'a, R: Adapter> {
    // Both machines are large, and a future that contains them would fill the stack of a test.
    machine: Box<Worker>,
    caller: Box<Caller>,
    handlers: &'a R::Handlers,
    ivy: &'a Ivy<R>,
    conditions: Conditions,
    mailbox: UnboundedSender<Input>,
    received: UnboundedReceiver<Input>,
    queue: QueueName,
    receipt: Receipt,
    /// The body, until the worker has reserved the message.
    body: Option<Body>,
    running: Option<(JobId, Running<R>)>,
    cancel_at: Option<Moment>,
    cancelled: Option<CancelReason>,
    ended: Option<Ended>,
    next: NextStep,
    rejected: Option<TestFailureKind>,
    /// Why the message was released or moved.
    detail: String,
}

/// How the handler ended.
enum Ended {
    Returned,
    Failed(String),
    Panicked(String),
    Cancelled,
    NotRun,
}

impl<'a, R: Adapter> Delivery<'a, R> {
    pub(super) fn prepare<Args: ToArgs, Output>(
        task: &Task<Args, Output>,
        args: &Args,
        ivy: &'a Ivy<R>,
        handlers: &'a R::Handlers,
        setup: WorkerSetup,
        conditions: Conditions,
    ) -> Result<Self, Cause> {
        let (clock, wall) = (ivy.clock(), ivy.clock().wall());
        let mut config = setup.finish(handlers.tasks()).map_err(Cause::config)?;
        if let Some(limit) = conditions.time_limit
            && let Some(settings) = config.tasks.get_mut(task.name())
        {
            settings.time_limit = Some(limit);
        }
        let message = MessageId::new("1");
        let id = TaskId::from_random(random()?);
        let mut options = CallOptions::new();
        if let Some(id) = conditions.id {
            options = options.id(id);
        }
        let call = task.to_call(id, args, &options, ReplyTo::Handle)?;
        let queue = call.queue.clone();
        let (capabilities, codec) = (config.capabilities.clone(), config.codec.clone());
        let caller = Caller::new(capabilities, codec, ivy.channel().clone(), wall)?;
        let mut caller = Box::new(caller);
        let body = caller.write(call, &message, clock.now())?;
        let machine = Box::new(Worker::new(config, random()?, wall).map_err(Cause::config)?);
        if !machine.queues().any(|served| *served == queue) {
            return Err(Cause::config(format!(
                "task {} is sent to queue {queue}, which this worker does not serve; register its handler with the same constant, or name the queue, route or priority with `with`",
                task.name()
            )));
        }
        let (mailbox, received) = mpsc::unbounded();
        let receipt = Receipt { message, reservation: ReservationId::new("1") };
        Ok(Delivery {
            machine,
            caller,
            handlers,
            ivy,
            conditions,
            mailbox,
            received,
            queue,
            receipt,
            body,
            running: None,
            cancel_at: None,
            cancelled: None,
            ended: None,
            next: NextStep::Nothing,
            rejected: None,
            detail: String::new(),
        })
    }

    /// Runs until the handler has ended and the machine has decided what follows.
    pub(super) async fn run<T: DeserializeOwned>(mut self) -> Result<T, TestFailure> {
        let clock = self.ivy.clock();
        self.feed(Input::Tick, clock.now());
        loop {
            let deadline = self.execute_outputs(clock.now());
            if self.ended.is_some() || self.rejected.is_some() {
                return self.result();
            }
            let wake_at = self.cancel_at.into_iter().chain(deadline).min();
            let sleep = pin!(clock.sleep_until(wake_at));
            let input = match select(self.received.next(), sleep).await {
                Either::Left((input, _)) => input.unwrap_or(Input::Tick),
                Either::Right(_) => Input::Tick,
            };
            let now = clock.now();
            self.take(input, now);
            if self.cancel_at.is_some_and(|at| at <= now) {
                self.lose_lease(now);
            }
        }
    }

    fn take(&mut self, input: Input, now: Moment) {
        if let Input::Job(_, outcome) = &input {
            self.ended = Some(match outcome {
                JobOutcome::Done(_) | JobOutcome::ResultTooDeep => Ended::Returned,
                JobOutcome::Failed(error) => Ended::Failed(error.message().to_owned()),
                JobOutcome::Panicked(message) => Ended::Panicked(message.clone()),
                JobOutcome::Cancelled => Ended::Cancelled,
                JobOutcome::BadArgs(_) | JobOutcome::NotRun => Ended::NotRun,
            });
            self.cancel_at = None;
            if let Some((_, running)) = self.running.take() {
                running.end();
            }
        }
        self.feed(input, now);
    }

    fn lose_lease(&mut self, now: Moment) {
        self.cancel_at = None;
        self.feed(Input::LeasesLost(vec![self.receipt.clone()]), now);
    }

    fn feed(&mut self, input: Input, now: Moment) {
        check_accepted("worker", self.machine.handle_input(input, now));
    }

    /// Executes what the machine wants. Returns when it wants to be woken.
    fn execute_outputs(&mut self, now: Moment) -> Option<Moment> {
        loop {
            match self.machine.poll_output() {
                worker::Output::Queue(id, op) => {
                    if let Some(reply) = self.execute(op) {
                        self.feed(Input::Queue(id, reply), now);
                    }
                }
                worker::Output::CancelQueue(id) => {
                    let lost = Fault::new(FaultKind::ReplyLost);
                    self.feed(Input::Queue(id, Err(lost)), now);
                }
                worker::Output::Publish(id, publication) => {
                    self.caller.read(publication, now);
                    self.feed(Input::Published(id, Ok(1)), now);
                }
                worker::Output::Run(run) => self.start(run, now),
                worker::Output::Cancel(job, reason) => {
                    self.cancelled = Some(reason);
                    if let Some((_, running)) = self.running.as_ref().filter(|(id, _)| *id == job) {
                        running.cancel(reason);
                    }
                }
                worker::Output::Interrupt(job) => {
                    if let Some((_, running)) = self.running.as_ref().filter(|(id, _)| *id == job) {
                        running.interrupt();
                    }
                }
                worker::Output::Event(event) => self.note(event),
                worker::Output::Wait(deadline) => return deadline.map(|deadline| deadline.at),
                worker::Output::Finished => return None,
            }
        }
    }

    /// The reply of a queue that has one message and accepts everything. `None` if it waits.
    fn execute(&mut self, op: QueueOp) -> Option<Result<QueueReply, Fault>> {
        Some(match op {
            QueueOp::Reserve { queue, .. } if queue == self.queue => {
                let message = ReservedMessage {
                    receipt: self.receipt.clone(),
                    body: ReceivedBody::Text(self.body.take()?),
                    deliveries: DeliveryCount::Exact {
                        failed: self.conditions.attempt.saturating_sub(1),
                        lost: 0,
                    },
                };
                Ok(QueueReply::Reserved(Reserved { messages: vec![message], unusable: 0 }))
            }
            QueueOp::Reserve { .. } => return None,
            QueueOp::Post { messages, .. } => {
                let copies = messages.items().iter().map(|_| MessageId::new("2"));
                Ok(QueueReply::all_posted(copies))
            }
            QueueOp::Delete { .. } => Ok(QueueReply::all_deleted(1)),
            QueueOp::DeleteMany { receipts, .. } => {
                Ok(QueueReply::all_deleted(receipts.items().len()))
            }
            QueueOp::Touch { receipt, .. } => Ok(QueueReply::Touched(receipt)),
            QueueOp::Release { .. } => Ok(QueueReply::Released),
            QueueOp::GetQueue { queue } | QueueOp::CreateQueue { queue } => {
                Ok(QueueReply::Queue(Box::new(QueueInfo::new(queue))))
            }
            op => Err(Fault::unsupported(&op, "a worker does not need it")),
        })
    }

    fn start(&mut self, run: Run, now: Moment) {
        let (job, args) = (run.job, run.args.clone());
        let (running, context, completion) =
            Running::begin(run, self.ivy.clone(), self.mailbox.clone());
        let cancel_after = self.conditions.cancel_after;
        let is_cancelled = cancel_after.is_some_and(|time| time.is_zero());
        if is_cancelled {
            running.cancel(CancelReason::LeaseLost);
        }
        self.running = Some((job, running));
        self.handlers.run(context, args, completion);
        if is_cancelled {
            self.lose_lease(now);
        } else {
            self.cancel_at = cancel_after.map(|time| now + time);
        }
    }

    fn note(&mut self, event: Event) {
        match &event {
            Event::Released { reason: ReleaseReason::Retry, delay, .. } => {
                self.next = NextStep::Retry { delay: *delay };
            }
            Event::Released { reason, detail, delay, .. } => {
                self.next = NextStep::Release { delay: *delay };
                if let ReleaseReason::Undecided(why) = reason {
                    self.rejected = Some(TestFailureKind::NotRun(*why));
                }
                self.detail = detail.clone().unwrap_or_default();
            }
            Event::Postponed { delay, .. } => self.next = NextStep::Later { delay: *delay },
            Event::DeadLettered { reason, detail, .. } => {
                self.next = NextStep::DeadLetter { reason: *reason };
                if self.ended.is_none() {
                    self.rejected = Some(TestFailureKind::NotRun(*reason));
                }
                self.detail.clone_from(detail);
            }
            _ => {}
        }
        self.ivy.sink().emit(event);
    }

    fn result<T: DeserializeOwned>(self) -> Result<T, TestFailure> {
        let Delivery { caller, cancelled, ended, next, rejected, detail, .. } = self;
        let failed = |kind, message| Err(TestFailure::new(kind, message, next));
        if let Some(kind) = rejected {
            return failed(kind, detail);
        }
        if let Some(reason @ (CancelReason::LeaseLost | CancelReason::Drain)) = cancelled {
            // Another worker may be running it, so whatever it returned is discarded.
            let text = "its result is discarded, because another worker may have the message";
            return failed(TestFailureKind::Cancelled(reason), text.to_owned());
        }
        match (ended, cancelled) {
            (Some(Ended::Returned), _) => {
                let Some(outcome) = caller.outcome() else {
                    return failed(TestFailureKind::Result, "there is no notice of it".to_owned());
                };
                outcome.value().or_else(|cause| failed(TestFailureKind::Result, cause.to_string()))
            }
            (Some(Ended::Failed(message)), None) => failed(TestFailureKind::Error, message),
            (Some(Ended::Panicked(message)), _) => failed(TestFailureKind::Panic, message),
            (Some(Ended::Failed(message)), Some(reason)) => {
                failed(TestFailureKind::Cancelled(reason), message)
            }
            (Some(Ended::Cancelled), Some(reason)) => {
                failed(TestFailureKind::Cancelled(reason), "it exceeded its time limit".to_owned())
            }
            (Some(Ended::Cancelled | Ended::NotRun) | None, _) => {
                failed(TestFailureKind::NotDelivered, "the system could not run it".to_owned())
            }
        }
    }
}

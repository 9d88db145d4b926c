//! The worker: reserves messages, runs their tasks, and settles each message according to its
//! task's outcome.
//!
//! Report what happened with [`Worker::handle_input`], and execute what [`Worker::poll_output`]
//! returns until it returns [`Output::Wait`]. Several inputs may precede a poll; polling late
//! neither loses nor reorders outputs. When the deadline of a wait has passed, feed
//! [`Input::Tick`]; the next deadline is strictly later.
//!
//! ```text
//!               ┌────────── poller: which queue, how many ──────────┐
//!               ▼                                                   │ slots free
//!   Reserve ► admission ► run ► handler ► settling ► pending deletes ► DeleteMany
//!               │           │ lease: touch    │
//!               │ unreadable, unknown         ├─ retry, postponement: Post successor, delete
//!               └────────────────────────────►└─ dead letter: Post copy, delete
//! ```
//!
//! A message is deleted only after its handler returned, or after the queue accepted its successor
//! or its dead-letter copy. If anything goes wrong in between, its lease ends and the message is
//! delivered again.
//!
//! # Driving a worker
//!
//! A worker on the in-memory broker, without an adapter:
//!
//! ```
//! use std::{collections::BTreeMap, time::Duration};
//!
//! use ivy_proto::broker::{self, Broker, BrokerConfig, RequestId};
//! use ivy_proto::queue::{Batch, Body, Capabilities, Fault, NewMessage, QueueOp, QueueReply};
//! use ivy_proto::task::TaskSettings;
//! use ivy_proto::wire::{Codec, RawJson};
//! use ivy_proto::worker::{Input, JobOutcome, Output, Worker, WorkerConfig};
//! use ivy_proto::{Moment, QueueName, TaskName, WallClock};
//!
//! let queue = QueueName::new("math")?;
//! let config = WorkerConfig::new(Capabilities::broker(), Codec::plain())
//!     .with_task(TaskName::new("math.double")?, TaskSettings::in_queue(queue.clone()));
//! let mut worker = Worker::new(config, [1; 32], WallClock::default())?;
//! let mut broker = Broker::new(BrokerConfig::default(), [2; 32]);
//!
//! let body = Body::new(r#"{"name":"math.double","options":{},"args":[21]}"#);
//! let message = NewMessage { body, delay: Duration::ZERO };
//! let post = QueueOp::Post { queue, messages: Batch::one(message) };
//! let mut now = Moment::EPOCH;
//! broker.handle_input(broker::Input::Request(RequestId(0), post.into()), now)?;
//!
//! let mut ops = BTreeMap::new();
//! let mut results = Vec::new();
//! loop {
//!     match worker.poll_output() {
//!         Output::Queue(op, request) => {
//!             let id = RequestId(ops.len() as u64 + 1);
//!             ops.insert(id, op);
//!             broker.handle_input(broker::Input::Request(id, request.into()), now)?;
//!         }
//!         Output::CancelQueue(op) => {
//!             let lost = Fault::new(ivy_proto::queue::FaultKind::ReplyLost);
//!             worker.handle_input(Input::Queue(op, Err(lost)), now)?;
//!         }
//!         Output::Run(run) => {
//!             let (n,): (u64,) = serde_json::from_str(run.args.as_str())?;
//!             results.push(n * 2);
//!             let outcome = JobOutcome::Done(RawJson::from_value(&(n * 2))?);
//!             worker.handle_input(Input::Job(run.job, outcome), now)?;
//!             worker.handle_input(Input::Drain { limit: Duration::from_secs(5) }, now)?;
//!         }
//!         Output::Publish(..) | Output::Cancel(..) | Output::Interrupt(_) => {}
//!         Output::Event(_) => {}
//!         Output::Finished => break,
//!         Output::Wait(deadline) => match broker.poll_output() {
//!             broker::Output::Response(id, reply) => {
//!                 let Some(op) = ops.get(&id) else { continue };
//!                 let reply = reply.map(QueueReply::from).map_err(Fault::from);
//!                 worker.handle_input(Input::Queue(*op, reply), now)?;
//!             }
//!             // No reply is pending: let time pass.
//!             broker::Output::Wait(_) => {
//!                 now = deadline.map_or(now, |deadline| deadline.at);
//!                 worker.handle_input(Input::Tick, now)?;
//!             }
//!         },
//!     }
//! }
//! assert_eq!(results, [42]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod clock;
mod coalescing;
mod config;
mod deleting;
mod draining;
mod effects;
mod error_type;
mod failed_decryptions;
mod fingerprints;
mod health;
mod intake;
mod io;
mod job;
mod lateness;
mod lease;
mod lease_renewal;
mod lifecycle;
mod lost_before_arrival;
mod lost_deliveries;
mod metrics;
mod nested_waits;
mod notices;
mod notify_caller;
mod outcome;
mod pending_deletes;
mod poller;
mod postponing;
mod presence;
mod presence_record;
mod queue_replies;
mod rejecting;
mod release_counts;
mod replacing;
mod replay_window;
mod settlement_limit;
mod settling;
mod setup;
mod suspects;
mod tasks;
mod trace_relation;
mod unprocessable;

pub use config::{InvalidConfig, WorkerConfig};
pub use io::{CancelReason, Input, JobOutcome, Output, Run, Timer};
pub use replay_window::ReplayWindow;
pub use setup::{SetupError, WorkerSetup};
pub use trace_relation::{Relation, TraceRelation};

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::Event;
use crate::id::JobId;
use crate::metrics::Meter;
use crate::misuse::Misuse;
use crate::name::QueueName;
use crate::queue::Lease;
use crate::slab_map::SlabMap;
use crate::time::{Deadline, Moment, WallClock};

use coalescing::ReserveCoalescing;
use effects::{Effects, OpPurpose};
use failed_decryptions::FailedDecryptions;
use fingerprints::Fingerprints;
use job::{Job, JobWithoutLease, Stage};
use lateness::Lateness;
use lost_before_arrival::LostBeforeArrival;
use nested_waits::NestedWaits;
use notices::Notices;
use pending_deletes::PendingDeletes;
use poller::Poller;
use presence::Presence;
use release_counts::ReleaseCounts;
use replacing::Replacing;
use replay_window::CompletedMessages;
use suspects::Suspects;
use tasks::Tasks;

/// The worker's state machine. See the [module documentation](self) for how to drive it.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    tasks: Tasks,
    fx: Effects,
    mode: Mode,
    poller: Poller,
    jobs: SlabMap<JobId, Job>,
    /// Jobs that wait for a slot, by queue, oldest first.
    waiting: BTreeMap<QueueName, VecDeque<JobId>>,
    /// Messages that may be crashing workers. Each runs alone.
    suspects: Suspects,
    replacing: Replacing,
    completed: CompletedMessages,
    /// The bodies of recent messages, to detect a queue that uses an id twice.
    fingerprints: Fingerprints,
    failed_decryptions: FailedDecryptions,
    lost_before_arrival: LostBeforeArrival,
    release_counts: ReleaseCounts,
    /// How many handlers run whose message is still held.
    running: usize,
    coalescing: ReserveCoalescing,
    /// Handlers that still run although their message is no longer held. Each keeps its slot until
    /// it ends.
    without_lease: BTreeMap<JobId, JobWithoutLease>,
    pending_deletes: PendingDeletes,
    notices: Notices,
    presence: Option<Presence>,
    /// Whether any message has arrived.
    has_received: bool,
    lateness: Lateness,
    /// How late the last touch was sent.
    touch_lag: Option<Duration>,
    nested_waits: NestedWaits,
    /// The clock of the queue's server, if it told its time.
    server_clock: Option<WallClock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// No input yet.
    New,
    Running,
    Paused,
    Draining {
        limit_passed: bool,
    },
    Finished,
}

impl Worker {
    /// Creates a worker. `seed` must be 32 fresh bytes from a cryptographic random number
    /// generator; they seed jitter and sealing. `wall` is the current wall clock, for deadlines
    /// that messages carry; [`Input::Clock`] updates it.
    ///
    /// # Errors
    /// Returns an error if the configuration breaks a rule.
    pub fn new(
        config: WorkerConfig,
        seed: [u8; 32],
        wall: WallClock,
    ) -> Result<Self, InvalidConfig> {
        config.check()?;
        let config = config.adapted_to_backend();
        let capabilities = &config.capabilities;
        let poller = Poller::new(
            config.served_queues()?,
            capabilities.long_poll,
            capabilities.batch.reserve,
        );
        let meter = Meter::new(poller.names(), config.tasks.keys());
        let mut fx = Effects::new(seed, wall, meter);
        fx.timers.set(Timer::Start, Moment::EPOCH);
        let completed = CompletedMessages::new(config.replay_window);
        let notices = Notices::new(config.notice_bytes, config.concurrency);
        let presence = config
            .presence_identity()?
            .map(|(channel, identity)| Presence::new(channel, identity, &mut fx.rng));
        Ok(Worker {
            tasks: Tasks::of(&config),
            config,
            fx,
            mode: Mode::New,
            poller,
            jobs: SlabMap::default(),
            waiting: BTreeMap::new(),
            suspects: Suspects::default(),
            replacing: Replacing::default(),
            completed,
            fingerprints: Fingerprints::default(),
            failed_decryptions: FailedDecryptions::default(),
            lost_before_arrival: LostBeforeArrival::default(),
            release_counts: ReleaseCounts::default(),
            running: 0,
            coalescing: ReserveCoalescing::default(),
            without_lease: BTreeMap::new(),
            pending_deletes: PendingDeletes::default(),
            notices,
            presence,
            has_received: false,
            lateness: Lateness::default(),
            touch_lag: None,
            nested_waits: NestedWaits::default(),
            server_clock: None,
        })
    }

    /// Handles what happened at `now`. A `now` that goes backwards is raised to the latest one
    /// seen.
    ///
    /// # Errors
    /// Returns an error if the driver breaks the contract, for instance by replying to an operation
    /// twice. The worker is then unchanged.
    pub fn handle_input(&mut self, input: Input, now: Moment) -> Result<(), Misuse> {
        self.check(&input)?;
        self.fx.now = self.fx.now.max(now);
        self.check_lateness();
        match input {
            Input::Tick => {}
            Input::Clock(wall) => self.set_clock(wall),
            Input::Queue(op, result) => self.on_reply(op, result),
            Input::Published(op, result) if self.is_presence_in_flight(op) => {
                self.presence_published(result);
            }
            Input::Published(op, result) => self.notices.published(op, result, &mut self.fx),
            Input::Job(job, outcome) => self.take_outcome(job, outcome),
            Input::Waits(job, task) => self.begin_wait(job, task),
            Input::Resumes(job) => self.end_wait(job),
            Input::Nudge(queue) => self.nudge(queue),
            Input::LeasesLost(receipts) => self.lose_leases(receipts),
            Input::Pause => {
                if self.mode == Mode::Running || self.mode == Mode::New {
                    self.start();
                    self.mode = Mode::Paused;
                }
            }
            Input::Resume => {
                if self.mode == Mode::Paused {
                    self.mode = Mode::Running;
                }
            }
            Input::PauseNotifier => self.notices.pause(),
            Input::ResumeNotifier => self.notices.resume(&mut self.fx),
            Input::Drain { limit } => self.drain(limit),
        }
        self.act_on_timers();
        self.start_waiting();
        self.poll_queues();
        self.watch_for_standstill();
        self.report_changed_state();
        self.finish_if_drained();
        Ok(())
    }

    /// Returns the next thing to do. [`Output::Wait`] means that there is nothing to do before the
    /// next input or the deadline.
    #[must_use = "an output that is not executed is lost"]
    pub fn poll_output(&mut self) -> Output {
        self.fx.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.next_deadline()))
    }

    /// The physical queues that the worker serves, most urgent first.
    pub fn queues(&self) -> impl Iterator<Item = &QueueName> {
        self.poller.names()
    }

    /// What the worker currently holds: messages, handlers, and the bytes of unpublished notices.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            held: self.jobs.len(),
            waiting: self.waiting_count(),
            running: self.running + self.without_lease.len(),
            notice_bytes: self.notices.bytes(),
        }
    }

    fn check(&self, input: &Input) -> Result<(), Misuse> {
        if self.mode == Mode::Finished {
            return Err(Misuse::Finished);
        }
        match input {
            Input::Queue(op, result) => {
                let in_flight = self.fx.in_flight.get(op).ok_or(Misuse::UnknownOp(*op))?;
                match result {
                    Ok(reply) if !in_flight.purpose.fits(reply) => Err(Misuse::WrongReply(*op)),
                    _ => Ok(()),
                }
            }
            Input::Published(op, _) => {
                let is_known = self.is_presence_in_flight(*op) || self.notices.is_in_flight(*op);
                if is_known { Ok(()) } else { Err(Misuse::UnknownOp(*op)) }
            }
            Input::Job(job, _) if !self.has_running(*job) => Err(Misuse::UnknownJob(*job)),
            _ => Ok(()),
        }
    }

    fn has_running(&self, job: JobId) -> bool {
        let runs = |held: &Job| matches!(held.stage, Stage::Running { .. });
        self.without_lease.contains_key(&job) || self.jobs.get(&job).is_some_and(runs)
    }

    fn next_deadline(&self) -> Option<Deadline<Timer>> {
        self.fx.timers.next()
    }

    fn act_on_timers(&mut self) {
        while let Some((due, why)) = self.fx.timers.pop_due_with_time(self.fx.now) {
            match why {
                Timer::Start => self.start(),
                Timer::Touch(job) => {
                    self.touch_lag = Some(self.fx.now.since(due));
                    self.touch(job);
                }
                Timer::LeaseEnds(job) => self.lose_lease(job),
                Timer::TimeLimit(job) => self.stop_overdue(job, CancelReason::TimeLimit),
                Timer::HoldLimit(job) => self.pass_hold_limit(job),
                Timer::Settle(job) => self.settle(job),
                Timer::SendDeletes(queue) => self.send_deletes(&queue),
                Timer::Poll(queue) => {
                    if let Some(queue) = self.poller.queue(&queue) {
                        queue.wake();
                    }
                }
                // The queues are polled after each input.
                Timer::Reserve => {}
                Timer::Publish => self.notices.on_backoff_ended(&mut self.fx),
                Timer::Presence => self.presence_is_due(),
                Timer::Standstill => self.report_standstill(),
                Timer::DrainCancelPolls => self.cancel_polls(),
                Timer::DrainCancelHandlers => self.pass_drain_limit(),
                Timer::DrainAbandon => self.abandon_all(),
            }
        }
    }

    /// Runs once, before the first poll: reports the start, a lease below the backend's documented
    /// minimum, an implausible clock and too many labels; looks for dead-letter rules of the server,
    /// which would move messages without a reason; and begins to publish presence records.
    fn start(&mut self) {
        if self.mode != Mode::New {
            return;
        }
        self.mode = Mode::Running;
        self.fx.timers.stop(&Timer::Start);
        self.report_start();
        if let Lease::Timed { documented, .. } = self.config.capabilities.lease
            && let Some(lease) = self.config.leases().min().filter(|lease| *lease < documented)
        {
            self.fx.event(Event::ShortLease { lease, documented });
        }
        if !self.fx.wall_is_plausible() {
            self.fx.event(Event::ClockImplausible);
        }
        if self.fx.meter.has_too_many_labels() {
            self.fx.event(Event::TooManyLabels);
        }
        for queue in self.poller.names().cloned().collect::<Vec<_>>() {
            let op = crate::queue::QueueOp::GetQueue { queue: queue.clone() };
            self.fx.execute(OpPurpose::Inspect(queue), op);
        }
        self.start_presence();
    }

    /// How many slots are in use, by handlers and by messages about to start.
    fn slots_taken(&self) -> usize {
        self.running + self.without_lease.len() + self.replacing.slots()
    }

    fn is_draining(&self) -> bool {
        matches!(self.mode, Mode::Draining { .. })
    }
}

/// How busy a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Messages that are reserved and not yet settled.
    pub held: usize,
    /// How many of the held messages wait for a free slot. Waiting messages and running handlers
    /// together never exceed the concurrency plus one for each physical queue.
    pub waiting: usize,
    /// Handlers that have not ended.
    pub running: usize,
    /// The bytes of the notices that wait to be published or are being published.
    pub notice_bytes: usize,
}

#[cfg(test)]
mod tests;

//! Receiving messages: polls, admission, and the start of handlers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Event, Part, ReleaseReason};
use crate::id::JobId;
use crate::metrics::CountedQueue;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::queue::{DeliveryCount, QueueOp, Reserved, ReservedMessage};
use crate::time::{Moment, WallClock};

use super::admission::examine;
use super::coalescing::Slots;
use super::effects::OpPurpose;
use super::io::{Output, Run, Timer};
use super::job::{Job, Settlement, Stage};
use super::lease::{Grant, Lease};
use super::lease_renewal::handler_hold;
use super::poller::PauseReason;
use super::{Mode, Worker};

/// How many messages beyond the requested count are accepted from a queue.
const MAX_SURPLUS: usize = 100;

impl Worker {
    /// Polls all queues that are due.
    pub(super) fn poll_queues(&mut self) {
        if self.mode != Mode::Running || self.has_too_many_settling() || self.suspects.any() {
            return;
        }
        let taken = self.slots_taken() + self.waiting_count();
        let room = match self.notices.room(self.fx.now) {
            Some((room, until)) if room <= taken => {
                return self.fx.timers.set(Timer::Reserve, until);
            }
            Some((room, _)) => room,
            None => usize::MAX,
        };
        let free = self.config.concurrency.min(room).saturating_sub(taken);
        if self.coalesces_reserves(free) {
            return;
        }
        let waiting = &self.waiting;
        for planned in self.poller.plan(free, |queue| waiting.contains_key(queue)) {
            self.coalescing.reserved(planned.count);
            let purpose = OpPurpose::Poll {
                queue: planned.queue.clone(),
                count: planned.count,
                wait: planned.wait,
                requested_at: self.fx.now,
                wall: self.fx.wall,
            };
            let lease = self.config.lease;
            let op = QueueOp::Reserve {
                queue: planned.queue,
                count: planned.count,
                lease,
                wait: planned.wait,
            };
            self.fx.execute(purpose, op);
        }
    }

    /// Whether to delay the reserve briefly, so that slots which are about to become free are
    /// covered by the same request.
    fn coalesces_reserves(&mut self, free: usize) -> bool {
        let slots = Slots {
            free: free.saturating_sub(self.poller.promised()),
            coming: self.poller.coming(),
            all: self.config.concurrency,
            batch: self.config.capabilities.batch.reserve,
        };
        let until = self.coalescing.holds_back_until(slots, self.fx.now);
        match until {
            Some(until) => self.fx.timers.set(Timer::Reserve, until),
            None => self.fx.timers.stop(&Timer::Reserve),
        }
        until.is_some()
    }

    /// Handles the reply to a reserve.
    pub(super) fn take_in(
        &mut self,
        queue: &QueueName,
        count: usize,
        wait: Duration,
        (requested_at, wall): (Moment, WallClock),
        reserved: Reserved,
    ) {
        let took = self.fx.now.since(requested_at);
        let entries = (reserved.messages.len(), reserved.unusable);
        if let Some(served) = self.poller.queue(queue)
            && let Some(pause) = served.on_reply(count, entries, (wait, took), &mut self.fx.rng)
        {
            let why = if reserved.unusable > 0 {
                PauseReason::Failing
            } else if served.unprocessable.polls_without_waiting() {
                PauseReason::OtherWorkersFirst
            } else {
                PauseReason::Empty
            };
            self.pause_queue(queue, pause, why);
        }
        // The surplus of a broken queue is left to its leases.
        let mut messages = reserved.messages;
        let surplus = messages.split_off(messages.len().min(count.saturating_add(MAX_SURPLUS)));
        let count = reserved.unusable + surplus.len();
        if count > 0 {
            self.fx.event(Event::UnusableMessages { queue: queue.clone(), count });
        }
        // A queue that did not wait may have granted the leases as early as the request; one that
        // waited granted them just before its reply.
        let from = if wait.is_zero() { requested_at } else { self.fx.now };
        // The host may have slept since the queue granted them.
        let granted = Grant { length: self.config.lease, from, wall };
        let counted_queue = self.fx.meter.reserved(queue, messages.len());
        for message in messages {
            self.admit(queue, counted_queue, message, granted);
        }
        self.recover_if_unseen(queue);
        self.yield_if_due(queue);
    }

    /// Pauses a queue until a timer ends, or until a nudge if it was merely empty. If several
    /// pauses overlap, as for polls that were in flight together, the longest applies.
    pub(super) fn pause_queue(&mut self, queue: &QueueName, pause: Duration, why: PauseReason) {
        let Some(served) = self.poller.queue(queue) else { return };
        served.pause(why);
        let timer = Timer::Poll(queue.clone());
        let set = self.fx.timers.at(&timer).map_or(Duration::ZERO, |at| at.since(self.fx.now));
        self.fx.set_timer(timer, pause.max(set));
    }

    /// Ends the pause of a queue that was empty.
    pub(super) fn nudge(&mut self, queue: QueueName) {
        if let Some(served) = self.poller.queue(&queue)
            && served.is_paused_for(PauseReason::Empty)
        {
            served.wake();
            self.fx.timers.stop(&Timer::Poll(queue));
        }
    }

    fn admit(
        &mut self,
        queue: &QueueName,
        counted_queue: CountedQueue,
        message: ReservedMessage,
        granted: Grant,
    ) {
        if self.lost_before_arrival.remove(&message.receipt) {
            let (queue, message) = (queue.clone(), message.receipt.message);
            return self.fx.event(Event::LeaseLost { queue, message });
        }
        let id = message.receipt.message.clone();
        self.report_first_message(queue, &id);
        let deliveries = message.deliveries.upper_bound().unwrap_or(1);
        let (releases, counted) = (&self.release_counts, message.deliveries);
        let count = |task| match counted {
            // This process released it without running it; the count includes that delivery.
            DeliveryCount::UpperBound(_) if releases.has(task) => DeliveryCount::FIRST,
            DeliveryCount::Redelivered(_) if releases.has(task) => {
                DeliveryCount::Redelivered(false)
            }
            counted => counted,
        };
        self.fx.event(Event::MessageRetrieved {
            queue: queue.clone(),
            message: id.clone(),
            deliveries,
        });
        if self.fingerprints.add(queue, &id, &message.body) {
            self.fx.event(Event::IdReused { queue: queue.clone(), message: id.clone() });
        }
        let unix_millis = self.fx.plausible_unix_millis();
        let admission =
            examine(&self.config, &self.tasks, queue, &id, &message.body, count, unix_millis);
        let doubtful = granted.is_doubtful(self.fx.now, self.fx.wall);
        // Released, it is delivered again immediately with a new lease, unless another worker holds
        // it.
        let granted = if doubtful { Grant { wall: self.fx.wall, ..granted } } else { granted };
        let mut deliveries = admission.deliveries;
        if doubtful {
            // If another worker holds it, a copy would be a duplicate.
            deliveries.keep_the_message();
        }
        let job = self.fx.counter.next_job();
        let held = Job {
            queue: queue.clone(),
            row: self.fx.meter.row(counted_queue, admission.place),
            body: message.body,
            deliveries,
            lease: Lease::new(message.receipt, granted),
            scheduled: admission.scheduled,
            caller: admission.caller,
            message_key: admission.message_key,
            stage: Stage::Waiting,
        };
        if let Some(longest) = self.config.capabilities.longest_hold {
            let hold = handler_hold(longest, held.lease.length());
            self.fx.timers.set(Timer::HoldLimit(job), granted.from + hold);
        }
        self.fx.timers.set(Timer::LeaseEnds(job), held.lease.until(self.fx.wall));
        let touch_at = held.lease.touch_at(self.fx.wall, &mut self.fx.rng);
        self.fx.set_timer(Timer::Touch(job), touch_at.since(self.fx.now));
        self.jobs.insert(job, held);
        if admission.peer_fault {
            self.fx.event(Event::PeerFault { queue: queue.clone(), message: id.clone() });
        }
        match admission.rejection {
            _ if self.mode != Mode::Running => {
                let reason =
                    if self.is_draining() { ReleaseReason::Drain } else { ReleaseReason::Paused };
                self.release(job, Duration::ZERO, reason);
            }
            _ if doubtful => self.release(job, Duration::ZERO, ReleaseReason::LeaseTooShort),
            Some(rejection) => self.reject(job, rejection),
            None if self.completed.contains(admission.message_key, self.fx.now) => {
                self.fx.event(Event::Replayed { queue: queue.clone(), message: id });
                self.settle_as(job, Settlement::Delete);
            }
            None => match self.paused_mismatch(job) {
                Some(rejection) => self.reject(job, rejection),
                None => self.accept(job),
            },
        }
    }

    /// Accepts a message that this worker can run.
    fn accept(&mut self, job: JobId) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let (queue, now) = (held.queue.clone(), self.fx.now);
        let lease = held.scheduled.as_ref().map_or(self.config.lease, |task| task.lease);
        held.lease.set_length(lease);
        if let Some(served) = self.poller.queue(&queue)
            && served.unprocessable.record_processed(now)
        {
            self.fx.report_recovered(Part::Messages(queue.clone()));
        }
        let taken = self.slots_taken() + self.waiting_count();
        let room = taken < self.config.concurrency;
        // Of the suspects, only one waits, for all queues.
        let one_waits = self.waiting.contains_key(&queue) || self.suspects.waiting() > 0;
        // A message that waits for a replacement had a slot when it arrived; another may have taken
        // it since.
        let too_many_wait = taken > self.config.concurrency + self.waiting.len();
        if !room && (one_waits || too_many_wait) {
            return self.release(job, Duration::ZERO, ReleaseReason::NoRoom);
        }
        if lease != self.config.lease {
            // The message was reserved before its task was known.
            self.fx.timers.stop(&Timer::Touch(job));
            self.touch(job);
        }
        let Some(held) = self.jobs.get(&job) else { return };
        if held.deliveries.may_crash_workers(self.config.max_deliveries) {
            return self.suspects.add(job, held.deliveries.lost);
        }
        self.waiting.entry(queue).or_default().push_back(job);
    }

    /// Starts waiting messages while there are free slots, and suspects when nothing else runs or
    /// waits.
    pub(super) fn start_waiting(&mut self) {
        while !self.waiting.is_empty()
            && !self.suspects.one_runs()
            && self.slots_taken() < self.config.concurrency
        {
            let Some(job) = self.next_waiting() else { break };
            self.run(job);
        }
        // A handler without a message may never end, and a crash costs it nothing.
        while self.running == 0
            && self.slots_taken() < self.config.concurrency
            && self.waiting.is_empty()
            && !self.replacing.any()
        {
            let Some(job) = self.suspects.start(&mut self.fx.rng) else { return };
            self.run(job);
        }
    }

    /// Takes the next message to start. While one is being replaced, no redelivered message may
    /// start.
    fn next_waiting(&mut self) -> Option<JobId> {
        let (is_replacing, jobs) = (self.replacing.any(), &self.jobs);
        let may_start = |job: &JobId| {
            !is_replacing || jobs.get(job).is_some_and(|held| !held.deliveries.is_redelivery)
        };
        let waiting = &mut self.waiting;
        let queue = self.poller.next_to_start(|queue| {
            waiting.get(queue).is_some_and(|jobs| jobs.iter().any(may_start))
        })?;
        let jobs = waiting.get_mut(&queue)?;
        let job = jobs.remove(jobs.iter().position(may_start)?);
        if jobs.is_empty() {
            waiting.remove(&queue);
        }
        job
    }

    pub(super) fn run(&mut self, job: JobId) {
        let now = self.fx.now;
        let Some(held) = self.jobs.get_mut(&job) else { return };
        if !held.lease.allows_start(now, self.fx.wall) {
            return self.release(job, Duration::ZERO, ReleaseReason::LeaseTooShort);
        }
        if held.deliveries.replace_before_start() {
            return self.replace_before_start(job);
        }
        let Some(scheduled) = &held.scheduled else { return };
        let deadline = scheduled.time_limit.map(|limit| now + limit);
        let ivy = scheduled.envelope.options.ivy();
        let (row, is_redelivery) = (held.row, held.deliveries.is_redelivery);
        let is_first = scheduled.attempt == 1 && !is_redelivery && scheduled.later() == 0;
        let due = ivy.and_then(|ivy| ivy.due).filter(|_| is_first);
        let waited_millis = due.and_then(|due| {
            let now = self.fx.plausible_unix_millis()?;
            Some(now.saturating_sub(due))
        });
        let waited = waited_millis.map(Duration::from_millis);
        let run = Run {
            job,
            task: scheduled.task.name.clone(),
            id: scheduled.task.id,
            queue: held.queue.clone(),
            message: held.lease.receipt().message.clone(),
            message_key: held.message_key,
            args: scheduled.envelope.args.clone(),
            attempt: scheduled.attempt,
            max_attempts: scheduled.max_attempts,
            deadline,
            trace: ivy.and_then(|ivy| ivy.trace.clone()),
            tracestate: ivy.and_then(|ivy| ivy.tracestate.clone()),
            relation: self.config.trace_relation.of_run(ivy, is_first),
            waited,
        };
        held.stage = Stage::Running { started_at: now, waited, overdue: None };
        self.fx.meter.started(row, waited_millis.map(|millis| millis.saturating_mul(1000)));
        self.running += 1;
        self.coalescing.began(now);
        if let Some(deadline) = deadline {
            self.fx.timers.set(Timer::TimeLimit(job), deadline);
        }
        self.fx.outputs.push_back(Output::Run(run));
        if planted(Bug::AckBeforeHandler) {
            self.delete_at_once(job);
        }
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum::<usize>() + self.suspects.waiting()
    }
}

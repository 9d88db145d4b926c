//! Messages that this worker cannot run: given back where another worker may know better, else
//! dead-lettered.

use std::time::Duration;

use crate::event::{Event, Part, ReleaseReason, Trouble};
use crate::id::JobId;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::retry::Backoff;
use crate::wire::DeadLetterReason;

use super::Worker;
use super::admission::{FaultOf, Refusal};
use super::io::Why;
use super::job::{PutAside, Scheduled, Settlement};
use super::poller::Rest;
use super::understanding::{Consequence, Doubt, REST};

/// After so many releases by this process a message is dead-lettered.
const MOST_RELEASES: u32 = 10;

impl Worker {
    /// A message that this worker cannot run.
    pub(super) fn refuse(&mut self, job: JobId, refusal: Refusal) {
        let Some(held) = self.jobs.get(&job) else { return };
        let queue = held.queue.clone();
        let message = held.lease.receipt().message.clone();
        let attempts = held.scheduled.as_ref().map_or(0, |task| task.attempt - 1);
        self.limit_failed_openings(&queue, refusal.reason);
        let consequence = self.doubt(job, &refusal);
        let released = self.releases.of(&queue, &message);
        // What nobody else could run either is given back only where there is too much of it to be
        // sure that not this worker is at fault.
        let may_wait = refusal.may_be_run_elsewhere()
            || consequence.longest_delay && refusal.fault == FaultOf::Worker;
        if consequence.kept || may_wait && released < most_releases(&refusal) {
            // The longer they stay away, the more of what lies behind them is seen.
            let round = if consequence.longest_delay { u32::MAX } else { released };
            if refusal.fault == FaultOf::Program {
                self.meet_another(&queue);
            }
            self.give_back_undecided(job, refusal, Backoff::UNDECIDED.ceiling(round));
        } else {
            let (reason, message) = (refusal.reason, refusal.message);
            let aside = PutAside { reason, message, attempts, bare: false };
            self.settle_as(job, Settlement::PutAside(aside));
        }
        self.step_back_if_due(&queue);
    }

    /// Gives back a message that another worker, or this one later, may be able to run.
    fn give_back_undecided(&mut self, job: JobId, refusal: Refusal, delay: Duration) {
        let reason = ReleaseReason::Undecided(refusal.reason);
        let detail = Some(refusal.message);
        self.settle_as(job, Settlement::Release { delay, reason, detail });
    }

    /// A handler took its arguments.
    pub(super) fn handled(&mut self, scheduled: &Scheduled) {
        let (task, queue) = (&scheduled.task.name, &scheduled.task.queue);
        let Some(served) = self.poller.queue(queue) else { return };
        let recovered = served.understanding.handled(task, self.fx.now);
        // There is work for this worker after all.
        if served.rests_for(Rest::Others) {
            served.wake();
            self.fx.timers.stop(&Why::Poll(queue.clone()));
        }
        if recovered {
            let part = Part::Task { task: task.clone(), queue: queue.clone() };
            self.fx.event(Event::Recovered { part });
        }
    }

    /// Why the message of this job is not to be tried now, if its task's name rests.
    pub(super) fn resting_misfit(&mut self, job: JobId) -> Option<Refusal> {
        let held = self.jobs.get(&job)?;
        let task = &held.scheduled.as_ref()?.task.name;
        let served = self.poller.queue(&held.queue)?;
        let misfit = served.understanding.resting_misfit(task, self.fx.now)?;
        Some(Refusal::misfit(misfit.to_owned()))
    }

    /// What the queue brought is for others. While the queue is left to them already, that is
    /// nothing new.
    fn meet_another(&mut self, queue: &QueueName) {
        if let Some(served) = self.poller.queue(queue).filter(|served| !served.rests()) {
            served.understanding.met_another(self.fx.now);
        }
    }

    /// Leaves the queue to others if what it brought is for them, and this worker has no work.
    pub(super) fn step_back_if_due(&mut self, queue: &QueueName) {
        let Some(served) = self.poller.queue(queue).filter(|served| !served.rests()) else {
            return;
        };
        let rest = served.understanding.steps_back(&mut self.fx.rng);
        if let Some(rest) = rest {
            self.rest_queue(queue, rest, Rest::Others);
        }
    }

    /// Counts a message that is not understood, and does what follows for its queue and its task.
    fn doubt(&mut self, job: JobId, refusal: &Refusal) -> Consequence {
        let Some(held) = self.jobs.get(&job) else { return Consequence::default() };
        let queue = held.queue.clone();
        let Some(served) = self.poller.queue(&queue) else { return Consequence::default() };
        let understanding = &mut served.understanding;
        let task = held.scheduled.as_ref().map(|scheduled| &scheduled.task.name);
        let doubt = match (refusal.fault, task) {
            (FaultOf::Message, _) => return Consequence::default(),
            (FaultOf::Program, Some(task)) => Doubt::Task { task, misfit: &refusal.message },
            (FaultOf::Program | FaultOf::Worker, _) => Doubt::Queue,
        };
        let message = &held.lease.receipt().message;
        let consequence = understanding.not_understood(message, doubt, self.fx.now);
        let unknown = task.filter(|_| refusal.reason == DeadLetterReason::UnknownTask);
        if let Some(task) = unknown.filter(|_| understanding.tells_of_sharing(self.fx.now)) {
            self.fx.event(Event::QueueShared { queue: queue.clone(), task: task.clone() });
        }
        if consequence.degraded {
            let (part, why) = match (refusal.fault, task) {
                (FaultOf::Program, Some(task)) => {
                    let part = Part::Task { task: task.clone(), queue: queue.clone() };
                    let detail = refusal.message.clone();
                    (part, Trouble::Task { reason: refusal.reason, detail })
                }
                _ => (Part::Messages(queue.clone()), Trouble::Messages(refusal.reason)),
            };
            self.fx.event(Event::Degraded { part, why });
        }
        if let Some(rest) = consequence.rest {
            self.rest_queue(&queue, rest, Rest::Trouble);
        }
        consequence
    }

    /// Lets the queue rest where more frames that nothing authenticates fail to open than honest
    /// peers send, unless honest ones are among them.
    fn limit_failed_openings(&mut self, queue: &QueueName, reason: DeadLetterReason) {
        let now = self.fx.now;
        if reason != DeadLetterReason::Undecryptable || !self.failed_openings.one_more(queue, now) {
            return;
        }
        self.fx.event(Event::OpeningsFailed { queue: queue.clone() });
        let served = self.poller.queue(queue);
        if served.is_some_and(|served| !served.understanding.understood_lately(now)) {
            self.rest_queue(queue, REST, Rest::Trouble);
        }
    }
}

/// How often such a message is given back before it is dead-lettered.
fn most_releases(refusal: &Refusal) -> u32 {
    if refusal.fault == FaultOf::Program && planted(Bug::DeadLetterAtFirstMisfit) {
        return 0;
    }
    MOST_RELEASES
}

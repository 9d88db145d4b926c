//! Handlers: how long they take and how they end.

use std::time::Duration;

use ivy_proto::event::{Event, TaskRef};
use ivy_proto::worker::{self, JobOutcome, Run};
use ivy_proto::{JobId, TaskId};

use crate::fault::{Fault, Opportunity};
use crate::host::{HandlerEnd, Job, ProcessInput};
use crate::state_coverage::WorkerState;
use crate::task::{Cause, Plan, ProcessId, Sender, args};
use crate::world::{Due, World};

impl World {
    /// A worker starts a handler.
    pub(crate) fn run_handler(&mut self, who: ProcessId, run: Run) {
        self.check_margin(who, &run);
        let Some(number) = self.checker.run(who, &run) else {
            return self
                .checker
                .broken("S2", || format!("{who:?} runs a task that was not scheduled"));
        };
        let broker_is_punctual = self.setup.broker_speed == 1_000 && !self.sessions.clock_was_set;
        self.checker.check_start(who, &run, self.now, broker_is_punctual);
        let task = &self.checker.tasks[number];
        if task.sender != Sender::OtherProgram && run.args.as_str() != args(number) {
            self.checker.broken("S13", || format!("task {number} runs with other arguments"));
        }
        let task = &self.checker.tasks[number];
        let mut job = Job {
            task: number,
            end: end_of(task.plan, &run),
            stops_when_cancelled: true,
            end_number: 0,
            is_cancelled: false,
            waits: false,
            interrupted: false,
        };
        let mut takes = Some(Duration::from_millis(task.takes));
        if task.is_newer && self.is_old(who.host) {
            (job.end, takes) = (HandlerEnd::BadArgs, Some(Duration::from_millis(1)));
        }
        if job.end != HandlerEnd::BadArgs && self.checker.postponements_of(&run) < task.postpones {
            job.end = HandlerEnd::Postponed;
        }
        if let Some(mut injected) = self.draw_fault(who.host, Opportunity::Handler) {
            let lease = self.setup.lease();
            self.checker.tasks[number].causes.add(Cause::Handler);
            match injected.fault {
                Fault::Panics => job.end = HandlerEnd::Panicked,
                Fault::NoThread => (takes, job.end) = (Some(Duration::ZERO), HandlerEnd::NotRun),
                Fault::Hangs => takes = None,
                Fault::Waits => {
                    let wait = Duration::from_millis(1 + injected.detail.up_to(60_000));
                    self.schedule(
                        Duration::ZERO,
                        Due::ProcessInput(who, ProcessInput::Waits(run.job)),
                    );
                    self.schedule(wait, Due::ProcessInput(who, ProcessInput::Resumes(run.job)));
                    takes = takes.map(|takes| takes + wait);
                }
                Fault::HangsForGood => (takes, job.stops_when_cancelled) = (None, false),
                Fault::Stubborn => {
                    takes = Some(Duration::from_millis(injected.detail.up_to(60_000)));
                    job.stops_when_cancelled = false;
                }
                Fault::Slow => {
                    takes = Some(lease.mul_f64(1.0 + injected.detail.up_to(300) as f64 / 100.0))
                }
                Fault::Aborts => job.end = HandlerEnd::Aborted,
                Fault::ReturnsHuge if job.end == HandlerEnd::Done => {
                    job.end = if injected.detail.up_to(1) == 0 {
                        HandlerEnd::Huge
                    } else {
                        HandlerEnd::TooDeep
                    };
                }
                Fault::CallsBack => self.schedule_from_handler(number),
                _ => {}
            }
        }
        if let Some(takes) = takes {
            self.schedule(
                takes,
                Due::ProcessInput(who, ProcessInput::JobEnds(run.job, job.end_number)),
            );
        }
        self.hosts[who.host].jobs.insert(run.job, job);
    }

    /// A handler ends. Its process may end with it.
    pub(crate) fn end_job(
        &mut self,
        who: ProcessId,
        job: JobId,
        end_number: u32,
    ) -> Option<(JobOutcome, bool)> {
        let jobs = &mut self.hosts[who.host].jobs;
        if jobs.get(&job).is_none_or(|job| job.end_number != end_number) {
            return None;
        }
        let ended = jobs.remove(&job)?;
        if ended.end == HandlerEnd::Aborted {
            self.crash(who.host);
            return None;
        }
        let outcome = ended.end.outcome(ended.task);
        // A handler that fails after its wait was ended has not failed by itself.
        let counts = !ended.interrupted || ended.is_cancelled;
        self.checker.ended(who, job, &outcome, counts, self.now);
        Some((outcome, ended.is_cancelled))
    }

    /// A handler is cancelled.
    pub(crate) fn stop_handler(&mut self, who: ProcessId, id: JobId) {
        let time = Duration::from_millis(1 + self.injector.variation(who.host).up_to(200));
        let Some(job) = self.hosts[who.host].jobs.get_mut(&id) else { return };
        job.is_cancelled = true;
        if job.stops_when_cancelled {
            job.end = HandlerEnd::Cancelled;
            job.end_number += 1;
            let number = job.end_number;
            self.schedule(time, Due::ProcessInput(who, ProcessInput::JobEnds(id, number)));
        }
    }

    /// A handler waits for the result of another task of this worker, or continues. Returns the
    /// input for its worker, if the handler has not ended.
    pub(crate) fn set_waiting(
        &mut self,
        who: ProcessId,
        id: JobId,
        waits: bool,
    ) -> Option<worker::Input> {
        let job = self.hosts[who.host].jobs.get_mut(&id)?;
        job.waits = waits;
        if !waits {
            return Some(worker::Input::Resumes(id));
        }
        let kind = self.kinds.first()?;
        let waits_for = TaskRef {
            id: TaskId::from_random([7; 16]),
            name: kind.name.clone(),
            queue: kind.settings.queue.clone(),
        };
        Some(worker::Input::Waits(id, waits_for))
    }

    /// A handler's wait is ended: it fails soon.
    pub(crate) fn interrupt_handler(&mut self, who: ProcessId, id: JobId) {
        if self.hosts[who.host].worker_state != WorkerState::Draining {
            self.checker.broken("S16", || format!("{who:?} ends a wait and does not drain"));
        }
        let time = Duration::from_millis(1 + self.injector.variation(who.host).up_to(200));
        let Some(job) = self.hosts[who.host].jobs.get_mut(&id) else { return };
        job.interrupted = true;
        if job.waits && job.end != HandlerEnd::Cancelled {
            job.end = HandlerEnd::Failed;
            job.end_number += 1;
            let number = job.end_number;
            self.schedule(time, Due::ProcessInput(who, ProcessInput::JobEnds(id, number)));
        }
    }

    /// If the worker reports that no slot is left, all handlers must wait.
    pub(crate) fn check_standstill(&mut self, who: ProcessId, event: &Event) {
        let host = &self.hosts[who.host];
        let runs = host.jobs.values().any(|job| !job.waits);
        if matches!(event, Event::SlotsWait { .. }) && runs && !host.has_outputs_left {
            self.checker.broken("S16", || format!("{who:?} has a handler that runs: {event}"));
        }
    }

    /// No handler starts on a lease that is about to end, as far as its worker can know.
    fn check_margin(&mut self, who: ProcessId, run: &Run) {
        let is_undisturbed = self.host(who).is_some_and(|host| host.is_undisturbed);
        if !is_undisturbed || self.setup.broker_speed != 1_000 || self.sessions.clock_was_set {
            return;
        }
        if let Some(lack) = self.checker.missing_margin(who, &run.message, self.broker_now()) {
            let message = &run.message;
            self.checker
                .broken("S6", || format!("{message} was started, and its margin lacked {lack:?}"));
        }
    }
}

fn end_of(plan: Plan, run: &Run) -> HandlerEnd {
    match plan {
        Plan::Succeeds => HandlerEnd::Done,
        Plan::FailsFirst(times) if run.attempt <= times => HandlerEnd::Failed,
        Plan::FailsFirst(_) => HandlerEnd::Done,
        Plan::Fails => HandlerEnd::Failed,
        Plan::FailsFatally => HandlerEnd::FailedFatally,
        Plan::BadArgs => HandlerEnd::BadArgs,
        Plan::Kills => HandlerEnd::Aborted,
    }
}

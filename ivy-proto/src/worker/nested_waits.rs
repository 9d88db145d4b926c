//! If every slot is taken by a handler that waits for a task of a queue this worker serves, nothing
//! progresses until a wait ends; the worker reports this while it lasts. A draining worker runs no
//! more tasks, so it ends the waits, and releases the messages of handlers that then fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::{Event, NestedWait, TaskRef};
use crate::id::JobId;
use crate::time::Moment;

use super::io::{Output, Timer};
use super::{Mode, Worker};

/// How long a standstill lasts before it is reported; other workers may run the awaited tasks.
const REPORT_AFTER: Duration = Duration::from_secs(5);
/// The shortest time between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How many waits a report names.
const MAX_NAMED: usize = 3;

/// The waits of the running handlers.
#[derive(Debug, Default)]
pub(super) struct NestedWaits {
    in_flight: BTreeMap<JobId, Wait>,
    /// Jobs whose waits were ended.
    interrupted: BTreeSet<JobId>,
    reported_at: Option<Moment>,
    is_watched: bool,
}

#[derive(Debug)]
struct Wait {
    waits_for: TaskRef,
    since: Moment,
}

impl NestedWaits {
    /// Forgets a handler that has ended. Returns whether its waits had been ended.
    pub(super) fn handler_ended(&mut self, job: JobId) -> bool {
        self.in_flight.remove(&job);
        self.interrupted.remove(&job)
    }
}

impl Worker {
    pub(super) fn begin_wait(&mut self, job: JobId, waits_for: TaskRef) {
        // A task that the handler spawned may wait longer than the handler runs.
        if !self.has_running(job) {
            return;
        }
        let since = self.nested_waits.in_flight.get(&job).map_or(self.fx.now, |wait| wait.since);
        self.nested_waits.in_flight.insert(job, Wait { waits_for, since });
        if self.is_draining() {
            self.interrupt(job);
        }
    }

    pub(super) fn end_wait(&mut self, job: JobId) {
        self.nested_waits.in_flight.remove(&job);
    }

    /// Ends the waits of all handlers, because the worker drains.
    pub(super) fn interrupt_waits(&mut self) {
        for job in self.nested_waits.in_flight.keys().copied().collect::<Vec<_>>() {
            self.interrupt(job);
        }
    }

    fn interrupt(&mut self, job: JobId) {
        if self.nested_waits.interrupted.insert(job) {
            self.fx.outputs.push_back(Output::Interrupt(job));
        }
    }

    /// Starts or stops the timer that reports a standstill.
    pub(super) fn watch_for_standstill(&mut self) {
        let report_at = self.standstill_since().map(|since| {
            let earliest = self.nested_waits.reported_at.map(|reported| reported + REPORT_EVERY);
            earliest.unwrap_or_default().max(since + REPORT_AFTER)
        });
        match report_at {
            // An overdue report is set once, so that later inputs do not postpone it.
            Some(at) if at > self.fx.now || self.fx.timers.at(&Timer::Standstill).is_none() => {
                self.fx.set_timer(Timer::Standstill, at.since(self.fx.now));
            }
            Some(_) => {}
            None if self.nested_waits.is_watched => self.fx.timers.stop(&Timer::Standstill),
            None => {}
        }
        self.nested_waits.is_watched = report_at.is_some();
    }

    /// Since when every slot has been taken by a handler that waits for a task of a queue this
    /// worker serves, if that is the case.
    fn standstill_since(&self) -> Option<Moment> {
        let waits = &self.nested_waits.in_flight;
        let taken = self.running + self.without_lease.len();
        // A suspect runs alone.
        let is_full = taken >= self.config.concurrency || self.suspects.one_runs();
        if waits.is_empty() || waits.len() < taken || !is_full || self.mode != Mode::Running {
            return None;
        }
        let is_served = |wait: &Wait| self.poller.names().any(|name| *name == wait.waits_for.queue);
        if !waits.values().all(is_served) {
            return None;
        }
        waits.values().map(|wait| wait.since).max()
    }

    pub(super) fn report_standstill(&mut self) {
        let Some(since) = self.standstill_since() else { return };
        self.nested_waits.reported_at = Some(self.fx.now);
        let named = self.nested_waits.in_flight.iter().filter_map(|(job, wait)| {
            let task = match self.without_lease.get(job) {
                Some(job) => job.task.clone(),
                None => self.jobs.get(job)?.scheduled.as_ref()?.task.clone(),
            };
            Some(NestedWait { task, waits_for: wait.waits_for.clone() })
        });
        let waits = named.take(MAX_NAMED).collect();
        let (slots, lasting) = (self.nested_waits.in_flight.len(), self.fx.now.since(since));
        self.fx.event(Event::SlotsWait { slots, waits, lasting });
    }
}

//! Handlers that wait for the results of other tasks.
//!
//! Where every slot of a worker is taken by a handler that waits for a task which the worker would run
//! itself, nothing moves until a wait ends: that is reported while it lasts. When the worker drains, it
//! runs no more tasks, so each wait is ended, and a handler that fails then is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::{Event, NestedWait, TaskRef};
use crate::id::JobId;
use crate::time::Moment;

use super::io::{Output, Timer};
use super::{Mode, Worker};

/// How long a standstill lasts before it is reported: other workers may run what is waited for.
const REPORT_AFTER: Duration = Duration::from_secs(5);
/// How long until it may be reported again.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How many of the waits are named.
const MOST_NAMED: usize = 3;

/// What handlers wait for.
#[derive(Debug, Default)]
pub(super) struct NestedWaits {
    in_flight: BTreeMap<JobId, Wait>,
    /// Those whose waits were ended.
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
    /// A handler has ended. Says whether its waits were ended before.
    pub(super) fn handler_ended(&mut self, job: JobId) -> bool {
        self.in_flight.remove(&job);
        self.interrupted.remove(&job)
    }
}

impl Worker {
    /// A handler waits for the result of a task.
    pub(super) fn begin_wait(&mut self, job: JobId, waits_for: TaskRef) {
        // What a handler has started elsewhere may wait for longer than the handler runs.
        if !self.has_running(job) {
            return;
        }
        let since = self.waits.in_flight.get(&job).map_or(self.fx.now, |wait| wait.since);
        self.waits.in_flight.insert(job, Wait { waits_for, since });
        if self.is_draining() {
            self.interrupt(job);
        }
    }

    /// A handler waits no longer.
    pub(super) fn end_wait(&mut self, job: JobId) {
        self.waits.in_flight.remove(&job);
    }

    /// The worker drains: ends the waits of its handlers.
    pub(super) fn interrupt_waits(&mut self) {
        for job in self.waits.in_flight.keys().copied().collect::<Vec<_>>() {
            self.interrupt(job);
        }
    }

    fn interrupt(&mut self, job: JobId) {
        if self.waits.interrupted.insert(job) {
            self.fx.outputs.push_back(Output::Interrupt(job));
        }
    }

    /// Sees to it that a standstill is reported in time.
    pub(super) fn watch_for_standstill(&mut self) {
        let report_at = self.standstill_since().map(|since| {
            let earliest = self.waits.reported_at.map(|reported| reported + REPORT_EVERY);
            earliest.unwrap_or_default().max(since + REPORT_AFTER)
        });
        match report_at {
            // What is overdue is set once, so that inputs that follow do not put it off.
            Some(at) if at > self.fx.now || self.fx.timers.at(&Timer::Standstill).is_none() => {
                self.fx.set_timer(Timer::Standstill, at.since(self.fx.now));
            }
            Some(_) => {}
            None if self.waits.is_watched => self.fx.timers.stop(&Timer::Standstill),
            None => {}
        }
        self.waits.is_watched = report_at.is_some();
    }

    /// Since when every slot has been taken by a handler that waits for a task of a queue which this
    /// worker serves, if that is so.
    fn standstill_since(&self) -> Option<Moment> {
        let waits = &self.waits.in_flight;
        let taken = self.running + self.orphans.len();
        // One that is suspected of killing workers runs alone.
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

    /// A standstill has lasted for long.
    pub(super) fn report_standstill(&mut self) {
        let Some(since) = self.standstill_since() else { return };
        self.waits.reported_at = Some(self.fx.now);
        let named = self.waits.in_flight.iter().filter_map(|(job, wait)| {
            let task = match self.orphans.get(job) {
                Some(orphan) => orphan.task.clone(),
                None => self.jobs.get(job)?.scheduled.as_ref()?.task.clone(),
            };
            Some(NestedWait { task, waits_for: wait.waits_for.clone() })
        });
        let waits = named.take(MOST_NAMED).collect();
        let (slots, lasting) = (self.waits.in_flight.len(), self.fx.now.since(since));
        self.fx.event(Event::SlotsWait { slots, waits, lasting });
    }
}

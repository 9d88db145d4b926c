//! Notices on their way out: best effort, bounded, and never in the way of a message.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Event, NoticeDropReason, Part, TaskRef, Trouble};
use crate::id::OpId;
use crate::notify::{NotifyFault, Publication};
use crate::retry::Backoff;
use crate::table::Table;
use crate::time::Moment;

use super::effects::Effects;
use super::io::Why;

/// The most notices that wait or are under way; beyond it the oldest waiting one is dropped.
const MOST_WAITING: usize = 1000;
/// How long a notice is kept for a notifier that cannot be reached.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// After so many failures in a row the notifier counts as degraded.
const DEGRADED_AFTER: u32 = 3;

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) task: TaskRef,
    /// Whether it tells of a success.
    pub(super) succeeded: bool,
    pub(super) publication: Publication,
}

#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: VecDeque<(Outgoing, Moment)>,
    under_way: Table<OpId, (Outgoing, Moment)>,
    paused: bool,
    failures: u32,
    /// Whether the notifier failed, and is left alone until a timer ends.
    resting: bool,
    /// Whether it was told that there is no notifier.
    told_missing: bool,
}

impl Notices {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    pub(super) fn send(&mut self, notice: Outgoing, fx: &mut Effects) {
        if self.waiting.len() + self.under_way.len() >= MOST_WAITING {
            match self.waiting.pop_front() {
                Some((oldest, _)) => dropped(oldest, NoticeDropReason::Overflow, fx),
                None => return dropped(notice, NoticeDropReason::Overflow, fx),
            }
        }
        self.waiting.push_back((notice, fx.now));
        self.flush(fx);
    }

    /// A caller waits for a notice, and there is no notifier.
    pub(super) fn miss(&mut self, task: TaskRef, fx: &mut Effects) {
        fx.event(Event::NoticeDropped { task, reason: NoticeDropReason::NoNotifier });
        if !std::mem::replace(&mut self.told_missing, true) {
            fx.event(Event::Degraded { part: Part::Notifier, why: Trouble::NoNotifier });
        }
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn resume(&mut self, fx: &mut Effects) {
        self.paused = false;
        self.flush(fx);
    }

    /// The time to leave the notifier alone is over.
    pub(super) fn rested(&mut self, fx: &mut Effects) {
        self.resting = false;
        self.flush(fx);
    }

    pub(super) fn is_under_way(&self, op: OpId) -> bool {
        self.under_way.contains(&op)
    }

    /// A publication has ended.
    pub(super) fn published(
        &mut self,
        op: OpId,
        answer: Result<u64, NotifyFault>,
        fx: &mut Effects,
    ) {
        let Some((notice, since)) = self.under_way.remove(&op) else { return };
        match answer {
            Ok(receivers) => {
                if std::mem::take(&mut self.failures) >= DEGRADED_AFTER {
                    fx.event(Event::Recovered { part: Part::Notifier });
                }
                let Outgoing { task, succeeded, .. } = notice;
                fx.event(Event::ResultSent { task, succeeded, receivers });
            }
            Err(fault) => {
                self.failed(notice, since, &fault, fx);
                fx.event(Event::NotifierError { fault });
            }
        }
    }

    /// The worker drains: what waits is tried once more, now, or dropped.
    pub(super) fn drain(&mut self, fx: &mut Effects) {
        self.paused = false;
        fx.timers.stop(&Why::Publish);
        self.rested(fx);
    }

    /// The time for draining is over. What is under way may still be answered.
    pub(super) fn give_up(&mut self, fx: &mut Effects) {
        fx.timers.stop(&Why::Publish);
        for (notice, _) in std::mem::take(&mut self.waiting) {
            dropped(notice, NoticeDropReason::NotifierFailed, fx);
        }
    }

    fn failed(&mut self, notice: Outgoing, since: Moment, fault: &NotifyFault, fx: &mut Effects) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == DEGRADED_AFTER {
            let why = Trouble::Notifier(fault.clone());
            fx.event(Event::Degraded { part: Part::Notifier, why });
        }
        // What may have been published is not published twice.
        if fault.surely_not_published() && fx.now.since(since) < KEPT_FOR {
            self.waiting.push_front((notice, since));
        } else {
            dropped(notice, NoticeDropReason::NotifierFailed, fx);
        }
        if !self.resting {
            self.resting = true;
            let delay = Backoff::NOTIFIER.delay(self.failures - 1, &mut fx.rng);
            fx.set_timer(Why::Publish, delay);
        }
    }

    fn flush(&mut self, fx: &mut Effects) {
        while !self.paused && !self.resting {
            let Some((notice, since)) = self.waiting.pop_front() else { return };
            let op = fx.publish(notice.publication.clone());
            self.under_way.insert(op, (notice, since));
        }
    }
}

fn dropped(notice: Outgoing, reason: NoticeDropReason, fx: &mut Effects) {
    fx.event(Event::NoticeDropped { task: notice.task, reason });
}

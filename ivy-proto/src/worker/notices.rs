//! Publishes notices: best effort, bounded, and never delaying the settlement of a message.
//!
//! A notifier that works but is slower than the handlers limits how many messages are reserved, so that
//! no result is lost. One that fails, or does not reply, does not: the oldest notices are then dropped.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{DegradedReason, Event, NoticeDropReason, Part, TaskRef};
use crate::hash_map::SortedHashMap;
use crate::id::OpId;
use crate::metrics::{NoticeOutcome, RequestKind, RequestOutcome};
use crate::notify::{NotifyFault, Publication};
use crate::planted::{Bug, planted};
use crate::retry::Backoff;
use crate::time::Moment;

use super::effects::Effects;
use super::io::Timer;

/// The maximum number of notices that wait or are in flight, or twice the concurrency if that is more;
/// beyond it the oldest waiting one is dropped.
const MAX_NOTICES: usize = 1000;
/// How long after its last reply a notifier counts as working.
const WORKS_FOR: Duration = Duration::from_secs(5);
/// How long a notice is retained while the notifier is unreachable.
const RETRIED_FOR: Duration = Duration::from_secs(60);
/// The notifier counts as degraded after this many consecutive failures.
const DEGRADED_AFTER: u32 = 3;

/// What a notice reports about its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoticeKind {
    Success,
    Failure,
    /// The message was released; its caller continues to wait, with or without the notice.
    Released,
}

#[derive(Debug)]
pub(super) struct OutgoingNotice {
    pub(super) task: TaskRef,
    pub(super) kind: NoticeKind,
    pub(super) publication: Publication,
}

impl OutgoingNotice {
    fn size(&self) -> usize {
        self.publication.payload.as_str().len()
    }
}

/// The notices that wait or are in flight. At most half of the limits, in number and in bytes, is
/// in flight at a time, so that a notifier that does not reply leaves the other half to the newest
/// notices.
#[derive(Debug)]
pub(super) struct Notices {
    /// The maximum number that waits or is in flight.
    max_count: usize,
    /// The maximum number of bytes that wait or are in flight.
    max_bytes: usize,
    waiting: VecDeque<(OutgoingNotice, Moment)>,
    waiting_bytes: usize,
    in_flight: SortedHashMap<OpId, PublishedNotice>,
    in_flight_bytes: usize,
    /// When the notifier last replied, or was first given something to publish since.
    progress_at: Moment,
    /// The driver has paused publications: see [`Input::PauseNotifier`](super::Input::PauseNotifier).
    paused_by_driver: bool,
    failures: u32,
    /// Whether the notifier failed and publications wait until a timer ends.
    is_backing_off: bool,
    /// Whether the missing notifier was reported.
    reported_missing: bool,
}

/// A notice in flight.
#[derive(Debug)]
struct PublishedNotice {
    notice: OutgoingNotice,
    written_at: Moment,
    published_at: Moment,
}

impl Notices {
    /// `max_bytes` bounds the notices that wait or are in flight, of a worker that runs up to
    /// `concurrency` handlers.
    pub(super) fn new(max_bytes: usize, concurrency: usize) -> Self {
        Notices {
            max_count: concurrency.saturating_mul(2).max(MAX_NOTICES),
            max_bytes,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: SortedHashMap::new(),
            in_flight_bytes: 0,
            progress_at: Moment::EPOCH,
            paused_by_driver: false,
            failures: 0,
            is_backing_off: false,
            reported_missing: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// The bytes of all notices that wait or are in flight.
    pub(super) fn bytes(&self) -> usize {
        self.waiting_bytes + self.in_flight_bytes
    }

    /// How many messages may be held, running ones included, so that the notices of all have room. If it
    /// is limited, a notifier that stops to reply limits it until the returned moment.
    pub(super) fn room(&self, now: Moment) -> Option<(usize, Moment)> {
        let until = self.progress_at + WORKS_FOR;
        let works = self.failures == 0 && !self.paused_by_driver && now < until;
        if !works || self.is_idle() {
            return None;
        }
        // Each queue may return a message more, for the next free slot.
        let limit = self.max_count / 4 * 3;
        let count = self.waiting.len() + self.in_flight.len();
        let room = if self.bytes() < self.max_bytes / 2 { limit.saturating_sub(count) } else { 0 };
        Some((room, until))
    }

    pub(super) fn send(&mut self, notice: OutgoingNotice, fx: &mut Effects) {
        // This kind ends no wait, so it displaces no other notice.
        if notice.kind == NoticeKind::Released && !self.has_room(notice.size()) {
            return dropped(notice, NoticeDropReason::Overflow, fx);
        }
        while !self.has_room(notice.size())
            && let Some((oldest, _)) = self.take_first()
        {
            dropped(oldest, NoticeDropReason::Overflow, fx);
        }
        self.waiting_bytes += notice.size();
        self.waiting.push_back((notice, fx.now));
        self.flush(fx);
    }

    /// Reports that a caller waits for a notice although there is no notifier.
    pub(super) fn report_no_notifier(&mut self, task: TaskRef, fx: &mut Effects) {
        report_dropped(task, NoticeDropReason::NoNotifier, fx);
        if !std::mem::replace(&mut self.reported_missing, true) {
            fx.report_degraded(Part::Notifier, DegradedReason::NoNotifier);
        }
    }

    pub(super) fn pause(&mut self) {
        self.paused_by_driver = true;
    }

    pub(super) fn resume(&mut self, fx: &mut Effects) {
        self.paused_by_driver = false;
        self.flush(fx);
    }

    pub(super) fn on_backoff_ended(&mut self, fx: &mut Effects) {
        self.is_backing_off = false;
        self.flush(fx);
    }

    pub(super) fn is_in_flight(&self, op: OpId) -> bool {
        self.in_flight.contains(&op)
    }

    /// Handles the result of a publication.
    pub(super) fn published(
        &mut self,
        op: OpId,
        result: Result<u64, NotifyFault>,
        fx: &mut Effects,
    ) {
        let Some(published) = self.in_flight.remove(&op) else { return };
        let PublishedNotice { notice, written_at, published_at } = published;
        let outcome = RequestOutcome::of_notifier(&result);
        fx.requests.ended(RequestKind::Publish, outcome, fx.now.micros_since(published_at));
        self.in_flight_bytes -= notice.size();
        match result {
            Ok(receivers) => {
                self.progress_at = fx.now;
                if std::mem::take(&mut self.failures) >= DEGRADED_AFTER {
                    fx.report_recovered(Part::Notifier);
                }
                fx.meter.notice(match receivers {
                    0 => NoticeOutcome::Unheard,
                    _ => NoticeOutcome::Heard,
                });
                let OutgoingNotice { task, kind, .. } = notice;
                fx.event(match kind {
                    NoticeKind::Released => Event::ReleaseNoticeSent { task, receivers },
                    NoticeKind::Success | NoticeKind::Failure => {
                        let succeeded = kind == NoticeKind::Success;
                        Event::ResultSent { task, succeeded, receivers }
                    }
                });
            }
            Err(fault) => {
                self.failed(notice, written_at, &fault, fx);
                fx.event(Event::NotifierError { fault });
            }
        }
        self.flush(fx);
    }

    /// The worker drains: waiting notices are tried once more immediately, or dropped.
    pub(super) fn drain(&mut self, fx: &mut Effects) {
        self.paused_by_driver = false;
        fx.timers.stop(&Timer::Publish);
        self.on_backoff_ended(fx);
    }

    /// The drain limit has passed. Publications in flight may still end.
    pub(super) fn drop_waiting(&mut self, fx: &mut Effects) {
        fx.timers.stop(&Timer::Publish);
        while let Some((notice, _)) = self.take_first() {
            dropped(notice, NoticeDropReason::NotifierFailed, fx);
        }
    }

    fn failed(
        &mut self,
        notice: OutgoingNotice,
        written_at: Moment,
        fault: &NotifyFault,
        fx: &mut Effects,
    ) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == DEGRADED_AFTER {
            let why = DegradedReason::Notifier(fault.clone());
            fx.report_degraded(Part::Notifier, why);
        }
        // A notice that may have been published is not published twice.
        if fault.surely_not_published() && fx.now.since(written_at) < RETRIED_FOR {
            self.waiting_bytes += notice.size();
            self.waiting.push_front((notice, written_at));
        } else {
            dropped(notice, NoticeDropReason::NotifierFailed, fx);
        }
        if !self.is_backing_off {
            self.is_backing_off = true;
            let delay = Backoff::NOTIFIER.delay(self.failures - 1, &mut fx.rng);
            fx.set_timer(Timer::Publish, delay);
        }
    }

    fn flush(&mut self, fx: &mut Effects) {
        while !self.paused_by_driver && !self.is_backing_off && self.may_publish_next() {
            let Some((notice, written_at)) = self.take_first() else { return };
            if self.in_flight.is_empty() {
                self.progress_at = fx.now;
            }
            let op = fx.publish(notice.publication.clone());
            self.in_flight_bytes += notice.size();
            self.in_flight.insert(op, PublishedNotice { notice, written_at, published_at: fx.now });
        }
    }

    fn may_publish_next(&self) -> bool {
        let next = self.waiting.front().map_or(0, |(notice, _)| notice.size());
        planted(Bug::UnboundedNoticeBytes)
            || self.in_flight.is_empty()
            || (self.in_flight.len() < self.max_count / 2
                && self.in_flight_bytes + next <= self.max_bytes / 2)
    }

    fn has_room(&self, size: usize) -> bool {
        let fits = self.bytes() + size <= self.max_bytes || planted(Bug::UnboundedNoticeBytes);
        fits && self.waiting.len() + self.in_flight.len() < self.max_count
    }

    fn take_first(&mut self) -> Option<(OutgoingNotice, Moment)> {
        let first = self.waiting.pop_front()?;
        self.waiting_bytes -= first.0.size();
        Some(first)
    }
}

fn dropped(notice: OutgoingNotice, reason: NoticeDropReason, fx: &mut Effects) {
    report_dropped(notice.task, reason, fx);
}

/// Reports a notice that is not published.
pub(super) fn report_dropped(task: TaskRef, reason: NoticeDropReason, fx: &mut Effects) {
    fx.meter.notice(NoticeOutcome::Dropped);
    fx.event(Event::NoticeDropped { task, reason });
}

#[cfg(test)]
mod tests;

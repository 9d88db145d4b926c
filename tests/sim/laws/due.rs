//! When a message's attempt may start, as its options state it, and how often its task was
//! requeued.

use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::queue::{Body, NewMessage};
use ivy_proto::wire::IvyOptions;
use ivy_proto::worker::Run;

use super::LawChecker;
use crate::setup::UNIX_AT_START;
use crate::task::{AttemptInfo, ProcessId};

/// How far a machine's clock and its wall clock may differ before the machine is informed, and what
/// is lost because times are truncated to milliseconds.
const CLOCKS_APART: u64 = 102;
/// How much sooner than its delay a message may be delivered: queues count in seconds.
const EARLY: u64 = 1_000;

impl LawChecker {
    /// The options of a message about its attempt. A message that cannot be parsed has those of a
    /// first attempt.
    pub(super) fn attempt_info_of(&self, body: &Body) -> AttemptInfo {
        let opened = self.queues.iter().find_map(|queue| self.codec.open(body, queue).ok());
        let ivy = opened.as_ref().and_then(|envelope| envelope.options.ivy());
        let count = |count: fn(&IvyOptions) -> u32| ivy.map_or(0, count);
        AttemptInfo {
            attempt: ivy.map_or(1, |ivy| ivy.attempt),
            due: ivy.and_then(|ivy| ivy.due),
            lost: count(|ivy| ivy.lost),
            later: count(|ivy| ivy.later),
            requeued: count(|ivy| ivy.requeued),
        }
    }

    /// The task of a message that a process posts, and the earliest time at which the process may
    /// have written it: the call, or the start of the handler whose attempt it follows.
    pub(crate) fn written_since(
        &self,
        who: ProcessId,
        body: &Body,
    ) -> Option<(usize, Option<Moment>)> {
        let number = self.task_of(body.as_str())?;
        let since = match self.workers.contains(&who.host) {
            true => self.handler_started_at.get(&(who, number)).copied(),
            false => self.tasks[number].called,
        };
        Some((number, since))
    }

    /// A process posts a message that it wrote at or after the given time, which comes with whether
    /// the clock of the process has been correct since.
    pub(crate) fn check_due(
        &mut self,
        who: ProcessId,
        number: usize,
        message: &NewMessage,
        since: Option<(Moment, bool)>,
        now: Moment,
    ) {
        let attempt_info = self.attempt_info_of(&message.body);
        let task = &self.tasks[number];
        if !task.keeps_requeued(attempt_info) {
            self.broken("S17", || format!("task {number} was requeued: {attempt_info:?}"));
        }
        let task = &self.tasks[number];
        // The same message again, or its copy.
        if task.has_recorded(attempt_info) {
            return;
        }
        let may_differ = match self.workers.contains(&who.host) {
            true => {
                self.check_succession(number, attempt_info)
                    || attempt_info.attempt > 1 && attempt_info.lost == 0
            }
            false => task.has_recorded_nothing(),
        };
        let Some((since, is_right)) = since.filter(|_| may_differ) else {
            return self.broken("S17", || {
                format!("task {number} was due at another time: {attempt_info:?}")
            });
        };
        let delay = message.delay;
        let expected = unix_millis(since + delay).saturating_sub(CLOCKS_APART)
            ..=unix_millis(now + delay) + CLOCKS_APART;
        if is_right && attempt_info.due.is_none_or(|due| !expected.contains(&due)) {
            self.broken("S17", || {
                format!("task {number}: {attempt_info:?}, expected {expected:?}")
            });
        }
        self.tasks[number].record(attempt_info, is_right);
    }

    /// A handler starts. If the broker's clock is as fast as the poster's, and the poster's was
    /// correct, it does not start before it is due.
    pub(crate) fn check_start(
        &mut self,
        who: ProcessId,
        run: &Run,
        now: Moment,
        broker_is_punctual: bool,
    ) {
        let message = self.ids.index_of(&run.message).and_then(|at| self.messages.get(at));
        let Some((attempt_info, number)) = message.and_then(|m| Some((m.attempt_info, m.task?)))
        else {
            return;
        };
        self.handler_started_at.insert((who, number), now);
        let is_right =
            broker_is_punctual && self.tasks[number].was_recorded_by_correct_clock(attempt_info);
        let latest = unix_millis(now) + CLOCKS_APART + EARLY;
        if attempt_info.due.is_some_and(|due| is_right && due > latest) {
            self.broken("S17", || {
                format!("task {number} starts at {latest} at the latest: {attempt_info:?}")
            });
        }
    }
}

fn unix_millis(moment: Moment) -> u64 {
    let unix: Duration = UNIX_AT_START + moment.since(Moment::EPOCH);
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

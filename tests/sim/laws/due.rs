//! When a message says that its attempt may start, and how often its task was put off and put back.

use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::queue::{Body, NewMessage};
use ivy_proto::wire::IvyOptions;
use ivy_proto::worker::Run;

use super::{LawChecker, index};
use crate::setup::UNIX_AT_START;
use crate::task::{AttemptInfo, ProcessId};

/// How far the clock of a machine and the one on its wall may be apart before the machine is told,
/// and what is lost where times are cut to milliseconds.
const CLOCKS_APART: u64 = 102;
/// How much sooner than its delay says a message may be delivered: queues count in seconds.
const EARLY: u64 = 1_000;

impl LawChecker {
    /// What a message says. One that cannot be read asks for a first attempt.
    pub(super) fn said_by(&self, body: &Body) -> AttemptInfo {
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

    /// The task of a message that a process posts, and since when the process may have written it: the
    /// call, or the start of the handler whose attempt it follows.
    pub(crate) fn written_since(
        &self,
        who: ProcessId,
        body: &Body,
    ) -> Option<(usize, Option<Moment>)> {
        let number = self.task_of(body.as_str())?;
        let since = match self.workers.contains(&who.host) {
            true => self.began.get(&(who, number)).copied(),
            false => self.tasks[number].called,
        };
        Some((number, since))
    }

    /// A process posts a message, which it has written at some time since the given one. With that comes
    /// whether the clock of the process has been right all the time.
    pub(crate) fn check_due(
        &mut self,
        who: ProcessId,
        number: usize,
        message: &NewMessage,
        since: Option<(Moment, bool)>,
        now: Moment,
    ) {
        let says = self.said_by(&message.body);
        let task = &self.tasks[number];
        if !task.keeps_counts(says) {
            self.broken("S17", || format!("task {number} was put off or put back: {says:?}"));
        }
        let task = &self.tasks[number];
        // The same message again, or a copy in its place.
        if task.has_recorded(says) {
            return;
        }
        let may_differ = match self.workers.contains(&who.host) {
            true => says.attempt > 1 && says.lost == 0,
            false => task.has_recorded_nothing(),
        };
        let Some((since, is_right)) = since.filter(|_| may_differ) else {
            return self
                .broken("S17", || format!("task {number} was due at another time: {says:?}"));
        };
        let delay = message.delay;
        let expected = unix_millis(since + delay).saturating_sub(CLOCKS_APART)
            ..=unix_millis(now + delay) + CLOCKS_APART;
        if is_right && says.due.is_none_or(|due| !expected.contains(&due)) {
            self.broken("S17", || format!("task {number}: {says:?}, expected {expected:?}"));
        }
        self.tasks[number].record(says, is_right);
    }

    /// A handler starts. Where the broker's clock is as fast as that of who posted the message, and that
    /// one was right, it does not start before it is due.
    pub(crate) fn begins(
        &mut self,
        who: ProcessId,
        run: &Run,
        now: Moment,
        broker_is_punctual: bool,
    ) {
        let message = index(&run.message).and_then(|at| self.messages.get(at));
        let Some((says, number)) = message.and_then(|m| Some((m.says, m.task?))) else { return };
        self.began.insert((who, number), now);
        let is_right = broker_is_punctual && self.tasks[number].has_recorded_rightly(says);
        let latest = unix_millis(now) + CLOCKS_APART + EARLY;
        if says.due.is_some_and(|due| is_right && due > latest) {
            self.broken("S17", || {
                format!("task {number} starts at {latest} at the latest: {says:?}")
            });
        }
    }
}

fn unix_millis(moment: Moment) -> u64 {
    let unix: Duration = UNIX_AT_START + moment.since(Moment::EPOCH);
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

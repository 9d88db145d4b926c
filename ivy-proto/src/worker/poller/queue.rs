//! The state of one polled queue.

use std::time::Duration;

use crate::queue::FaultKind;
use crate::retry::Backoff;
use crate::rng::Rng;
use crate::time::Moment;
use crate::worker::config::ServedQueue;
use crate::worker::unprocessable::UnprocessableMessages;

/// The maximum number of polls in flight for one queue.
const POLLS_IN_FLIGHT: usize = 8;
/// The stride of weight 1. All small weights divide it.
const STRIDE_OF_WEIGHT_1: u64 = 720_720 << 20;
/// The first and the longest pause between two polls, if the backend does not support long polls.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(100), 2, Duration::from_secs(5));
/// The pause after a reply whose entries all cannot be handled. Messages behind them are soon
/// reached, and a server that returns only such entries is not polled without any pause.
const PAUSE_AFTER_UNUSABLE: Duration = Duration::from_millis(1);
/// A poll that takes no longer is unlikely to have waited for a message.
const IMMEDIATE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::worker) struct Queue {
    pub(super) served: ServedQueue,
    /// Whether the backend supports long polls.
    can_wait: bool,
    /// The count that each poll in flight requested.
    pub(super) requested: Vec<usize>,
    activity: Activity,
    /// The sum of the strides of its started messages: among equally urgent queues, the one with
    /// the least progress is next.
    pub(super) progress: u64,
    pub(super) paused: Option<PauseReason>,
    /// It was missing and created, and no reserve has succeeded since.
    was_created: bool,
    pub(super) failures: u32,
    /// When it last answered a request.
    pub(in crate::worker) answered_at: Option<Moment>,
    /// Why its last request failed, if it did.
    pub(in crate::worker) trouble: Option<FaultKind>,
    /// The earliest time for the next repetition of a failed request.
    pub(super) not_before: Moment,
    pub(in crate::worker) unprocessable: UnprocessableMessages,
}

/// The result of a queue's last reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Empty, and so were this many polls before it.
    Idle(u32),
    Busy,
    /// As many messages as requested, so there may be more.
    Full,
}

/// Why a queue is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) enum PauseReason {
    /// It was empty.
    Empty,
    /// Its messages are for other workers, which are to be served first.
    OtherWorkersFirst,
    /// It failed, or returned messages that this worker cannot process.
    Failing,
}

impl Queue {
    pub(super) fn new(served: ServedQueue, can_wait: bool) -> Self {
        Queue {
            served,
            can_wait,
            requested: Vec::new(),
            activity: Activity::Idle(0),
            progress: 0,
            paused: None,
            was_created: false,
            failures: 0,
            answered_at: None,
            trouble: None,
            not_before: Moment::EPOCH,
            unprocessable: UnprocessableMessages::default(),
        }
    }

    /// The sort key among all queues: most urgent first, or least urgent if `lowest_first`; among
    /// equally urgent queues, the one with the least progress first.
    pub(super) fn rank(&self, lowest_first: bool) -> (i16, u64) {
        let priority = i16::from(self.served.priority.number());
        (if lowest_first { priority } else { -priority }, self.progress)
    }

    /// The progress of one start, inversely proportional to the weight.
    pub(super) fn stride(&self) -> u64 {
        STRIDE_OF_WEIGHT_1 / u64::from(self.served.weight.max(1))
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.activity, Activity::Idle(_))
    }

    pub(in crate::worker) fn is_full(&self) -> bool {
        self.activity == Activity::Full
    }

    pub(super) fn may_wait(&self) -> bool {
        !self.unprocessable.polls_without_waiting()
    }

    /// Whether it is likely to have messages.
    pub(super) fn is_busy(&self) -> bool {
        !self.is_idle() && self.paused.is_none()
    }

    /// Whether it may be polled for a share of this many free slots.
    pub(super) fn wants_any(&self, free: usize) -> bool {
        self.requested.is_empty() || free > 0 && self.takes_more_polls()
    }

    /// Several polls at a time are useful only if the last one was not enough.
    fn takes_more_polls(&self) -> bool {
        self.is_full() && self.requested.len() < POLLS_IN_FLIGHT
    }

    /// How many messages to request; 0 if the queue is not to be polled.
    pub(super) fn share(&self, free: usize, (weight, all): (u32, u32), alone: bool) -> usize {
        let share = (free as u64 * u64::from(weight)).div_ceil(u64::from(all.max(1)));
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        match (self.requested.len(), self.activity) {
            (0, Activity::Idle(_)) if !alone => 1,
            (0, _) => share.max(1),
            _ if self.takes_more_polls() => share,
            _ => 0,
        }
    }

    /// Records a reply: `returned` of `count` requested messages, and `unusable` entries instead of
    /// others; `waited` is the requested wait and the time taken. Returns the pause until the next
    /// poll if the backend did not wait by itself.
    pub(in crate::worker) fn on_reply(
        &mut self,
        count: usize,
        (returned, unusable): (usize, usize),
        waited: (Duration, Duration),
        rng: &mut Rng,
    ) -> Option<Duration> {
        self.forget_poll(count);
        self.was_created = false;
        let (requested_wait, took) = waited;
        // If the backend waited for a message, it was the only one.
        let at_once = requested_wait.is_zero() || took < IMMEDIATE;
        let entries = returned.saturating_add(unusable);
        self.unprocessable.on_reply(entries >= count && at_once);
        if entries > 0 {
            self.activity = if entries >= count { Activity::Full } else { Activity::Busy };
            return (returned == 0).then_some(PAUSE_AFTER_UNUSABLE);
        }
        let was_busy = !self.is_idle();
        let empty_in_a_row = match self.activity {
            Activity::Idle(times) => times.saturating_add(1),
            Activity::Busy | Activity::Full => 0,
        };
        self.activity = Activity::Idle(empty_in_a_row);
        let did_wait = requested_wait > Duration::ZERO && took >= requested_wait / 2;
        if let Some(pause) = self.unprocessable.pause_between_short_polls(rng) {
            return Some(pause);
        }
        // After a burst the queue is polled once more, this time with a wait. The polls of the
        // burst did not request one, so their empty replies do not justify a pause.
        if did_wait || (requested_wait.is_zero() && (was_busy || self.can_wait)) {
            return None;
        }
        let ceiling = PAUSE.ceiling(empty_in_a_row);
        Some(rng.between(ceiling / 2, ceiling))
    }

    /// Records a failed poll. Whether the queue has messages is unknown, so it does not count as
    /// busy.
    pub(in crate::worker) fn on_failure(&mut self, count: usize) {
        self.forget_poll(count);
        if !self.is_idle() {
            self.activity = Activity::Idle(0);
        }
    }

    fn forget_poll(&mut self, count: usize) {
        if let Some(position) = self.requested.iter().position(|requested| *requested == count) {
            self.requested.swap_remove(position);
        }
    }

    pub(in crate::worker) fn pause(&mut self, reason: PauseReason) {
        self.paused = self.paused.max(Some(reason));
    }

    pub(in crate::worker) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    pub(in crate::worker) fn is_paused_for(&self, reason: PauseReason) -> bool {
        self.paused == Some(reason)
    }

    pub(in crate::worker) fn wake(&mut self) {
        self.paused = None;
    }

    /// Records that the queue does not exist. Returns whether to create it: not if creating it did
    /// not help just now.
    pub(in crate::worker) fn on_missing(&mut self) -> bool {
        self.was_created = !self.was_created;
        self.was_created
    }
}

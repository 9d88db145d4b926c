//! A queue that is polled: what is asked of it, and what its answers tell.

use std::time::Duration;

use crate::retry::Backoff;
use crate::rng::Rng;
use crate::time::Moment;
use crate::worker::config::ServedQueue;
use crate::worker::unprocessable::UnprocessableMessages;

/// The most polls in flight for one queue.
const POLLS_IN_FLIGHT: usize = 8;
/// How far a start brings a queue of weight 1. All small weights divide it.
const ONE_STRIDE: u64 = 720_720 << 20;
/// Where the backend does not wait: the first and the longest rest between two polls.
const REST: Backoff = Backoff::new(Duration::from_millis(100), 2, Duration::from_secs(5));
/// An answer that takes no longer has hardly waited for a message.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A queue that is polled.
#[derive(Debug)]
pub(in crate::worker) struct Queue {
    pub(super) served: ServedQueue,
    /// Whether the backend waits for messages if it is asked to.
    can_wait: bool,
    /// What each poll in flight asks for.
    pub(super) asked: Vec<usize>,
    activity: Activity,
    /// How far its starts have brought it, by its own strides: among equally urgent queues, the
    /// one that has come least far is next.
    pub(super) progress: u64,
    pub(super) resting: Option<Rest>,
    /// It did not exist, was created, and has not answered a reserve since.
    was_created: bool,
    pub(super) failures: u32,
    /// No request to this queue is repeated before this moment.
    pub(super) not_before: Moment,
    pub(in crate::worker) unprocessable: UnprocessableMessages,
}

/// What a queue's last answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Nothing, so many times in a row.
    Idle(u32),
    Busy,
    /// As much as was asked for, so that there may be more.
    Overflowing,
}

/// Why a queue is not asked for messages now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) enum Rest {
    /// It brought nothing.
    Empty,
    /// It brought what is for other workers, and they are to come first.
    Others,
    /// It failed, or brought what this worker does not understand.
    Trouble,
}

impl Queue {
    pub(super) fn new(served: ServedQueue, can_wait: bool) -> Self {
        Queue {
            served,
            can_wait,
            asked: Vec::new(),
            activity: Activity::Idle(0),
            progress: 0,
            resting: None,
            was_created: false,
            failures: 0,
            not_before: Moment::EPOCH,
            unprocessable: UnprocessableMessages::default(),
        }
    }

    /// Its place among the queues: most urgent first, but every eighth time the other way round.
    /// Among equally urgent ones, that which is farthest behind its share comes first.
    pub(super) fn rank(&self, lowest_first: bool) -> (i16, u64) {
        let urgency = i16::from(self.served.priority.number());
        (if lowest_first { urgency } else { -urgency }, self.progress)
    }

    /// How far one start brings it: the less, the larger its weight.
    pub(super) fn stride(&self) -> u64 {
        ONE_STRIDE / u64::from(self.served.weight.max(1))
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.activity, Activity::Idle(_))
    }

    pub(super) fn is_overflowing(&self) -> bool {
        self.activity == Activity::Overflowing
    }

    /// Whether a poll may wait for a message.
    pub(super) fn may_wait(&self) -> bool {
        !self.unprocessable.polls_without_waiting()
    }

    /// Whether it seems to have messages that are only to be fetched.
    pub(super) fn is_busy(&self) -> bool {
        !self.is_idle() && self.resting.is_none()
    }

    /// Whether its share of so many free slots is any.
    pub(super) fn wants_any(&self, free: usize) -> bool {
        self.asked.is_empty() || free > 0 && self.takes_more_polls()
    }

    /// More polls at a time only where one was not enough.
    fn takes_more_polls(&self) -> bool {
        self.is_overflowing() && self.asked.len() < POLLS_IN_FLIGHT
    }

    /// How many messages to ask for; 0 for none.
    pub(super) fn share(&self, free: usize, (weight, all): (u32, u32), alone: bool) -> usize {
        let share = (free as u64 * u64::from(weight)).div_ceil(u64::from(all.max(1)));
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        match (self.asked.len(), self.activity) {
            (0, Activity::Idle(_)) if !alone => 1,
            (0, _) => share.max(1),
            _ if self.takes_more_polls() => share,
            _ => 0,
        }
    }

    /// An answer came that brought so many messages, after this time. Gives the time to rest, if
    /// the backend did not wait by itself.
    pub(in crate::worker) fn on_reply(
        &mut self,
        count: usize,
        brought: usize,
        waited: (Duration, Duration),
        rng: &mut Rng,
    ) -> Option<Duration> {
        self.forget_poll(count);
        self.was_created = false;
        let (asked_to_wait, took) = waited;
        // A message for which the backend has waited was the only one.
        let at_once = asked_to_wait.is_zero() || took < AT_ONCE;
        self.unprocessable.on_reply(brought >= count && at_once);
        if brought > 0 {
            self.activity = if brought >= count { Activity::Overflowing } else { Activity::Busy };
            return None;
        }
        let was_busy = !self.is_idle();
        let empty_in_a_row = match self.activity {
            Activity::Idle(times) => times.saturating_add(1),
            Activity::Busy | Activity::Overflowing => 0,
        };
        self.activity = Activity::Idle(empty_in_a_row);
        let did_wait = asked_to_wait > Duration::ZERO && took >= asked_to_wait / 2;
        if let Some(rest) = self.unprocessable.rest_between_short_polls(rng) {
            return Some(rest);
        }
        // After a burst the queue is asked once more, this time to wait. However many polls the
        // burst had under way, they were not asked to, so their answers are no reason to rest.
        if did_wait || (asked_to_wait.is_zero() && (was_busy || self.can_wait)) {
            return None;
        }
        let ceiling = REST.ceiling(empty_in_a_row);
        Some(rng.between(ceiling / 2, ceiling))
    }

    /// A poll failed, so that nothing is known of what the queue has. The others need not leave it
    /// their turns.
    pub(in crate::worker) fn on_failure(&mut self, count: usize) {
        self.forget_poll(count);
        if !self.is_idle() {
            self.activity = Activity::Idle(0);
        }
    }

    fn forget_poll(&mut self, count: usize) {
        if let Some(position) = self.asked.iter().position(|asked| *asked == count) {
            self.asked.swap_remove(position);
        }
    }

    pub(in crate::worker) fn rest(&mut self, why: Rest) {
        self.resting = self.resting.max(Some(why));
    }

    pub(in crate::worker) fn rests(&self) -> bool {
        self.resting.is_some()
    }

    pub(in crate::worker) fn rests_for(&self, why: Rest) -> bool {
        self.resting == Some(why)
    }

    pub(in crate::worker) fn wake(&mut self) {
        self.resting = None;
    }

    /// The queue does not exist. Says whether to create it: not if that was of no use just now.
    pub(in crate::worker) fn is_missing(&mut self) -> bool {
        self.was_created = !self.was_created;
        self.was_created
    }
}

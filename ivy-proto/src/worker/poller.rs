//! Which queue to ask, for how many messages, and how long to wait for them.
//!
//! A queue is *busy* while its last answer brought messages. The free slots are shared out among
//! busy queues, the more urgent first, then by weight. An idle queue is asked to wait for a single
//! message, so that no slot is promised to a queue that has nothing, and none is hoarded.
//!
//! Where the slots are all taken, each queue still holds a message for the next one that is free,
//! and how many of its messages are started follows from its weight: the queue that has come least
//! far is next, and one that is ahead is not asked for more before its busy rivals have caught up.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::MessageId;
use crate::name::QueueName;
use crate::retry::Backoff;
use crate::rng::Rng;
use crate::time::Moment;

use super::config::ServedQueue;

/// The most polls in flight for one queue.
const POLLS_IN_FLIGHT: usize = 8;
/// How often the least urgent queue comes first, so that it never starves: every eighth time.
const LOWEST_FIRST_EVERY: u32 = 8;
/// How far a start brings a queue of weight 1. All small weights divide it.
const ONE_STRIDE: u64 = 720_720 << 20;
/// Where the backend does not wait: the first and the longest rest between two polls.
const REST: Backoff = Backoff::new(Duration::from_millis(100), 2, Duration::from_secs(5));
/// A queue that fails is asked at most twice a second.
const OUTAGE_INTERVAL: Duration = Duration::from_millis(500);
/// After so many failures in a row a queue counts as degraded.
const DEGRADED_AFTER: u32 = 3;
/// After so many messages in a row that cannot be handled here, a queue rests; after each rest that
/// changed nothing, after twice as many, so that what lies behind them is reached in the end.
const UNDECIDED_LIMIT: usize = 20;
/// The most of them that are counted.
const MOST_UNDECIDED: usize = 10_240;

#[derive(Debug)]
pub(super) struct Poller {
    queues: Vec<Queue>,
    long_poll: Duration,
    max_batch: usize,
    polls: u32,
    starts: u32,
}

/// A queue that is polled.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) served: ServedQueue,
    /// Whether the backend waits for messages if it is asked to.
    can_wait: bool,
    /// What each poll in flight asks for.
    asked: Vec<usize>,
    activity: Activity,
    /// How far its starts have brought it, by its own strides: among equally urgent queues, the
    /// one that has come least far is next.
    progress: u64,
    resting: Option<Rest>,
    /// It did not exist, was created, and has not answered a reserve since.
    was_created: bool,
    failures: u32,
    /// No request to this queue is repeated before this moment.
    not_before: Moment,
    /// The messages that cannot be handled here, since the last one that can. Each counts once,
    /// however often it is delivered.
    undecided_in_a_row: BTreeSet<MessageId>,
    /// How many of them make the queue rest.
    undecided_limit: usize,
    degraded: bool,
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
pub(super) enum Rest {
    /// It brought nothing.
    Empty,
    /// It failed, or brought too much that cannot be handled here.
    Trouble,
}

/// A reserve to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) queue: QueueName,
    pub(super) count: usize,
    pub(super) wait: Duration,
}

/// A change that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Unchanged,
    Degraded,
    Recovered,
}

impl Poller {
    pub(super) fn new(served: Vec<ServedQueue>, long_poll: Duration, max_batch: usize) -> Self {
        let can_wait = !long_poll.is_zero();
        let queues = served.into_iter().map(|served| Queue::new(served, can_wait)).collect();
        Poller { queues, long_poll, max_batch, polls: 0, starts: 0 }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &QueueName> {
        self.queues.iter().map(|queue| &queue.served.name)
    }

    pub(super) fn queue(&mut self, name: &QueueName) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| &queue.served.name == name)
    }

    /// What to ask next, given the slots that are neither taken nor promised to messages that are
    /// held already. `holds` tells whether a queue has a message waiting for a slot: then it is
    /// not asked for more.
    pub(super) fn plan(&mut self, free: usize, holds: impl Fn(&QueueName) -> bool) -> Vec<Ask> {
        let promised: usize = self.queues.iter().flat_map(|queue| &queue.asked).sum();
        let mut free = free.saturating_sub(promised);
        let mut asks = Vec::new();
        let alone = self.queues.len() == 1;
        let mut order: Vec<usize> = self.order(self.polls);
        order.retain(|index| self.may_be_asked(*index, &holds));
        for (turn, index) in order.iter().enumerate() {
            let shares = self.shares(*index, order.get(turn..).unwrap_or_default());
            let Some(queue) = self.queues.get_mut(*index) else { continue };
            let count = queue.share(free, shares, alone).min(self.max_batch);
            if count == 0 {
                continue;
            }
            // A queue among others is asked to wait only for a single message: while it waits,
            // the others may take the slots.
            let wait = if alone && queue.asked.is_empty() || queue.is_idle() {
                self.long_poll
            } else {
                Duration::ZERO
            };
            free = free.saturating_sub(count);
            queue.asked.push(count);
            asks.push(Ask { queue: queue.served.name.clone(), count, wait });
        }
        if !asks.is_empty() {
            self.polls = self.polls.wrapping_add(1);
        }
        asks
    }

    /// The queue whose message is to be started next, among those that hold one: one of the most
    /// urgent, which take turns by weight.
    pub(super) fn next_to_start(
        &mut self,
        holds: impl Fn(&QueueName) -> bool,
    ) -> Option<QueueName> {
        let first = self
            .order(self.starts)
            .into_iter()
            .find(|index| self.queues.get(*index).is_some_and(|queue| holds(&queue.served.name)))?;
        self.starts = self.starts.wrapping_add(1);
        let urgency = self.queues.get(first)?.served.priority;
        let equals = self.queues.iter_mut().filter(|queue| queue.served.priority == urgency);
        let (mut rivals, others): (Vec<_>, Vec<_>) =
            equals.partition(|queue| queue.is_busy() || holds(&queue.served.name));
        // Counted from the hindmost, so that the numbers stay small.
        let hindmost = rivals.iter().map(|queue| queue.progress).min().unwrap_or_default();
        for queue in &mut rivals {
            queue.progress -= hindmost;
        }
        let next = rivals
            .iter_mut()
            .filter(|queue| holds(&queue.served.name))
            .min_by_key(|queue| queue.progress)?;
        next.progress += next.stride();
        // Who has nothing to be started gains nothing by it.
        for queue in others {
            queue.progress = next.progress;
        }
        Some(next.served.name.clone())
    }

    /// The indices of the queues, most urgent first, but every eighth time the other way round.
    /// Among equally urgent ones, that which is farthest behind its share comes first.
    fn order(&self, turn: u32) -> Vec<usize> {
        let lowest_first = turn % LOWEST_FIRST_EVERY == LOWEST_FIRST_EVERY - 1;
        let mut queues: Vec<(usize, &Queue)> = self.queues.iter().enumerate().collect();
        queues.sort_by_key(|(_, queue)| {
            let urgency = i16::from(queue.served.priority.number());
            (if lowest_first { urgency } else { -urgency }, queue.progress)
        });
        queues.into_iter().map(|(index, _)| index).collect()
    }

    /// Whether a queue may be asked now: it does not rest, holds no message that waits for a slot
    /// already, and is not so far ahead of its share that its next message is another's turn.
    fn may_be_asked(&self, index: usize, holds: &impl Fn(&QueueName) -> bool) -> bool {
        let Some(queue) = self.queues.get(index) else { return false };
        let mut rivals = self.queues.iter().filter(|other| {
            other.served.priority == queue.served.priority
                && (other.is_busy() || holds(&other.served.name))
        });
        queue.resting.is_none()
            && !holds(&queue.served.name)
            && rivals.all(|rival| {
                let lead = queue.progress.saturating_sub(rival.progress);
                lead <= queue.stride() + rival.stride()
            })
    }

    /// The weight of a queue, and the weights of all busy queues that are as urgent as it is and
    /// still to be asked.
    fn shares(&self, index: usize, to_be_asked: &[usize]) -> (u32, u32) {
        let Some(queue) = self.queues.get(index) else { return (1, 1) };
        let rivals =
            to_be_asked.iter().filter_map(|other| self.queues.get(*other)).filter(|other| {
                other.served.priority == queue.served.priority
                    && other.served.name != queue.served.name
                    && other.is_busy()
            });
        let weight = queue.served.weight;
        (weight, rivals.map(|other| other.served.weight).fold(weight, u32::saturating_add))
    }
}

impl Queue {
    fn new(served: ServedQueue, can_wait: bool) -> Self {
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
            undecided_in_a_row: BTreeSet::new(),
            undecided_limit: UNDECIDED_LIMIT,
            degraded: false,
        }
    }

    /// How far one start brings it: the less, the larger its weight.
    fn stride(&self) -> u64 {
        ONE_STRIDE / u64::from(self.served.weight.max(1))
    }

    fn is_idle(&self) -> bool {
        matches!(self.activity, Activity::Idle(_))
    }

    /// Whether it seems to have messages that are only to be fetched.
    fn is_busy(&self) -> bool {
        !self.is_idle() && self.resting.is_none()
    }

    /// How many messages to ask for; 0 for none.
    fn share(&self, free: usize, (weight, all): (u32, u32), alone: bool) -> usize {
        let share = (free as u64 * u64::from(weight)).div_ceil(u64::from(all.max(1)));
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        match (self.asked.len(), self.activity) {
            (0, Activity::Idle(_)) if !alone => 1,
            (0, _) => share.max(1),
            // More polls at a time only where one was not enough.
            (in_flight, Activity::Overflowing) if in_flight < POLLS_IN_FLIGHT => share,
            _ => 0,
        }
    }

    /// An answer came that brought so many messages, after this time. Gives the time to rest, if
    /// the backend did not wait by itself.
    pub(super) fn answered(
        &mut self,
        count: usize,
        brought: usize,
        waited: (Duration, Duration),
        rng: &mut Rng,
    ) -> Option<Duration> {
        self.forget_ask(count);
        self.was_created = false;
        let (asked_to_wait, took) = waited;
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
    pub(super) fn unanswered(&mut self, count: usize) {
        self.forget_ask(count);
        if !self.is_idle() {
            self.activity = Activity::Idle(0);
        }
    }

    fn forget_ask(&mut self, count: usize) {
        if let Some(position) = self.asked.iter().position(|asked| *asked == count) {
            self.asked.swap_remove(position);
        }
    }

    /// A request succeeded.
    pub(super) fn succeeded(&mut self) -> Health {
        let was_degraded = self.failures >= DEGRADED_AFTER;
        self.failures = 0;
        if was_degraded { Health::Recovered } else { Health::Unchanged }
    }

    /// A request failed. Gives when it may be repeated, together with what changed. Trouble that
    /// needs a person counts as lasting at once.
    pub(super) fn failed(
        &mut self,
        needs_a_person: bool,
        at_least: Duration,
        now: Moment,
        rng: &mut Rng,
    ) -> (Duration, Health) {
        let backoff = Backoff::REQUESTS.delay(self.failures, rng);
        let failures_before = self.failures;
        self.failures = self.failures.saturating_add(1);
        if needs_a_person {
            self.failures = self.failures.max(DEGRADED_AFTER);
        }
        // Each repetition takes the next place in a row of two a second, however many wait.
        let earliest = self.not_before.max(now + OUTAGE_INTERVAL);
        let at = earliest.max(now + backoff.max(at_least));
        self.not_before = earliest + OUTAGE_INTERVAL;
        let is_news = failures_before < DEGRADED_AFTER && self.failures >= DEGRADED_AFTER;
        let health = if is_news { Health::Degraded } else { Health::Unchanged };
        (at.since(now), health)
    }

    pub(super) fn rest(&mut self, why: Rest) {
        self.resting = self.resting.max(Some(why));
    }

    pub(super) fn rests_for(&self, why: Rest) -> bool {
        self.resting == Some(why)
    }

    pub(super) fn wake(&mut self) {
        self.resting = None;
    }

    /// The queue does not exist. Says whether to create it: not if that was of no use just now.
    pub(super) fn is_missing(&mut self) -> bool {
        self.was_created = !self.was_created;
        self.was_created
    }

    /// Whether messages that cannot be handled have made the queue rest: then none of them is put
    /// aside, since the fault may be this worker's.
    pub(super) fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// A message came that this worker cannot handle. If that is the last straw, so that the queue
    /// is to rest, tells what changed.
    pub(super) fn undecided(&mut self, message: &MessageId) -> Option<Health> {
        self.undecided_in_a_row.insert(message.clone());
        if self.undecided_in_a_row.len() >= self.undecided_limit {
            self.undecided_in_a_row.clear();
            self.undecided_limit = (self.undecided_limit * 2).min(MOST_UNDECIDED);
            let known = std::mem::replace(&mut self.degraded, true);
            // Degraded again after its rest: rests again, without another line in the log.
            return Some(if known { Health::Unchanged } else { Health::Degraded });
        }
        None
    }

    /// A message came that this worker can handle.
    pub(super) fn decided(&mut self) -> Health {
        self.undecided_in_a_row.clear();
        self.undecided_limit = UNDECIDED_LIMIT;
        if std::mem::take(&mut self.degraded) { Health::Recovered } else { Health::Unchanged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Priority;

    const LONG_POLL: Duration = Duration::from_secs(30);

    fn served(name: &str, priority: u8, weight: u32) -> ServedQueue {
        let (name, priority) = (QueueName::new(name).unwrap(), Priority::new(priority).unwrap());
        ServedQueue { name, priority, weight }
    }

    fn poller(served: Vec<ServedQueue>) -> Poller {
        Poller::new(served, LONG_POLL, 100)
    }

    fn plan(poller: &mut Poller, free: usize) -> Vec<(String, usize, Duration)> {
        let asks = poller.plan(free, |_| false);
        asks.into_iter().map(|ask| (ask.queue.as_str().to_owned(), ask.count, ask.wait)).collect()
    }

    /// Lets a queue's poll bring as much as it asked for.
    fn fill(poller: &mut Poller, name: &str, count: usize) {
        let queue = poller.queue(&QueueName::new(name).unwrap()).unwrap();
        let waited = (LONG_POLL, Duration::ZERO);
        assert_eq!(queue.answered(count, count, waited, &mut Rng::from_number(1)), None);
    }

    fn starve(poller: &mut Poller, name: &str, count: usize, waited: Duration) -> Option<Duration> {
        let queue = poller.queue(&QueueName::new(name).unwrap()).unwrap();
        queue.answered(count, 0, (LONG_POLL, waited), &mut Rng::from_number(1))
    }

    #[test]
    fn a_queue_alone_is_asked_for_all_that_is_free() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        assert_eq!(plan(&mut poller, 10), [("a".to_owned(), 10, LONG_POLL)]);
        assert_eq!(plan(&mut poller, 10), []);
    }

    #[test]
    fn idle_queues_among_others_wait_for_a_single_message_each() {
        let mut poller = poller(vec![served("a", 0, 1), served("b", 0, 1)]);
        let asks = plan(&mut poller, 10);
        assert_eq!(asks, [("a".to_owned(), 1, LONG_POLL), ("b".to_owned(), 1, LONG_POLL)]);
    }

    #[test]
    fn a_queue_is_asked_for_one_message_though_no_slot_is_free() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        assert_eq!(plan(&mut poller, 0), [("a".to_owned(), 1, LONG_POLL)]);
    }

    #[test]
    fn a_queue_whose_message_waits_for_a_slot_is_not_asked_for_more() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        assert_eq!(poller.plan(0, |_| true), []);
    }

    #[test]
    fn busy_queues_share_by_weight_without_waiting() {
        let mut poller = poller(vec![served("a", 0, 3), served("b", 0, 1)]);
        plan(&mut poller, 8);
        fill(&mut poller, "a", 1);
        fill(&mut poller, "b", 1);
        let asks = plan(&mut poller, 8);
        let zero = Duration::ZERO;
        assert_eq!(asks, [("a".to_owned(), 6, zero), ("b".to_owned(), 2, zero)]);
    }

    #[test]
    fn urgent_queues_are_served_first_and_every_eighth_time_last() {
        let mut poller = poller(vec![served("a.p5", 5, 1), served("a", 0, 1)]);
        let starts: Vec<String> =
            (0..16).map(|_| poller.next_to_start(|_| true).unwrap().as_str().to_owned()).collect();
        assert_eq!(starts.iter().filter(|name| *name == "a").count(), 2);
        assert_eq!(starts[7], "a");
        assert_eq!(starts[0], "a.p5");
    }

    #[test]
    fn equally_urgent_queues_start_by_weight_and_without_a_rival_a_queue_gains_nothing() {
        let mut poller = poller(vec![served("a", 0, 1), served("b", 0, 3)]);
        let mut starts = |queues: &[&str]| {
            let next = poller.next_to_start(|name| queues.contains(&name.as_str())).unwrap();
            next.as_str().to_owned()
        };
        for _ in 0..100 {
            assert_eq!(starts(&["a"]), "a");
        }
        let both: Vec<String> = (0..40).map(|_| starts(&["a", "b"])).collect();
        assert_eq!(both.iter().filter(|name| *name == "a").count(), 10);
        assert!(both.windows(5).all(|turns| turns.contains(&"a".to_owned())), "{both:?}");
    }

    #[test]
    fn an_overflowing_queue_is_asked_several_times_at_once() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        assert_eq!(plan(&mut poller, 1000), [("a".to_owned(), 100, LONG_POLL)]);
        assert_eq!(plan(&mut poller, 1000), []);
        fill(&mut poller, "a", 100);
        let first = plan(&mut poller, 900);
        let second = plan(&mut poller, 900);
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_eq!(second[0].2, Duration::ZERO);
    }

    #[test]
    fn the_polls_in_flight_never_promise_more_than_what_is_free() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        plan(&mut poller, 150);
        fill(&mut poller, "a", 100);
        let asked: usize =
            (0..10).flat_map(|_| plan(&mut poller, 150)).map(|(_, count, _)| count).sum();
        assert_eq!(asked, 150);
    }

    #[test]
    fn a_backend_that_does_not_wait_is_asked_at_growing_intervals() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        let mut rests = Vec::new();
        for _ in 0..10 {
            let count = plan(&mut poller, 10)[0].1;
            rests.push(starve(&mut poller, "a", count, Duration::ZERO).unwrap());
        }
        assert!(rests[0] <= Duration::from_millis(200), "{rests:?}");
        assert!(rests[9] >= Duration::from_millis(2500), "{rests:?}");
        assert!(rests.iter().all(|rest| *rest <= Duration::from_secs(5)), "{rests:?}");
    }

    #[test]
    fn after_a_burst_the_queue_is_asked_at_once_to_wait() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        plan(&mut poller, 100);
        fill(&mut poller, "a", 100);
        let counts: Vec<usize> = (1..=4).map(|free| plan(&mut poller, free)[0].1).collect();
        let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
        for count in counts {
            let waited = (Duration::ZERO, Duration::ZERO);
            assert_eq!(queue.answered(count, 0, waited, &mut Rng::from_number(1)), None);
        }
        assert_eq!(plan(&mut poller, 100), [("a".to_owned(), 100, LONG_POLL)]);
    }

    #[test]
    fn a_backend_that_waited_is_asked_again_at_once() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        plan(&mut poller, 10);
        assert_eq!(starve(&mut poller, "a", 10, LONG_POLL), None);
    }

    #[test]
    fn a_failing_queue_is_asked_at_most_twice_a_second_however_many_requests_wait() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        let mut rng = Rng::from_number(1);
        let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
        let mut delays: Vec<Duration> = (0..20)
            .map(|_| queue.failed(false, Duration::ZERO, Moment::EPOCH, &mut rng).0)
            .collect();
        delays.sort();
        assert!(delays[19] >= Duration::from_millis(500 * 19), "{delays:?}");
    }

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        let mut rng = Rng::from_number(1);
        let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
        let told: Vec<Health> = (0..9)
            .map(|_| queue.failed(false, Duration::ZERO, Moment::EPOCH, &mut rng).1)
            .filter(|health| *health != Health::Unchanged)
            .collect();
        assert_eq!(told, [Health::Degraded]);
        assert_eq!(queue.succeeded(), Health::Recovered);
        assert_eq!(queue.succeeded(), Health::Unchanged);
    }

    #[test]
    fn twenty_messages_in_a_row_that_cannot_be_handled_make_a_queue_rest() {
        let mut poller = poller(vec![served("a", 0, 1)]);
        let queue = poller.queue(&QueueName::new("a").unwrap()).unwrap();
        let mut undecided = |number: u32| queue.undecided(&MessageId::new(number.to_string()));
        for number in 0..19 {
            assert_eq!(undecided(number), None);
        }
        assert_eq!(undecided(19), Some(Health::Degraded));
        assert!(queue.is_degraded());
        assert_eq!(queue.decided(), Health::Recovered);
        assert!(!queue.is_degraded());
    }
}

//! Messages on their way to their queues: what waits, what is in flight, what rests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::{OpId, TaskId};
use crate::name::QueueName;
use crate::queue::{Body, NewMessage};
use crate::time::Moment;

/// What a post costs beside its messages: `{"messages":[]}`.
const AROUND_A_POST: usize = 15;

/// How many queues are remembered with nothing to send, since posts to them have failed.
const MOST_REMEMBERED: usize = 1000;

/// How many rounds of posts must fail, one after the other, until a queue counts as degraded.
const ROUNDS_UNTIL_DEGRADED: u32 = 3;

/// A message that is not yet in its queue.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) id: TaskId,
    body: Body,
    delay: Duration,
    encoded: usize,
    /// Whether it may be sent again though a copy may be in the queue already.
    pub(super) repeatable: bool,
    /// How often it was sent, or could not be since its queue was down.
    pub(super) tries: u32,
    /// Whether an answer was lost, so that a copy may be in the queue.
    pub(super) may_be_stored: bool,
}

impl Letter {
    /// `encoded` is what it takes up in a post, in bytes.
    pub(super) fn new(
        id: TaskId,
        body: Body,
        delay: Duration,
        encoded: usize,
        repeatable: bool,
    ) -> Self {
        Letter { id, body, delay, encoded, repeatable, tries: 0, may_be_stored: false }
    }

    /// The message as the queue is given it.
    pub(super) fn message(&self) -> NewMessage {
        NewMessage { body: self.body.clone(), delay: self.delay }
    }
}

/// A request to post messages, which waits for its answer.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) queue: QueueName,
    pub(super) letters: Vec<Letter>,
    is_full: bool,
}

/// The messages of a request to come.
#[derive(Debug)]
pub(super) struct NextPost {
    pub(super) letters: Vec<Letter>,
    /// Whether the request takes no more.
    pub(super) is_full: bool,
}

/// How large a post may be, and how many may be in flight to one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct PostLimits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) in_flight: usize,
}

/// The messages of one queue. While posts to it fail, it rests between one trial post and the
/// next.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Letter>,
    /// What those that wait take up in a post, in bytes.
    waiting_bytes: usize,
    /// Halves of batches that were refused as a whole. They are not merged again.
    halves: VecDeque<Vec<Letter>>,
    in_flight: usize,
    /// How many of the posts in flight are full.
    full_in_flight: usize,
    /// The first that waits has waited for others to travel with for long enough.
    has_merged: bool,
    /// How many rounds of posts have failed, one after the other.
    failed_rounds: u32,
    resting_until: Option<Moment>,
}

impl Lane {
    /// The next post, if it may go out now: not one of a few calls that others may join, unless
    /// `alone` says that there is nothing to wait for.
    fn next_post(&mut self, limits: PostLimits, alone: bool) -> Option<NextPost> {
        let in_flight = if self.failed_rounds == 0 { limits.in_flight } else { 1 };
        if self.resting_until.is_some() || self.in_flight >= in_flight {
            return None;
        }
        if let Some(letters) = self.halves.pop_front() {
            return Some(NextPost { letters, is_full: false });
        }
        let is_full = self.fills_a_post(limits);
        if !(is_full || alone || self.has_merged || self.may_post_a_few(limits)) {
            return None;
        }
        self.has_merged = false;
        let mut letters = vec![self.take_first()?];
        let mut bytes = AROUND_A_POST + letters[0].encoded;
        while letters.len() < limits.messages
            && let Some(next) = self.waiting.front()
            && bytes + next.encoded <= limits.bytes
        {
            bytes += next.encoded;
            letters.extend(self.take_first());
        }
        Some(NextPost { letters, is_full })
    }

    fn fills_a_post(&self, limits: PostLimits) -> bool {
        self.waiting.len() >= limits.messages || AROUND_A_POST + self.waiting_bytes > limits.bytes
    }

    /// Whether a post that is not full may join those in flight at once: half of them may carry a
    /// few calls each. Beside a full post none may, since more calls come then than could travel
    /// each by itself.
    fn may_post_a_few(&self, limits: PostLimits) -> bool {
        self.full_in_flight == 0 && self.in_flight < limits.in_flight.div_ceil(2)
    }

    fn take_first(&mut self) -> Option<Letter> {
        let letter = self.waiting.pop_front()?;
        self.waiting_bytes -= letter.encoded;
        Some(letter)
    }

    fn put_first(&mut self, letter: Letter) {
        self.waiting_bytes += letter.encoded;
        self.waiting.push_front(letter);
    }

    fn put_last(&mut self, letter: Letter) {
        self.waiting_bytes += letter.encoded;
        self.waiting.push_back(letter);
    }

    /// Whether the first that waits may have waited long enough at some time to come.
    fn may_merge(&self) -> bool {
        !self.waiting.is_empty() && !self.has_merged && self.failed_rounds == 0
    }

    /// Whether forgetting the lane would change nothing.
    fn is_idle(&self) -> bool {
        self.has_nothing_to_send() && self.failed_rounds == 0
    }

    /// Whether nothing waits, is in flight, or ends a rest.
    fn has_nothing_to_send(&self) -> bool {
        self.waiting.is_empty()
            && self.halves.is_empty()
            && self.in_flight == 0
            && self.resting_until.is_none()
    }
}

/// All messages that are not yet in their queues, queue by queue.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: PostLimits,
    lanes: BTreeMap<QueueName, Lane>,
    posts: BTreeMap<OpId, Post>,
}

impl Outbox {
    pub(super) fn new(limits: PostLimits) -> Self {
        Outbox { limits, lanes: BTreeMap::new(), posts: BTreeMap::new() }
    }

    /// Puts a message behind all others of its queue.
    pub(super) fn add(&mut self, queue: &QueueName, letter: Letter) {
        self.lane(queue).put_last(letter);
    }

    /// Puts messages that are to be sent again before all others of their queue, in their order.
    pub(super) fn put_back(&mut self, queue: &QueueName, letters: Vec<Letter>) {
        let lane = self.lane(queue);
        for letter in letters.into_iter().rev() {
            lane.put_first(letter);
        }
    }

    /// Puts the halves of a refused batch before all other messages of their queue.
    pub(super) fn split(&mut self, queue: &QueueName, mut letters: Vec<Letter>) {
        let second = letters.split_off(letters.len() / 2);
        let lane = self.lane(queue);
        lane.halves.push_front(second);
        lane.halves.push_front(letters);
    }

    /// Whether a post to the queue is in flight.
    pub(super) fn is_posting(&self, queue: &QueueName) -> bool {
        self.lanes.get(queue).is_some_and(|lane| lane.in_flight > 0)
    }

    /// Whether calls to the queue wait that may have waited for others long enough some time.
    pub(super) fn may_merge(&self, queue: &QueueName) -> bool {
        self.lanes.get(queue).is_some_and(Lane::may_merge)
    }

    /// The calls that wait have waited for others long enough.
    pub(super) fn merged(&mut self, queue: &QueueName) {
        self.lane(queue).has_merged = true;
    }

    /// The next messages to be posted to a queue, if a post may go out now. They are to be given
    /// to [`Outbox::posted`]. `alone` says that they need not wait for others to travel with.
    pub(super) fn next_post(&mut self, queue: &QueueName, alone: bool) -> Option<NextPost> {
        self.lanes.get_mut(queue)?.next_post(self.limits, alone)
    }

    /// Keeps what was posted until its answer comes.
    pub(super) fn posted(&mut self, op: OpId, queue: &QueueName, post: NextPost) {
        let NextPost { letters, is_full } = post;
        let lane = self.lane(queue);
        lane.in_flight += 1;
        lane.full_in_flight += usize::from(is_full);
        self.posts.insert(op, Post { queue: queue.clone(), letters, is_full });
    }

    pub(super) fn is_in_flight(&self, op: OpId) -> bool {
        self.posts.contains_key(&op)
    }

    /// The post whose answer has come.
    pub(super) fn answered(&mut self, op: OpId) -> Option<Post> {
        let post = self.posts.remove(&op)?;
        let lane = self.lane(&post.queue);
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.full_in_flight = lane.full_in_flight.saturating_sub(usize::from(post.is_full));
        Some(post)
    }

    /// A post to the queue was answered as it should be. Says whether the queue was degraded.
    pub(super) fn succeeded(&mut self, queue: &QueueName) -> bool {
        let lane = self.lane(queue);
        let degraded = lane.failed_rounds >= ROUNDS_UNTIL_DEGRADED;
        lane.failed_rounds = 0;
        degraded
    }

    /// A post to the queue has failed. Of several that were in flight together only the first
    /// counts: the others tell nothing new.
    pub(super) fn failed(&mut self, queue: &QueueName) -> Option<FailedRound> {
        let lane = self.lane(queue);
        if lane.resting_until.is_some() {
            return None;
        }
        lane.failed_rounds = lane.failed_rounds.saturating_add(1);
        Some(FailedRound {
            number: lane.failed_rounds,
            is_degraded_now: lane.failed_rounds == ROUNDS_UNTIL_DEGRADED,
        })
    }

    /// Lets the queue rest until then, or longer if it was to rest longer. Gives the moment.
    pub(super) fn rest(&mut self, queue: &QueueName, until: Moment) -> Moment {
        let lane = self.lane(queue);
        *lane.resting_until.insert(lane.resting_until.unwrap_or(until).max(until))
    }

    /// The queue could not be reached at all, so that all its waiting messages could not be sent
    /// either: counts a try of each, and takes out those that have used up theirs.
    pub(super) fn count_try_of_waiting(&mut self, queue: &QueueName, tries: u32) -> Vec<Letter> {
        let lane = self.lane(queue);
        let halves = std::mem::take(&mut lane.halves).into_iter().flatten();
        let waiting = std::mem::take(&mut lane.waiting);
        lane.waiting_bytes = 0;
        let mut exhausted = Vec::new();
        for mut letter in halves.chain(waiting) {
            letter.tries += 1;
            if letter.tries >= tries { exhausted.push(letter) } else { lane.put_last(letter) }
        }
        exhausted
    }

    /// The queue has rested.
    pub(super) fn rested(&mut self, queue: &QueueName) {
        self.lane(queue).resting_until = None;
    }

    /// Drops the queue's lane if nothing is left in it, or too many queues are remembered only since
    /// posts to them have failed.
    pub(super) fn tidy(&mut self, queue: &QueueName) {
        let crowded = self.lanes.len() > MOST_REMEMBERED;
        let Some(lane) = self.lanes.get(queue) else { return };
        if lane.is_idle() || (crowded && lane.has_nothing_to_send()) {
            self.lanes.remove(queue);
        }
    }

    /// Takes out everything: first what waits, then what is in flight.
    pub(super) fn clear(&mut self) -> (Vec<Letter>, Vec<Letter>) {
        let lanes = std::mem::take(&mut self.lanes).into_values();
        let waiting =
            lanes.flat_map(|lane| lane.halves.into_iter().flatten().chain(lane.waiting)).collect();
        let posts = std::mem::take(&mut self.posts).into_values();
        (waiting, posts.flat_map(|post| post.letters).collect())
    }

    fn lane(&mut self, queue: &QueueName) -> &mut Lane {
        self.lanes.entry(queue.clone()).or_default()
    }
}

/// A round of posts to a queue has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedRound {
    /// How many have failed now, one after the other.
    pub(super) number: u32,
    /// Whether the queue counts as degraded from this round on.
    pub(super) is_degraded_now: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Counter;

    fn outbox_after(answer: impl FnOnce(&mut Outbox, &QueueName)) -> Outbox {
        let mut outbox = Outbox::new(PostLimits { messages: 100, bytes: 1_000, in_flight: 8 });
        let queue = QueueName::new("testpackage").unwrap();
        let id = TaskId::from_random([1; 16]);
        outbox.add(&queue, Letter::new(id, Body::new("{}"), Duration::ZERO, 30, true));
        let post = outbox.next_post(&queue, true).unwrap();
        let op = Counter::default().next_op();
        outbox.posted(op, &queue, post);
        outbox.answered(op).unwrap();
        answer(&mut outbox, &queue);
        outbox.tidy(&queue);
        outbox
    }

    #[test]
    fn a_queue_with_nothing_to_send_leaves_nothing_behind() {
        let outbox = outbox_after(|outbox, queue| {
            outbox.succeeded(queue);
        });
        assert!(outbox.lanes.is_empty() && outbox.posts.is_empty());
    }

    #[test]
    fn of_queues_that_are_down_not_all_are_remembered_for_nothing_to_send() {
        let mut outbox = Outbox::new(PostLimits { messages: 100, bytes: 1_000, in_flight: 8 });
        for number in 0..2 * MOST_REMEMBERED {
            let queue = QueueName::new(&format!("tenant-{number}")).unwrap();
            outbox.failed(&queue);
            outbox.rest(&queue, Moment::EPOCH);
            outbox.tidy(&queue);
            outbox.rested(&queue);
            outbox.tidy(&queue);
        }
        assert_eq!(outbox.lanes.len(), MOST_REMEMBERED);
    }

    #[test]
    fn a_queue_that_is_down_is_remembered_with_nothing_to_send() {
        let outbox = outbox_after(|outbox, queue| {
            outbox.failed(queue);
        });
        assert_eq!(outbox.lanes.len(), 1);
    }
}

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
pub(super) struct OutgoingMessage {
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

impl OutgoingMessage {
    /// `encoded` is what it takes up in a post, in bytes.
    pub(super) fn new(
        id: TaskId,
        body: Body,
        delay: Duration,
        encoded: usize,
        repeatable: bool,
    ) -> Self {
        OutgoingMessage { id, body, delay, encoded, repeatable, tries: 0, may_be_stored: false }
    }

    /// The message as the queue is given it.
    pub(super) fn message(&self) -> NewMessage {
        NewMessage { body: self.body.clone(), delay: self.delay }
    }
}

/// A request to post messages, which waits for its answer.
#[derive(Debug)]
pub(super) struct PostInFlight {
    pub(super) queue: QueueName,
    pub(super) messages: Vec<OutgoingMessage>,
    is_full: bool,
}

/// The messages of a request to come.
#[derive(Debug)]
pub(super) struct NextPost {
    pub(super) messages: Vec<OutgoingMessage>,
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
struct QueueOutbox {
    waiting: VecDeque<OutgoingMessage>,
    /// What those that wait take up in a post, in bytes.
    waiting_bytes: usize,
    /// Halves of batches that were refused as a whole. They are not merged again.
    halves: VecDeque<Vec<OutgoingMessage>>,
    in_flight: usize,
    /// How many of the posts in flight are full.
    full_in_flight: usize,
    /// The first that waits has waited for others to travel with for long enough.
    has_merged: bool,
    /// How many rounds of posts have failed, one after the other.
    failed_rounds: u32,
    resting_until: Option<Moment>,
}

impl QueueOutbox {
    /// The next post, if it may go out now: not one of a few calls that others may join, unless
    /// `alone` says that there is nothing to wait for.
    fn next_post(&mut self, limits: PostLimits, alone: bool) -> Option<NextPost> {
        let in_flight = if self.failed_rounds == 0 { limits.in_flight } else { 1 };
        if self.resting_until.is_some() || self.in_flight >= in_flight {
            return None;
        }
        if let Some(messages) = self.halves.pop_front() {
            return Some(NextPost { messages, is_full: false });
        }
        let is_full = self.fills_a_post(limits);
        if !(is_full || alone || self.has_merged || self.may_post_a_few(limits)) {
            return None;
        }
        self.has_merged = false;
        let mut messages = vec![self.take_first()?];
        let mut bytes = AROUND_A_POST + messages[0].encoded;
        while messages.len() < limits.messages
            && let Some(next) = self.waiting.front()
            && bytes + next.encoded <= limits.bytes
        {
            bytes += next.encoded;
            messages.extend(self.take_first());
        }
        Some(NextPost { messages, is_full })
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

    fn take_first(&mut self) -> Option<OutgoingMessage> {
        let outgoing = self.waiting.pop_front()?;
        self.waiting_bytes -= outgoing.encoded;
        Some(outgoing)
    }

    fn put_first(&mut self, outgoing: OutgoingMessage) {
        self.waiting_bytes += outgoing.encoded;
        self.waiting.push_front(outgoing);
    }

    fn put_last(&mut self, outgoing: OutgoingMessage) {
        self.waiting_bytes += outgoing.encoded;
        self.waiting.push_back(outgoing);
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
    queues: BTreeMap<QueueName, QueueOutbox>,
    posts: BTreeMap<OpId, PostInFlight>,
}

impl Outbox {
    pub(super) fn new(limits: PostLimits) -> Self {
        Outbox { limits, queues: BTreeMap::new(), posts: BTreeMap::new() }
    }

    /// Puts a message behind all others of its queue.
    pub(super) fn add(&mut self, queue: &QueueName, outgoing: OutgoingMessage) {
        self.queue_outbox(queue).put_last(outgoing);
    }

    /// Puts messages that are to be sent again before all others of their queue, in their order.
    pub(super) fn put_back(&mut self, queue: &QueueName, messages: Vec<OutgoingMessage>) {
        let queue_outbox = self.queue_outbox(queue);
        for outgoing in messages.into_iter().rev() {
            queue_outbox.put_first(outgoing);
        }
    }

    /// Puts the halves of a refused batch before all other messages of their queue.
    pub(super) fn split(&mut self, queue: &QueueName, mut messages: Vec<OutgoingMessage>) {
        let second = messages.split_off(messages.len() / 2);
        let queue_outbox = self.queue_outbox(queue);
        queue_outbox.halves.push_front(second);
        queue_outbox.halves.push_front(messages);
    }

    /// Whether a post to the queue is in flight.
    pub(super) fn is_posting(&self, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(|queue_outbox| queue_outbox.in_flight > 0)
    }

    /// Whether calls to the queue wait that may have waited for others long enough some time.
    pub(super) fn may_merge(&self, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(QueueOutbox::may_merge)
    }

    /// The calls that wait have waited for others long enough.
    pub(super) fn merged(&mut self, queue: &QueueName) {
        self.queue_outbox(queue).has_merged = true;
    }

    /// The next messages to be posted to a queue, if a post may go out now. They are to be given
    /// to [`Outbox::posted`]. `alone` says that they need not wait for others to travel with.
    pub(super) fn next_post(&mut self, queue: &QueueName, alone: bool) -> Option<NextPost> {
        self.queues.get_mut(queue)?.next_post(self.limits, alone)
    }

    /// Keeps what was posted until its answer comes.
    pub(super) fn posted(&mut self, op: OpId, queue: &QueueName, post: NextPost) {
        let NextPost { messages, is_full } = post;
        let queue_outbox = self.queue_outbox(queue);
        queue_outbox.in_flight += 1;
        queue_outbox.full_in_flight += usize::from(is_full);
        self.posts.insert(op, PostInFlight { queue: queue.clone(), messages, is_full });
    }

    pub(super) fn is_in_flight(&self, op: OpId) -> bool {
        self.posts.contains_key(&op)
    }

    /// The post whose answer has come.
    pub(super) fn finish_post(&mut self, op: OpId) -> Option<PostInFlight> {
        let post = self.posts.remove(&op)?;
        let queue_outbox = self.queue_outbox(&post.queue);
        queue_outbox.in_flight = queue_outbox.in_flight.saturating_sub(1);
        queue_outbox.full_in_flight =
            queue_outbox.full_in_flight.saturating_sub(usize::from(post.is_full));
        Some(post)
    }

    /// A post to the queue was answered as it should be. Says whether the queue was degraded.
    pub(super) fn succeeded(&mut self, queue: &QueueName) -> bool {
        let queue_outbox = self.queue_outbox(queue);
        let degraded = queue_outbox.failed_rounds >= ROUNDS_UNTIL_DEGRADED;
        queue_outbox.failed_rounds = 0;
        degraded
    }

    /// A post to the queue has failed. Of several that were in flight together only the first
    /// counts: the others tell nothing new.
    pub(super) fn failed(&mut self, queue: &QueueName) -> Option<FailedRound> {
        let queue_outbox = self.queue_outbox(queue);
        if queue_outbox.resting_until.is_some() {
            return None;
        }
        queue_outbox.failed_rounds = queue_outbox.failed_rounds.saturating_add(1);
        Some(FailedRound {
            number: queue_outbox.failed_rounds,
            is_degraded_now: queue_outbox.failed_rounds == ROUNDS_UNTIL_DEGRADED,
        })
    }

    /// Lets the queue rest until then, or longer if it was to rest longer. Gives the moment.
    pub(super) fn rest(&mut self, queue: &QueueName, until: Moment) -> Moment {
        let queue_outbox = self.queue_outbox(queue);
        *queue_outbox.resting_until.insert(queue_outbox.resting_until.unwrap_or(until).max(until))
    }

    /// The queue could not be reached at all, so that all its waiting messages could not be sent
    /// either: counts a try of each, and takes out those that have used up theirs.
    pub(super) fn count_try_of_waiting(
        &mut self,
        queue: &QueueName,
        tries: u32,
    ) -> Vec<OutgoingMessage> {
        let queue_outbox = self.queue_outbox(queue);
        let halves = std::mem::take(&mut queue_outbox.halves).into_iter().flatten();
        let waiting = std::mem::take(&mut queue_outbox.waiting);
        queue_outbox.waiting_bytes = 0;
        let mut exhausted = Vec::new();
        for mut outgoing in halves.chain(waiting) {
            outgoing.tries += 1;
            if outgoing.tries >= tries {
                exhausted.push(outgoing)
            } else {
                queue_outbox.put_last(outgoing)
            }
        }
        exhausted
    }

    /// The queue has rested.
    pub(super) fn rested(&mut self, queue: &QueueName) {
        self.queue_outbox(queue).resting_until = None;
    }

    /// Drops the queue's lane if nothing is left in it, or too many queues are remembered only since
    /// posts to them have failed.
    pub(super) fn tidy(&mut self, queue: &QueueName) {
        let crowded = self.queues.len() > MOST_REMEMBERED;
        let Some(queue_outbox) = self.queues.get(queue) else { return };
        if queue_outbox.is_idle() || (crowded && queue_outbox.has_nothing_to_send()) {
            self.queues.remove(queue);
        }
    }

    /// Takes out everything: first what waits, then what is in flight.
    pub(super) fn clear(&mut self) -> (Vec<OutgoingMessage>, Vec<OutgoingMessage>) {
        let queues = std::mem::take(&mut self.queues).into_values();
        let waiting = queues
            .flat_map(|queue_outbox| {
                queue_outbox.halves.into_iter().flatten().chain(queue_outbox.waiting)
            })
            .collect();
        let posts = std::mem::take(&mut self.posts).into_values();
        (waiting, posts.flat_map(|post| post.messages).collect())
    }

    fn queue_outbox(&mut self, queue: &QueueName) -> &mut QueueOutbox {
        self.queues.entry(queue.clone()).or_default()
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
    use crate::id::IdGenerator;

    fn outbox_after(answer: impl FnOnce(&mut Outbox, &QueueName)) -> Outbox {
        let mut outbox = Outbox::new(PostLimits { messages: 100, bytes: 1_000, in_flight: 8 });
        let queue = QueueName::new("testpackage").unwrap();
        let id = TaskId::from_random([1; 16]);
        outbox.add(&queue, OutgoingMessage::new(id, Body::new("{}"), Duration::ZERO, 30, true));
        let post = outbox.next_post(&queue, true).unwrap();
        let op = IdGenerator::default().next_op();
        outbox.posted(op, &queue, post);
        outbox.finish_post(op).unwrap();
        answer(&mut outbox, &queue);
        outbox.tidy(&queue);
        outbox
    }

    #[test]
    fn a_queue_with_nothing_to_send_leaves_nothing_behind() {
        let outbox = outbox_after(|outbox, queue| {
            outbox.succeeded(queue);
        });
        assert!(outbox.queues.is_empty() && outbox.posts.is_empty());
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
        assert_eq!(outbox.queues.len(), MOST_REMEMBERED);
    }

    #[test]
    fn a_queue_that_is_down_is_remembered_with_nothing_to_send() {
        let outbox = outbox_after(|outbox, queue| {
            outbox.failed(queue);
        });
        assert_eq!(outbox.queues.len(), 1);
    }
}

//! Messages that are not yet in their queues: waiting, in flight, or paused.

#[cfg(test)]
mod tests;
mod withdrawal;

pub(super) use withdrawal::Withdrawal;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::{OpId, TaskId};
use crate::name::QueueName;
use crate::queue::{Body, EMPTY_POST, Fault, NewMessage};
use crate::time::Moment;

/// How many failing queues without messages are remembered.
const MAX_REMEMBERED: usize = 1000;

/// After this many consecutive failed rounds of posts a queue counts as degraded.
const ROUNDS_UNTIL_DEGRADED: u32 = 3;

#[derive(Debug)]
pub(super) struct OutgoingMessage {
    /// The id of its task.
    pub(super) id: TaskId,
    body: Body,
    delay: Duration,
    encoded: usize,
    /// Whether it may be sent again although the queue may have a copy.
    pub(super) repeatable: bool,
    /// How often it was sent, or could not be sent because its queue was down.
    pub(super) tries: u32,
    /// Whether a reply was lost, so that the queue may have a copy.
    pub(super) may_be_stored: bool,
    /// Whether nobody waits for it to be sent any more, although its post is in flight. It is not
    /// sent again.
    pub(super) is_abandoned: bool,
}

impl OutgoingMessage {
    /// `encoded` is its size in a post, in bytes.
    pub(super) fn new(
        id: TaskId,
        body: Body,
        delay: Duration,
        encoded: usize,
        repeatable: bool,
    ) -> Self {
        OutgoingMessage {
            id,
            body,
            delay,
            encoded,
            repeatable,
            tries: 0,
            may_be_stored: false,
            is_abandoned: false,
        }
    }

    /// The message to post.
    pub(super) fn message(&self) -> NewMessage {
        NewMessage { body: self.body.clone(), delay: self.delay }
    }
}

/// A post that waits for its reply.
#[derive(Debug)]
pub(super) struct PostInFlight {
    pub(super) queue: QueueName,
    pub(super) messages: Vec<OutgoingMessage>,
    pub(super) since: Moment,
    is_full: bool,
}

/// The messages of the next post.
#[derive(Debug)]
pub(super) struct NextPost {
    pub(super) messages: Vec<OutgoingMessage>,
    /// Whether the post is full.
    pub(super) is_full: bool,
}

/// The limits of a post's size and of the posts in flight to one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct PostLimits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) in_flight: usize,
}

/// The messages of one queue. While posts to it fail, it is paused between two trial posts.
#[derive(Debug, Default)]
struct QueueOutbox {
    waiting: VecDeque<OutgoingMessage>,
    /// The size of the waiting messages in a post, in bytes.
    waiting_bytes: usize,
    /// Halves of batches that were refused as a whole. They are not merged again.
    halves: VecDeque<Vec<OutgoingMessage>>,
    in_flight: usize,
    /// How many of the posts in flight are full.
    full_in_flight: usize,
    /// The first waiting message has waited long enough to be batched.
    has_merged: bool,
    /// The number of consecutive failed rounds of posts, and the last failure.
    failed_rounds: u32,
    fault: Option<Fault>,
    paused_until: Option<Moment>,
}

impl QueueOutbox {
    /// The next post, if it may be sent now. A small post waits for more calls unless `alone`: no
    /// other post is in flight.
    fn next_post(&mut self, limits: PostLimits, alone: bool) -> Option<NextPost> {
        let in_flight = if self.failed_rounds == 0 { limits.in_flight } else { 1 };
        if self.paused_until.is_some() || self.in_flight >= in_flight {
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
        let first = self.take_first()?;
        let mut bytes = EMPTY_POST + first.encoded;
        let mut messages = Vec::with_capacity(limits.messages.min(1 + self.waiting.len()));
        messages.push(first);
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
        self.waiting.len() >= limits.messages || EMPTY_POST + self.waiting_bytes > limits.bytes
    }

    /// Whether a small post may be sent immediately: at most half of the posts in flight may be
    /// small. None may while a full post is in flight, because calls then arrive faster than they
    /// could be sent one by one.
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

    /// Whether the merge timer of the waiting messages should run.
    fn may_merge(&self) -> bool {
        !self.waiting.is_empty() && !self.has_merged && self.failed_rounds == 0
    }

    /// Whether dropping this entry would lose nothing.
    fn is_idle(&self) -> bool {
        self.has_nothing_to_send() && self.failed_rounds == 0
    }

    /// Whether nothing waits or is in flight, and no pause is active.
    fn has_nothing_to_send(&self) -> bool {
        self.waiting.is_empty()
            && self.halves.is_empty()
            && self.in_flight == 0
            && self.paused_until.is_none()
    }
}

#[derive(Debug)]
pub(super) struct Outbox {
    limits: PostLimits,
    queues: BTreeMap<QueueName, QueueOutbox>,
    posts: BTreeMap<OpId, PostInFlight>,
    /// How many messages in flight are abandoned.
    abandoned: usize,
}

impl Outbox {
    pub(super) fn new(limits: PostLimits) -> Self {
        Outbox { limits, queues: BTreeMap::new(), posts: BTreeMap::new(), abandoned: 0 }
    }

    /// Appends a message to its queue.
    pub(super) fn add(&mut self, queue: &QueueName, outgoing: OutgoingMessage) {
        self.queue_outbox(queue).put_last(outgoing);
    }

    /// Prepends messages that are to be sent again, in their order.
    pub(super) fn put_back(&mut self, queue: &QueueName, messages: Vec<OutgoingMessage>) {
        let queue_outbox = self.queue_outbox(queue);
        for outgoing in messages.into_iter().rev() {
            queue_outbox.put_first(outgoing);
        }
    }

    /// Splits a refused batch, and puts its halves before all other messages of the queue.
    pub(super) fn split(&mut self, queue: &QueueName, mut messages: Vec<OutgoingMessage>) {
        messages.retain(|outgoing| !outgoing.is_abandoned);
        let second = messages.split_off(messages.len() / 2);
        let queue_outbox = self.queue_outbox(queue);
        for half in [second, messages].into_iter().filter(|half| !half.is_empty()) {
            queue_outbox.halves.push_front(half);
        }
    }

    pub(super) fn is_posting(&self, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(|queue_outbox| queue_outbox.in_flight > 0)
    }

    /// Whether the merge timer of this queue should run.
    pub(super) fn may_merge(&self, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(QueueOutbox::may_merge)
    }

    /// The merge timer has ended: the waiting calls may be posted.
    pub(super) fn merged(&mut self, queue: &QueueName) {
        self.queue_outbox(queue).has_merged = true;
    }

    /// The next messages to post to a queue, if a post may be sent now. Pass them to
    /// [`Outbox::posted`]. `alone`: they need not wait to be batched.
    pub(super) fn next_post(&mut self, queue: &QueueName, alone: bool) -> Option<NextPost> {
        self.queues.get_mut(queue)?.next_post(self.limits, alone)
    }

    /// Stores a sent post until its reply arrives.
    pub(super) fn posted(&mut self, op: OpId, queue: &QueueName, post: NextPost, since: Moment) {
        let NextPost { messages, is_full } = post;
        let queue_outbox = self.queue_outbox(queue);
        queue_outbox.in_flight += 1;
        queue_outbox.full_in_flight += usize::from(is_full);
        let queue = queue.clone();
        self.posts.insert(op, PostInFlight { queue, messages, since, is_full });
    }

    pub(super) fn is_in_flight(&self, op: OpId) -> bool {
        self.posts.contains_key(&op)
    }

    /// Removes a post whose reply has arrived.
    pub(super) fn finish_post(&mut self, op: OpId) -> Option<PostInFlight> {
        let post = self.posts.remove(&op)?;
        if self.abandoned > 0 {
            self.abandoned -= post.messages.iter().filter(|message| message.is_abandoned).count();
        }
        let queue_outbox = self.queue_outbox(&post.queue);
        queue_outbox.in_flight = queue_outbox.in_flight.saturating_sub(1);
        queue_outbox.full_in_flight =
            queue_outbox.full_in_flight.saturating_sub(usize::from(post.is_full));
        Some(post)
    }

    /// Records a successful post. Returns whether the queue was degraded.
    pub(super) fn succeeded(&mut self, queue: &QueueName) -> bool {
        let queue_outbox = self.queue_outbox(queue);
        let degraded = queue_outbox.failed_rounds >= ROUNDS_UNTIL_DEGRADED;
        queue_outbox.failed_rounds = 0;
        queue_outbox.fault = None;
        degraded
    }

    /// Records a failed post. Of several that were in flight together only the first counts.
    pub(super) fn failed(&mut self, queue: &QueueName, fault: &Fault) -> Option<FailedRound> {
        let queue_outbox = self.queue_outbox(queue);
        queue_outbox.fault = Some(fault.clone());
        if queue_outbox.paused_until.is_some() {
            return None;
        }
        queue_outbox.failed_rounds = queue_outbox.failed_rounds.saturating_add(1);
        Some(FailedRound {
            number: queue_outbox.failed_rounds,
            is_degraded_now: queue_outbox.failed_rounds == ROUNDS_UNTIL_DEGRADED,
        })
    }

    /// Pauses the queue until this moment, or later if it is already paused for longer. Returns the
    /// moment.
    pub(super) fn pause(&mut self, queue: &QueueName, until: Moment) -> Moment {
        let queue_outbox = self.queue_outbox(queue);
        *queue_outbox.paused_until.insert(queue_outbox.paused_until.unwrap_or(until).max(until))
    }

    /// Counts a failed try for each waiting message, because the queue is unreachable. Removes and
    /// returns those without tries left.
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

    /// Ends the pause of the queue.
    pub(super) fn resume(&mut self, queue: &QueueName) {
        self.queue_outbox(queue).paused_until = None;
    }

    /// Drops the queue's entry if it is empty, or if it has only failures to remember and there are
    /// too many of those.
    pub(super) fn tidy(&mut self, queue: &QueueName) {
        let crowded = self.queues.len() > MAX_REMEMBERED;
        let Some(queue_outbox) = self.queues.get(queue) else { return };
        if queue_outbox.is_idle() || (crowded && queue_outbox.has_nothing_to_send()) {
            self.queues.remove(queue);
        }
    }

    /// Removes everything: first the waiting messages, then those in flight.
    pub(super) fn clear(&mut self) -> (Vec<OutgoingMessage>, Vec<OutgoingMessage>) {
        let queues = std::mem::take(&mut self.queues).into_values();
        let waiting = queues
            .flat_map(|queue_outbox| {
                queue_outbox.halves.into_iter().flatten().chain(queue_outbox.waiting)
            })
            .collect();
        let posts = std::mem::take(&mut self.posts).into_values();
        self.abandoned = 0;
        (waiting, posts.flat_map(|post| post.messages).collect())
    }

    fn queue_outbox(&mut self, queue: &QueueName) -> &mut QueueOutbox {
        self.queues.entry(queue.clone()).or_default()
    }
}

/// A failed round of posts to a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedRound {
    /// The number of consecutive failed rounds.
    pub(super) number: u32,
    /// Whether the queue counts as degraded from this round on.
    pub(super) is_degraded_now: bool,
}

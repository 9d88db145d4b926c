//! Counts consecutive messages that this worker's keys, policy, clock or formats cannot process.
//!
//! After many of them the queue is paused. Otherwise a worker that lacks a key would move all
//! messages to the dead-letter queue, or keep them from workers that have the key. While other
//! messages of the queue can be processed, the worker lacks nothing and the queue is not paused.
//!
//! Before the first processable message, a worker that lacks a key cannot be distinguished from one
//! that started behind the messages of another program. So in a backlog the first pauses are short,
//! and more messages are tried after each: valid messages behind a thousand others are found within
//! ten seconds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::MessageId;
use crate::retry::Backoff;

use super::{Consequence, MANY, PAUSE};

/// The maximum number of messages that are counted.
const MAX_LIMIT: usize = 10_240;
/// The factor by which the limit grows after each pause in a backlog.
const GROWTH: usize = 4;
/// How long the queue is paused in a backlog: at the longest, 640 messages a second are tried, so that
/// valid ones behind a hundred thousand others are found within three minutes.
const PAUSES_IN_BACKLOG: Backoff = Backoff::new(Duration::from_secs(1), 2, Duration::from_secs(16));

#[derive(Debug)]
pub(super) struct Streak {
    /// Each message counts once, however often it is delivered.
    messages: BTreeSet<MessageId>,
    /// How many of them pause the queue.
    limit: usize,
    /// How often it was paused in a backlog.
    pauses: u32,
    degraded: bool,
}

impl Default for Streak {
    fn default() -> Self {
        Streak { messages: BTreeSet::new(), limit: MANY, pauses: 0, degraded: false }
    }
}

impl Streak {
    /// Counts an unprocessable message. `processed_recently`: other messages of the queue could be
    /// processed lately; `backlog`: more messages follow.
    pub(super) fn record(
        &mut self,
        message: &MessageId,
        processed_recently: bool,
        backlog: bool,
    ) -> Consequence {
        if self.messages.len() < self.limit {
            self.messages.insert(message.clone());
        }
        let full = self.messages.len() >= self.limit;
        let mut consequence = Consequence::default();
        if full && !processed_recently {
            self.messages.clear();
            consequence.pause = Some(self.next_pause(backlog));
            // Degraded again after a pause: paused again without another event.
            consequence.degraded = !std::mem::replace(&mut self.degraded, true);
        }
        consequence.longest_delay = full || self.degraded;
        consequence.must_be_kept = self.degraded;
        consequence
    }

    fn next_pause(&mut self, backlog: bool) -> Duration {
        if !backlog {
            return PAUSE;
        }
        self.limit = (self.limit * GROWTH).min(MAX_LIMIT);
        let pause = PAUSES_IN_BACKLOG.ceiling(self.pauses);
        self.pauses = self.pauses.saturating_add(1);
        pause
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// Ends the streak after a processable message. Returns whether the queue was degraded.
    pub(super) fn end(&mut self) -> bool {
        let ended = std::mem::take(self);
        ended.degraded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state of a queue whose messages this worker cannot process.
    #[derive(Clone, Copy)]
    struct Queue {
        processed_recently: bool,
        backlog: bool,
    }

    const TRICKLE: Queue = Queue { processed_recently: false, backlog: false };
    const BACKLOG: Queue = Queue { processed_recently: false, backlog: true };
    const PROCESSED: Queue = Queue { processed_recently: true, backlog: true };

    fn add(streak: &mut Streak, numbers: std::ops::Range<u32>, queue: Queue) -> Consequence {
        let Queue { processed_recently, backlog } = queue;
        let mut last = Consequence::default();
        for number in numbers {
            let message = MessageId::new(number.to_string());
            last = streak.record(&message, processed_recently, backlog);
        }
        last
    }

    #[test]
    fn twenty_in_a_row_pause_the_queue_and_keep_its_messages() {
        let mut streak = Streak::default();
        assert_eq!(add(&mut streak, 0..19, TRICKLE), Consequence::default());
        let last = add(&mut streak, 19..20, TRICKLE);
        assert_eq!((last.pause, last.degraded, last.must_be_kept), (Some(PAUSE), true, true));
        assert!(last.longest_delay);
        assert!(streak.end(), "it was degraded");
        assert!(!streak.end());
    }

    #[test]
    fn twenty_more_after_a_pause_pause_the_queue_again() {
        let mut streak = Streak::default();
        add(&mut streak, 0..20, TRICKLE);
        let last = add(&mut streak, 20..39, TRICKLE);
        assert_eq!((last.pause, last.must_be_kept), (None, true));
        let last = add(&mut streak, 39..40, TRICKLE);
        assert_eq!((last.pause, last.degraded), (Some(PAUSE), false), "reported once");
    }

    #[test]
    fn in_a_backlog_the_pauses_and_the_number_of_tries_grow() {
        let mut streak = Streak::default();
        let (mut tried, mut pauses) = (Vec::new(), Vec::new());
        for number in 0..10_000 {
            if let Some(pause) = add(&mut streak, number..number + 1, BACKLOG).pause {
                tried.push(number + 1);
                pauses.push(pause);
            }
        }
        assert_eq!(tried, [20, 100, 420, 1_700, 6_820]);
        assert_eq!(pauses, [1, 2, 4, 8, 16].map(Duration::from_secs));
        streak.end();
        assert_eq!(add(&mut streak, 0..20, BACKLOG).pause, Some(PAUSES_IN_BACKLOG.ceiling(0)));
    }

    #[test]
    fn while_other_messages_are_processed_the_queue_continues_and_these_are_delayed() {
        let mut streak = Streak::default();
        let last = add(&mut streak, 0..100, PROCESSED);
        let longest = Consequence { longest_delay: true, ..Consequence::default() };
        assert_eq!(last, longest);
        assert!(!streak.end());
        assert_eq!(add(&mut streak, 0..19, PROCESSED), Consequence::default());
    }

    #[test]
    fn one_message_counts_once_however_often_it_is_delivered() {
        let mut streak = Streak::default();
        for _ in 0..50 {
            assert_eq!(add(&mut streak, 7..8, TRICKLE), Consequence::default());
        }
    }
}

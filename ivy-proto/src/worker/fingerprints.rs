//! Remembers the bodies of recent message ids, to detect a queue that uses an id twice.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::hash_map::SortedHashMap;
use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::ReceivedBody;

/// How many messages are remembered.
const MAX_REMEMBERED: usize = 1024;

/// For each message a hash of its queue and id, and a hash of its body.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    body_by_id: SortedHashMap<u64, u64>,
    oldest_first: VecDeque<u64>,
}

impl Fingerprints {
    /// Records a message. Returns whether its id was seen with another body.
    pub(super) fn add(
        &mut self,
        queue: &QueueName,
        message: &MessageId,
        body: &ReceivedBody,
    ) -> bool {
        let id = fingerprint(&(queue.as_str(), message.as_bytes()));
        let body = match body {
            ReceivedBody::Text(body) => fingerprint(&("text", body.as_str())),
            ReceivedBody::NotText(body) => fingerprint(&("not text", body.as_bytes())),
            ReceivedBody::Missing => fingerprint(&"missing"),
            ReceivedBody::TooLarge => fingerprint(&"too large"),
        };
        if let Some(before) = self.body_by_id.insert(id, body) {
            return before != body;
        }
        self.oldest_first.push_back(id);
        if self.oldest_first.len() > MAX_REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.body_by_id.remove(&oldest);
        }
        false
    }
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Body;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    fn text(text: &str) -> ReceivedBody {
        ReceivedBody::Text(Body::new(text))
    }

    #[test]
    fn an_id_with_another_body_is_detected() {
        let mut seen = Fingerprints::default();
        let id = MessageId::new("7");
        assert!(!seen.add(&queue("a"), &id, &text("x")));
        assert!(!seen.add(&queue("a"), &id, &text("x")), "redelivered");
        assert!(!seen.add(&queue("b"), &id, &text("y")), "ids are per queue");
        assert!(!seen.add(&queue("a"), &MessageId::new("8"), &text("y")));
        assert!(seen.add(&queue("a"), &id, &text("y")));
        assert!(!seen.add(&queue("a"), &id, &text("y")), "compared with the last body");
        assert!(seen.add(&queue("a"), &id, &ReceivedBody::NotText(Body::new("y"))));
        assert!(seen.add(&queue("a"), &id, &ReceivedBody::Missing));
    }

    #[test]
    fn the_oldest_message_is_evicted() {
        let mut seen = Fingerprints::default();
        for n in 0..=MAX_REMEMBERED {
            seen.add(&queue("a"), &MessageId::new(n.to_string()), &text("x"));
        }
        assert_eq!(
            (seen.body_by_id.len(), seen.oldest_first.len()),
            (MAX_REMEMBERED, MAX_REMEMBERED)
        );
        assert!(!seen.add(&queue("a"), &MessageId::new("0"), &text("y")));
        assert!(seen.add(&queue("a"), &MessageId::new(MAX_REMEMBERED.to_string()), &text("y")));
    }
}

//! What came under which id, remembered for a while, so that an id that a queue gives twice is told.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::hash_map::SortedHashMap;
use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::ReceivedBody;

/// How many messages are remembered.
const MOST: usize = 1024;

/// Two numbers for each message, made of its queue and id and of its body.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    of: SortedHashMap<u64, u64>,
    oldest_first: VecDeque<u64>,
}

impl Fingerprints {
    /// Remembers a message. Says whether its id came before, with another body.
    pub(super) fn add(
        &mut self,
        queue: &QueueName,
        message: &MessageId,
        body: &ReceivedBody,
    ) -> bool {
        let id = fingerprint(&(queue.as_str(), message.as_bytes()));
        let body = match body {
            ReceivedBody::Text(body) => fingerprint(&("text", body.as_str())),
            ReceivedBody::NotText(body) => fingerprint(&("not text", body.as_str())),
            ReceivedBody::Missing => fingerprint(&"missing"),
        };
        if let Some(before) = self.of.insert(id, body) {
            return before != body;
        }
        self.oldest_first.push_back(id);
        if self.oldest_first.len() > MOST
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.of.remove(&oldest);
        }
        false
    }
}

fn fingerprint(what: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    what.hash(&mut hasher);
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
    fn an_id_is_reused_when_it_comes_again_with_another_body() {
        let mut seen = Fingerprints::default();
        let id = MessageId::new("7");
        assert!(!seen.add(&queue("a"), &id, &text("x")));
        assert!(!seen.add(&queue("a"), &id, &text("x")), "delivered again");
        assert!(!seen.add(&queue("b"), &id, &text("y")), "another queue has ids of its own");
        assert!(!seen.add(&queue("a"), &MessageId::new("8"), &text("y")));
        assert!(seen.add(&queue("a"), &id, &text("y")));
        assert!(!seen.add(&queue("a"), &id, &text("y")), "the last body counts");
        assert!(seen.add(&queue("a"), &id, &ReceivedBody::NotText(Body::new("y"))));
        assert!(seen.add(&queue("a"), &id, &ReceivedBody::Missing));
    }

    #[test]
    fn the_oldest_message_is_forgotten_for_the_newest() {
        let mut seen = Fingerprints::default();
        for n in 0..=MOST {
            seen.add(&queue("a"), &MessageId::new(n.to_string()), &text("x"));
        }
        assert_eq!((seen.of.len(), seen.oldest_first.len()), (MOST, MOST));
        assert!(!seen.add(&queue("a"), &MessageId::new("0"), &text("y")));
        assert!(seen.add(&queue("a"), &MessageId::new(MOST.to_string()), &text("y")));
    }
}

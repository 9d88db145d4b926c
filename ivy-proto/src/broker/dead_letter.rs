//! The server-side dead-letter rule of a queue.

use crate::name::QueueName;
use crate::queue::DeadLetterSetting;

use super::request::Refusal;

/// The default number of reservations after which a message is moved.
const DEFAULT_RESERVATIONS: u32 = 10;
/// The highest number of reservations that a rule may allow.
const MAX_RESERVATIONS: u32 = 1_000;

/// Where a queue moves messages that were reserved too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetterRule {
    pub(super) queue: QueueName,
    pub(super) max_reservations: u32,
}

impl DeadLetterRule {
    /// The rule after a request: another rule, or none.
    pub(super) fn merged(
        rule: Option<&DeadLetterRule>,
        requested: &DeadLetterSetting,
    ) -> Result<Option<DeadLetterRule>, Refusal> {
        if requested.queue.is_none() && requested.max_reservations.is_none() {
            return Ok(None);
        }
        let Some(queue) = requested.queue.as_ref().or(rule.map(|rule| &rule.queue)) else {
            return Err(Refusal::Invalid("dead_letter needs a queue_name"));
        };
        let max_reservations = requested
            .max_reservations
            .or(rule.map(|rule| rule.max_reservations))
            .unwrap_or(DEFAULT_RESERVATIONS);
        if !(1..=MAX_RESERVATIONS).contains(&max_reservations) {
            return Err(Refusal::Invalid("max_reservations must be from 1 to 1000"));
        }
        Ok(Some(DeadLetterRule { queue: queue.clone(), max_reservations }))
    }

    /// Whether the next reserve moves a message with this count.
    pub(super) fn applies_to(&self, reserved_count: u32) -> bool {
        reserved_count >= self.max_reservations
    }
}

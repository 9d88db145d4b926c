//! All queues by name: creation, settings and listing.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::name::QueueName;
use crate::queue::{QueueInfo, QueueSettings};

use super::config::BrokerConfig;
use super::dead_letter::DeadLetterRule;
use super::queue::Queue;
use super::request::Refusal;
use super::settings::Settings;

/// The queues.
#[derive(Debug, Default)]
pub(super) struct Queues(BTreeMap<QueueName, Queue>);

impl Queues {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, name: &QueueName) -> Result<&Queue, Refusal> {
        self.0.get(name).ok_or(Refusal::QueueNotFound)
    }

    pub(super) fn find_mut(&mut self, name: &QueueName) -> Result<&mut Queue, Refusal> {
        self.0.get_mut(name).ok_or(Refusal::QueueNotFound)
    }

    /// The queue, with default settings if it did not exist.
    pub(super) fn find_or_create(&mut self, name: &QueueName) -> &mut Queue {
        self.0.entry(name.clone()).or_default()
    }

    pub(super) fn remove(&mut self, name: &QueueName) -> Result<Queue, Refusal> {
        self.0.remove(name).ok_or(Refusal::QueueNotFound)
    }

    /// Creates a queue, or changes the given settings. Creates its dead-letter queue as well.
    pub(super) fn put(
        &mut self,
        name: &QueueName,
        requested: &QueueSettings,
        config: &BrokerConfig,
    ) -> Result<QueueInfo, Refusal> {
        let settings = match self.0.get(name) {
            Some(queue) => queue.settings.merged(requested, config)?,
            None => Settings::new(requested, config)?,
        };
        if let Some(rule) = &settings.dead_letter {
            self.check_no_cycle(name, rule)?;
            self.find_or_create(&rule.queue);
        }
        let queue = self.find_or_create(name);
        queue.settings = settings;
        Ok(queue.info(name))
    }

    /// Names in ascending order.
    pub(super) fn list(&self, prefix: &str, previous: &str, most: usize) -> Vec<QueueName> {
        let start =
            if previous < prefix { Bound::Included(prefix) } else { Bound::Excluded(previous) };
        self.0
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(name, _)| name)
            .take_while(|name| name.as_str().starts_with(prefix))
            .take(most)
            .cloned()
            .collect()
    }

    /// Refuses a rule that would form a cycle: two waiting reserves would pass a message back and
    /// forth indefinitely.
    fn check_no_cycle(&self, from: &QueueName, rule: &DeadLetterRule) -> Result<(), Refusal> {
        let mut rule = Some(rule);
        while let Some(DeadLetterRule { queue, .. }) = rule {
            if queue == from {
                return Err(Refusal::Invalid("dead_letter must not lead back to the queue itself"));
            }
            rule = self.0.get(queue).and_then(|queue| queue.settings.dead_letter.as_ref());
        }
        Ok(())
    }
}

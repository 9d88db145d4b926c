//! The complete, validated settings of a queue.

use std::time::Duration;

use crate::queue::{DeadLetterSetting, QueueSettings};

use super::config::{BrokerConfig, expiration};
use super::dead_letter::DeadLetterRule;
use super::request::Refusal;

/// The settings of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Whether messages can be reserved.
    pub(super) reservable: bool,
    pub(super) message_timeout: Duration,
    pub(super) message_expiration: Duration,
    pub(super) dead_letter: Option<DeadLetterRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            reservable: true,
            message_timeout: Duration::from_secs(60),
            message_expiration: Duration::from_secs(604_800),
            dead_letter: None,
        }
    }
}

impl Settings {
    /// The settings of a new queue.
    pub(super) fn new(requested: &QueueSettings, config: &BrokerConfig) -> Result<Self, Refusal> {
        let reservable = requested.reservable.unwrap_or(true);
        Settings { reservable, ..Settings::default() }.merged(requested, config)
    }

    /// Replaces the given settings. Others stay unchanged.
    pub(super) fn merged(
        &self,
        requested: &QueueSettings,
        config: &BrokerConfig,
    ) -> Result<Self, Refusal> {
        if requested.reservable.is_some_and(|reservable| reservable != self.reservable) {
            return Err(Refusal::KindIsFixed);
        }
        let dead_letter = match &requested.dead_letter {
            None => self.dead_letter.clone(),
            Some(_) if !self.reservable => {
                return Err(Refusal::Invalid("only a pull queue can have a dead_letter"));
            }
            Some(requested) => DeadLetterRule::merged(self.dead_letter.as_ref(), requested)?,
        };
        Ok(Settings {
            reservable: self.reservable,
            message_timeout: config
                .lease(requested.message_timeout)?
                .unwrap_or(self.message_timeout),
            message_expiration: expiration(requested.message_expiration)?
                .unwrap_or(self.message_expiration),
            dead_letter,
        })
    }

    /// The settings as reported: each one, and the dead-letter rule if there is one.
    pub(super) fn reported(&self) -> QueueSettings {
        QueueSettings {
            reservable: Some(self.reservable),
            message_timeout: Some(self.message_timeout),
            message_expiration: Some(self.message_expiration),
            dead_letter: self.dead_letter.as_ref().map(|rule| DeadLetterSetting {
                queue: Some(rule.queue.clone()),
                max_reservations: Some(rule.max_reservations),
            }),
        }
    }
}

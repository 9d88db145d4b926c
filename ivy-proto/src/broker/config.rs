//! What a broker accepts.

use std::time::Duration;

use crate::queue::{Body, Capabilities, NewMessage};

use super::request::Refusal;

/// The ranges of what can be asked for.
const RANGES: Capabilities = Capabilities::broker();
/// The shortest lease that a strict broker grants.
const STRICT_MIN_LEASE: Duration = Duration::from_secs(30);
/// The longest lease.
const MAX_LEASE: Duration = Duration::from_secs(86_400);
/// The longest time that a message is kept.
const MAX_EXPIRATION: Duration = Duration::from_secs(2_592_000);
/// The longest page of a list of queues.
const MAX_PAGE: usize = 100;

/// How a broker behaves where queue servers, or their documentation and their behaviour, differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// The largest body, in bytes. 256 KiB.
    pub max_body: usize,
    /// Whether to refuse what a server may refuse: leases below 30 s, and settings for a queue that
    /// does not exist. Otherwise leases may be as short as one likes, and a
    /// [`PatchQueue`](super::Request::PatchQueue) creates the queue. Off.
    pub strict: bool,
    /// Where a message goes that was given back. To the front.
    pub requeue: Requeue,
    /// In which form bodies are handed in and out. As they are.
    pub bodies: BodyEncoding,
}

/// In which form the bodies of messages come to a broker, and leave it. It matters only for what
/// counts as their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As they are.
    #[default]
    Text,
    /// As they stand in JSON, between the quotes of a string. So a server that reads and writes JSON
    /// can pass them on as they came.
    Json,
}

/// Where a message goes that was reserved and comes back, released or with its lease ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// To the place that it had: before all messages that were posted after it.
    #[default]
    Front,
    /// Behind all messages.
    Back,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig {
            max_body: RANGES.max_body,
            strict: false,
            requeue: Requeue::Front,
            bodies: BodyEncoding::Text,
        }
    }
}

impl BrokerConfig {
    /// The same, with another limit for one body.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The same, refusing what a server may refuse or not.
    #[must_use]
    pub fn with_strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// The same, with another place for messages that were given back.
    #[must_use]
    pub fn with_requeue(mut self, requeue: Requeue) -> Self {
        self.requeue = requeue;
        self
    }

    /// The same, with bodies in another form.
    #[must_use]
    pub fn with_bodies(mut self, form: BodyEncoding) -> Self {
        self.bodies = form;
        self
    }

    pub(super) fn check_message(&self, message: &NewMessage) -> Result<(), Refusal> {
        self.check_body(&message.body)?;
        check_delay(message.delay)
    }

    fn check_body(&self, body: &Body) -> Result<(), Refusal> {
        let written = body.as_str();
        // No text is shorter in JSON.
        let is_small = written.len() <= self.max_body
            || (self.bodies == BodyEncoding::Json && length_in_json(written) <= self.max_body);
        if is_small { Ok(()) } else { Err(Refusal::TooLarge) }
    }

    /// A lease that was asked for, or nothing if none was: zero means that it was not given.
    pub(super) fn lease(&self, asked: Option<Duration>) -> Result<Option<Duration>, Refusal> {
        let Some(lease) = asked.filter(|lease| !lease.is_zero()) else { return Ok(None) };
        if self.strict && lease < STRICT_MIN_LEASE {
            return Err(Refusal::Invalid("timeout must be from 30 to 86400 seconds"));
        }
        if lease > MAX_LEASE {
            return Err(Refusal::Invalid("timeout must be at most 86400 seconds"));
        }
        Ok(Some(lease))
    }
}

/// The length of the text that stands so in JSON.
fn length_in_json(written: &str) -> usize {
    let text: Result<String, _> = serde_json::from_str(&format!("\"{written}\""));
    text.map_or(written.len(), |text| text.len())
}

/// How many messages a reserve or a peek is about: zero means that it was not given.
pub(super) fn count(asked: usize) -> Result<usize, Refusal> {
    if asked > RANGES.batch.reserve {
        return Err(Refusal::Invalid("n must be from 1 to 100"));
    }
    Ok(asked.max(1))
}

pub(super) fn check_batch(length: usize) -> Result<(), Refusal> {
    if (1..=RANGES.batch.post).contains(&length) {
        Ok(())
    } else {
        Err(Refusal::Invalid("a request must be about 1 to 100 messages"))
    }
}

pub(super) fn check_wait(wait: Duration) -> Result<(), Refusal> {
    if wait > RANGES.long_poll {
        return Err(Refusal::Invalid("wait must be from 0 to 30 seconds"));
    }
    Ok(())
}

pub(super) fn check_delay(delay: Duration) -> Result<(), Refusal> {
    if delay > RANGES.max_delay {
        return Err(Refusal::Invalid("delay must be from 0 to 604800 seconds"));
    }
    Ok(())
}

/// How long messages are kept, or nothing if that was not asked: zero means that it was not given.
pub(super) fn expiration(asked: Option<Duration>) -> Result<Option<Duration>, Refusal> {
    let Some(expiration) = asked.filter(|expiration| !expiration.is_zero()) else {
        return Ok(None);
    };
    if expiration > MAX_EXPIRATION {
        return Err(Refusal::Invalid("message_expiration must be at most 2592000 seconds"));
    }
    Ok(Some(expiration))
}

/// How many names a list may have. Too many are not refused: fewer come back.
pub(super) fn page(asked: usize) -> usize {
    asked.clamp(1, MAX_PAGE)
}

//! The configuration and limits of a broker.

use std::time::Duration;

use crate::queue::{Body, Capabilities, NewMessage};

use super::request::Refusal;

/// The limits of requests.
const RANGES: Capabilities = Capabilities::broker();
/// The shortest lease that a strict broker grants.
const STRICT_MIN_LEASE: Duration = Duration::from_secs(30);
/// The longest lease.
const MAX_LEASE: Duration = Duration::from_secs(86_400);
/// The longest retention of a message.
const MAX_EXPIRATION: Duration = Duration::from_secs(2_592_000);
/// The longest page of a list of queues.
const MAX_PAGE: usize = 100;

/// The behaviour of a broker in cases where queue servers differ from each other or from their
/// documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// The largest body, in bytes. Default: 256 KiB.
    pub max_body: usize,
    /// Whether to refuse what a server may refuse: leases below 30 s, and settings for a queue that
    /// does not exist. If not, leases have no lower limit, and a
    /// [`PatchQueue`](super::Request::PatchQueue) creates the queue. Default: off.
    pub strict: bool,
    /// The position of a message that returns to the queue. Default: front.
    pub requeue: Requeue,
    /// The encoding of bodies in requests and responses. Default: text.
    pub bodies: BodyEncoding,
}

/// The encoding of message bodies. It affects only how their length is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyEncoding {
    /// Plain text.
    #[default]
    Text,
    /// Escaped as in a JSON string, without the quotes. A server that reads and writes JSON can
    /// then pass bodies on unchanged.
    Json,
}

/// The position of a message that returns to the queue because it was released or its lease ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// Its old position: before all messages that were posted after it.
    #[default]
    Front,
    /// After all other messages.
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
    /// Sets the limit of a body.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets whether the broker is strict.
    #[must_use]
    pub fn with_strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets the position of returning messages.
    #[must_use]
    pub fn with_requeue(mut self, requeue: Requeue) -> Self {
        self.requeue = requeue;
        self
    }

    /// Sets the encoding of bodies.
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
        // A JSON text is never shorter than the text it encodes.
        let is_small = written.len() <= self.max_body
            || (self.bodies == BodyEncoding::Json && length_in_json(written) <= self.max_body);
        if is_small { Ok(()) } else { Err(Refusal::TooLarge) }
    }

    /// The requested lease; `None` if it was not given or zero.
    pub(super) fn lease(&self, requested: Option<Duration>) -> Result<Option<Duration>, Refusal> {
        let Some(lease) = requested.filter(|lease| !lease.is_zero()) else { return Ok(None) };
        if self.strict && lease < STRICT_MIN_LEASE {
            return Err(Refusal::Invalid("timeout must be from 30 to 86400 seconds"));
        }
        if lease > MAX_LEASE {
            return Err(Refusal::Invalid("timeout must be at most 86400 seconds"));
        }
        Ok(Some(lease))
    }
}

/// The length of a text that is escaped as in a JSON string.
fn length_in_json(written: &str) -> usize {
    let text: Result<String, _> = serde_json::from_str(&format!("\"{written}\""));
    text.map_or(written.len(), |text| text.len())
}

/// The count of a reserve or peek; the default if it is zero.
pub(super) fn count(requested: usize) -> Result<usize, Refusal> {
    if requested > RANGES.batch.reserve {
        return Err(Refusal::Invalid("n must be from 1 to 100"));
    }
    Ok(requested.max(1))
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

/// The requested retention; `None` if it was not given or zero.
pub(super) fn expiration(requested: Option<Duration>) -> Result<Option<Duration>, Refusal> {
    let Some(expiration) = requested.filter(|expiration| !expiration.is_zero()) else {
        return Ok(None);
    };
    if expiration > MAX_EXPIRATION {
        return Err(Refusal::Invalid("message_expiration must be at most 2592000 seconds"));
    }
    Ok(Some(expiration))
}

/// The length of a page of names. Values out of range are clamped, not refused.
pub(super) fn page(requested: usize) -> usize {
    requested.clamp(1, MAX_PAGE)
}

//! What a queue backend can do.

use std::fmt;
use std::panic::catch_unwind;
use std::time::Duration;

use crate::name::QueueName;
use crate::task::discard_panic;

/// What a queue backend can do, told to the machines when they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The longest time that a reserve may wait for a message. Zero: it answers at once.
    pub long_poll: Duration,
    /// The most messages in one request.
    pub batch: BatchLimits,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The largest request, in bytes, that one batch may become.
    pub max_request: usize,
    /// What ends the lease of a message that is neither settled nor renewed.
    pub lease: Lease,
    /// The longest time that a message can be held from its reserve on, however often its lease is
    /// renewed. Before it ends, the handler is cancelled. `None`: there is no such limit.
    pub longest_hold: Option<Duration>,
    /// How long a delete waits for others to travel with. Zero: it does not.
    pub ack_linger: Duration,
    /// How a failed task comes to its next attempt.
    pub retry: Retry,
    /// Whether a receipt is refused once its lease has ended. Where it is not, only the worker's own
    /// clock keeps it from settling what another one runs.
    pub refuses_stale_receipts: bool,
    /// Which of ivy's names of queues the backend cannot have. `None`: it takes them all.
    pub names: Option<NameRule>,
    /// The longest delay of a message.
    pub max_delay: Duration,
    /// Whether a reserve that is given up takes no message with it, however late that is. Elsewhere,
    /// what it was about to bring returns when its lease ends.
    pub takes_back_reserves: bool,
}

/// What ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Time: a worker asks for a length, and renews the lease before it ends.
    Timed {
        /// The shortest that the backend grants.
        shortest: Duration,
        /// The longest.
        longest: Duration,
        /// The shortest that its documentation allows. A shorter one is used all the same, with a
        /// warning.
        documented: Duration,
    },
    /// The connection that the message came by. No time is asked for and nothing is renewed. When the
    /// connection ends, the backend reports [`LeasesLost`](crate::backend::QueueEvent::LeasesLost).
    Connection,
}

impl Lease {
    /// The shortest that can be asked for, if leases are times.
    #[must_use]
    pub fn shortest(self) -> Option<Duration> {
        match self {
            Lease::Timed { shortest, .. } => Some(shortest),
            Lease::Connection => None,
        }
    }
}

/// How a failed task comes to its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Its message is released. Only where the queue counts failed attempts
    /// [exactly](super::DeliveryCount::Exact).
    Release,
    /// A copy with the next attempt's number is posted, and the message deleted.
    Successor,
}

/// Says whether a backend can have a queue of this name, and if not, why: a text that goes on after
/// "since". A name is refused as well if the rule panics.
#[derive(Clone, Copy)]
pub struct NameRule(fn(&QueueName) -> Result<(), &'static str>);

impl NameRule {
    /// The rule that this function checks.
    #[must_use]
    pub const fn new(rule: fn(&QueueName) -> Result<(), &'static str>) -> Self {
        NameRule(rule)
    }

    fn check(self, name: &QueueName) -> Result<(), &'static str> {
        catch_unwind(|| (self.0)(name)).unwrap_or_else(|panic| {
            discard_panic(panic);
            Err("the backend panicked when it checked the name")
        })
    }
}

impl PartialEq for NameRule {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for NameRule {}

impl fmt::Debug for NameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameRule(..)")
    }
}

/// A backend cannot have a queue of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue's server cannot have a queue {queue}, since {why}; choose another name")]
pub struct NameNotForBackend {
    /// The name.
    pub queue: QueueName,
    /// Why it cannot.
    pub why: &'static str,
}

/// What a backend says that it can do is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue's backend has impossible capabilities: {0}; mend the backend")]
pub struct BadCapabilities(&'static str);

/// The most messages in one request, by what it does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// In one [`QueueOp::Post`](super::QueueOp::Post).
    pub post: usize,
    /// In one [`QueueOp::Reserve`](super::QueueOp::Reserve).
    pub reserve: usize,
    /// In one [`QueueOp::DeleteMany`](super::QueueOp::DeleteMany).
    pub delete: usize,
}

impl BatchLimits {
    /// The same number for all.
    #[must_use]
    pub const fn same(messages: usize) -> Self {
        BatchLimits { post: messages, reserve: messages, delete: messages }
    }
}

impl Capabilities {
    /// What the in-memory [`broker`](crate::broker) can do.
    #[must_use]
    pub const fn broker() -> Self {
        let shortest = Duration::from_secs(1);
        Capabilities {
            long_poll: Duration::from_secs(30),
            batch: BatchLimits::same(100),
            max_body: 256 * 1024,
            max_request: 256 * 1024,
            lease: Lease::Timed {
                shortest,
                longest: Duration::from_secs(86_400),
                documented: shortest,
            },
            longest_hold: None,
            ack_linger: Duration::from_millis(50),
            retry: Retry::Release,
            refuses_stale_receipts: true,
            names: None,
            max_delay: Duration::from_secs(604_800),
            takes_back_reserves: false,
        }
    }

    /// Whether they can be those of a backend: no batch and no body is limited to nothing, no lease is
    /// shorter than the shortest, and a message can be held for a second at least.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self) -> Result<(), BadCapabilities> {
        let BatchLimits { post, reserve, delete } = self.batch;
        if post == 0 || reserve == 0 || delete == 0 {
            return Err(BadCapabilities("a batch has room for nothing"));
        }
        if self.max_body == 0 || self.max_request == 0 {
            return Err(BadCapabilities("a message may have no bytes"));
        }
        if let Lease::Timed { shortest, longest, .. } = self.lease
            && (longest.is_zero() || shortest > longest)
        {
            return Err(BadCapabilities("the longest lease is none, or shorter than the shortest"));
        }
        if self.longest_hold.is_some_and(|hold| hold < Duration::from_secs(1)) {
            return Err(BadCapabilities("a message can be held for less than a second"));
        }
        Ok(())
    }

    /// Whether the backend can have a queue of this name, and one for its dead letters.
    ///
    /// # Errors
    /// If not.
    pub fn check_name(&self, queue: &QueueName) -> Result<(), NameNotForBackend> {
        let Some(rule) = self.names else { return Ok(()) };
        let dead = queue.dead_letters().ok();
        for name in [queue].into_iter().chain(&dead) {
            rule.check(name).map_err(|why| NameNotForBackend { queue: name.clone(), why })?;
        }
        Ok(())
    }

    /// The same, with another limit for one body.
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The same, for a backend where a failed task comes to its next attempt in this way.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same, for a backend where a reserve that is given up takes no message with it.
    #[must_use]
    pub const fn with_reserves_taken_back(mut self) -> Self {
        self.takes_back_reserves = true;
        self
    }

    /// The same, for a backend that answers a reserve at once.
    #[must_use]
    pub const fn without_long_poll(mut self) -> Self {
        self.long_poll = Duration::ZERO;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_whose_check_panics_is_refused() {
        let rule = NameRule::new(|name| match name.as_str() {
            "mail" => Ok(()),
            _ => panic!("out of cheese"),
        });
        let capabilities = Capabilities { names: Some(rule), ..Capabilities::broker() };
        // That of its dead letters is checked as well.
        let refused = capabilities.check_name(&QueueName::new("mail").unwrap()).unwrap_err();
        assert_eq!(refused.queue.as_str(), "mail.dead");
        assert!(refused.to_string().contains("the backend panicked"), "{refused}");
    }

    #[test]
    fn impossible_capabilities_are_refused() {
        assert_eq!(Capabilities::broker().check(), Ok(()));
        let refused = |change: fn(&mut Capabilities)| {
            let mut capabilities = Capabilities::broker();
            change(&mut capabilities);
            capabilities.check().is_err()
        };
        assert!(refused(|it| it.batch = BatchLimits::same(0)));
        assert!(refused(|it| it.max_body = 0));
        assert!(refused(|it| it.longest_hold = Some(Duration::from_millis(20))));
        const SECOND: Duration = Duration::from_secs(1);
        assert!(refused(|it| it.lease =
            Lease::Timed { shortest: 2 * SECOND, longest: SECOND, documented: SECOND }));
    }
}

//! Capabilities of queue backends.

use std::fmt;
use std::panic::catch_unwind;
use std::time::Duration;

use crate::name::QueueName;
use crate::task::discard_panic;

/// What a queue backend supports. Passed to the machines when they are created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The longest wait of a reserve for a message. Zero: a reserve returns immediately.
    pub long_poll: Duration,
    /// The limits of messages per request.
    pub batch: BatchLimits,
    /// The longest body, in bytes.
    pub max_body: usize,
    /// The largest request of one batch, in bytes.
    pub max_request: usize,
    /// What ends the lease of a message that is neither settled nor renewed.
    pub lease: Lease,
    /// The longest time that a message can be held after its reserve, however often its lease is
    /// renewed. The handler is cancelled before it ends. `None`: unlimited.
    pub longest_hold: Option<Duration>,
    /// How long a delete waits for others to share its request. Zero: it does not wait.
    pub ack_linger: Duration,
    /// How a failed task is retried.
    pub retry: Retry,
    /// Whether a receipt is refused once its lease has ended. If not, only the worker's own clock
    /// prevents it from settling a message that another worker runs.
    pub refuses_stale_receipts: bool,
    /// Which queue names the backend refuses. `None`: it accepts all valid names.
    pub names: Option<NameRule>,
    /// The longest delay of a message.
    pub max_delay: Duration,
    /// Whether a cancelled reserve never takes a message, however late it is cancelled. If not, a
    /// message that it was about to return is ready again when its lease ends.
    pub takes_back_reserves: bool,
    /// Whether a body that [is not a text](super::Body::is_text) can be posted. If not, a post alters
    /// it. Workers post only those that they have received from the same backend.
    pub posts_bytes: bool,
    /// What matters for the administration of queues.
    pub admin: AdminCapabilities,
}

/// What matters for the administration of queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminCapabilities {
    /// Whether a message that is reserved and then released deliberately counts as delivered once
    /// more. Then looking through a queue that workers serve needs the operator's permission.
    pub release_counts: bool,
    /// How many requests for the sizes of queues may be in flight at a time. Many, if they share one
    /// connection and are sent together.
    pub concurrent_infos: usize,
    /// How many releases of messages may be in flight at a time. More than one only if the backend
    /// executes requests in the order in which they are sent, because each released message becomes
    /// the first of its queue.
    pub pipelined_releases: usize,
}

/// What ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Time: a worker requests a duration, and renews the lease before it ends.
    Timed {
        /// The shortest duration that the backend grants.
        shortest: Duration,
        /// The longest duration that the backend grants.
        longest: Duration,
        /// The shortest duration that its documentation allows. A shorter one is used with a
        /// warning.
        documented: Duration,
    },
    /// The connection that delivered the message. A reserve specifies no duration, and leases are
    /// not renewed. When the connection ends, the backend reports
    /// [`LeasesLost`](crate::backend::QueueEvent::LeasesLost).
    Connection,
}

impl Lease {
    /// The shortest duration of a lease, if leases are timed.
    #[must_use]
    pub fn shortest(self) -> Option<Duration> {
        match self {
            Lease::Timed { shortest, .. } => Some(shortest),
            Lease::Connection => None,
        }
    }
}

/// How a failed task is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Its message is released. Only if the queue counts failed attempts
    /// [exactly](super::DeliveryCount::Exact).
    Release,
    /// A copy with the number of the next attempt is posted, and the message is deleted.
    Successor,
}

/// Checks whether a backend accepts a queue name. The error is a text that continues a sentence
/// after "because". A rule that panics refuses the name.
#[derive(Clone, Copy)]
pub struct NameRule(fn(&QueueName) -> Result<(), &'static str>);

impl NameRule {
    /// A rule that calls this function.
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
#[error("the queue's server cannot have a queue {queue}, because {why}; choose another name")]
pub struct NameNotForBackend {
    /// The name.
    pub queue: QueueName,
    /// The reason.
    pub why: &'static str,
}

/// The capabilities that a backend reports are impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue's backend has impossible capabilities: {0}; fix the backend")]
pub struct BadCapabilities(&'static str);

/// The limits of messages per request, by operation.
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
    /// The same limit for all operations.
    #[must_use]
    pub const fn same(messages: usize) -> Self {
        BatchLimits { post: messages, reserve: messages, delete: messages }
    }
}

impl Capabilities {
    /// The capabilities of the in-memory [`broker`](crate::broker).
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
            posts_bytes: false,
            admin: AdminCapabilities {
                release_counts: false,
                concurrent_infos: 8,
                pipelined_releases: 1,
            },
        }
    }

    /// Checks that the capabilities are possible: each limit is at least one, the longest lease is
    /// not below the shortest, and a message can be held for at least a second.
    ///
    /// # Errors
    /// If they are impossible.
    pub fn check(&self) -> Result<(), BadCapabilities> {
        let BatchLimits { post, reserve, delete } = self.batch;
        if post == 0 || reserve == 0 || delete == 0 {
            return Err(BadCapabilities("the limit of a batch is zero"));
        }
        if self.max_body == 0 || self.max_request == 0 {
            return Err(BadCapabilities("the limit of a body is zero"));
        }
        if let Lease::Timed { shortest, longest, .. } = self.lease
            && (longest.is_zero() || shortest > longest)
        {
            return Err(BadCapabilities("the longest lease is zero, or shorter than the shortest"));
        }
        if self.longest_hold.is_some_and(|hold| hold < Duration::from_secs(1)) {
            return Err(BadCapabilities("the longest hold is less than a second"));
        }
        Ok(())
    }

    /// Checks that the backend accepts a queue of this name, and its dead-letter queue.
    ///
    /// # Errors
    /// If it refuses one of them, or the name is too long for one of the queues that belong to it.
    pub fn check_name(&self, queue: &QueueName) -> Result<(), NameNotForBackend> {
        if queue.check_room_for_suffixes().is_err() {
            let why = "its name leaves no room for `.p9.dead` within 255 bytes";
            return Err(NameNotForBackend { queue: queue.clone(), why });
        }
        let Some(rule) = self.names else { return Ok(()) };
        let dead = queue.dead_letter_queue().ok();
        for name in [queue].into_iter().chain(&dead) {
            rule.check(name).map_err(|why| NameNotForBackend { queue: name.clone(), why })?;
        }
        Ok(())
    }

    /// Sets the limit of a body.
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets how a failed task is retried.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Declares that a cancelled reserve never takes a message.
    #[must_use]
    pub const fn with_reserves_taken_back(mut self) -> Self {
        self.takes_back_reserves = true;
        self
    }

    /// Declares that a reserve returns immediately.
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
        // The name of the dead-letter queue is checked as well.
        let refused = capabilities.check_name(&QueueName::new("mail").unwrap()).unwrap_err();
        assert_eq!(refused.queue.as_str(), "mail.dead");
        assert!(refused.to_string().contains("the backend panicked"), "{refused}");
    }

    #[test]
    fn a_name_that_leaves_no_room_for_the_suffixes_is_refused() {
        let check = |length: usize, suffix: &str| {
            let name = QueueName::new(&format!("{}{suffix}", "q".repeat(length))).unwrap();
            Capabilities::broker().check_name(&name).is_ok()
        };
        for suffix in ["", ".p9", ".dead", ".p9.dead"] {
            assert!(check(247, suffix), "{suffix}");
        }
        assert!(!check(248, "") && !check(255, "") && !check(248, ".p9") && !check(248, ".dead"));
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

//! What a check found.

use std::fmt;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::name::QueueName;
use crate::notify::NotifyFault;
use crate::queue::Fault;

/// What a check of an `Ivy` found, part by part. The `Display` text names each part that failed, why,
/// and what to do next; it contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The keys that messages are encrypted with.
    pub keys: Checked,
    /// The queue's server: whether it is reached, and accepts the credentials.
    pub queue: Checked,
    /// The notifier: whether what is published there arrives.
    pub notifier: Checked,
}

/// A part that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CheckedPart {
    /// The keys.
    Keys,
    /// The queue.
    Queue,
    /// The notifier.
    Notifier,
}

/// The state of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checked {
    /// It works.
    Works {
        /// How long the check took.
        took: Duration,
    },
    /// It was not checked, for this reason.
    NotChecked(&'static str),
    /// It does not work.
    Failed(CheckFault),
}

/// Why a part does not work, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckFault {
    /// What the keys seal does not open.
    #[error("{} cannot be sealed and opened: {why}; check the password and the keyset", OfQueue(.queue))]
    Keys {
        /// The queue with a policy of its own. `None` for the default policy.
        queue: Option<QueueName>,
        /// Why it does not open.
        why: String,
    },
    /// A request to the queue failed.
    #[error("{0}")]
    Queue(Fault),
    /// The notifier failed.
    #[error("{0}")]
    Notifier(NotifyFault),
    /// There was no reply in time.
    #[error(
        "no reply within {limit:?}; check the address, that the server runs, and that nothing in between drops what is sent"
    )]
    NoReply {
        /// The time limit of the check.
        limit: Duration,
    },
}

struct OfQueue<'a>(&'a Option<QueueName>);

impl fmt::Display for OfQueue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(queue) => write!(f, "messages of queue {queue}"),
            None => f.write_str("messages"),
        }
    }
}

impl CheckReport {
    /// A report of these parts.
    #[must_use]
    pub fn new(keys: Checked, queue: Checked, notifier: Checked) -> Self {
        CheckReport { keys, queue, notifier }
    }

    /// The parts.
    pub fn parts(&self) -> impl Iterator<Item = (CheckedPart, &Checked)> {
        [
            (CheckedPart::Keys, &self.keys),
            (CheckedPart::Queue, &self.queue),
            (CheckedPart::Notifier, &self.notifier),
        ]
        .into_iter()
    }

    /// The parts that failed.
    pub fn failures(&self) -> impl Iterator<Item = (CheckedPart, &CheckFault)> {
        self.parts().filter_map(|(part, checked)| match checked {
            Checked::Failed(fault) => Some((part, fault)),
            _ => None,
        })
    }

    /// The kind of the error of a check that failed: that of its first part.
    pub(crate) fn error_kind(&self) -> ErrorKind {
        match self.failures().next() {
            Some((CheckedPart::Keys, _)) => ErrorKind::Config,
            Some((CheckedPart::Notifier, _)) => ErrorKind::NotifierUnavailable,
            _ => ErrorKind::Queue,
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (part, fault) in self.failures() {
            write!(f, "{separator}the {part} failed the check: {fault}")?;
            separator = "; ";
        }
        if separator.is_empty() {
            f.write_str("no part failed the check")?;
        }
        Ok(())
    }
}

impl fmt::Display for CheckedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckedPart::Keys => "keys",
            CheckedPart::Queue => "queue",
            CheckedPart::Notifier => "notifier",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::NotifyFaultKind;
    use crate::queue::FaultKind;

    const WORKS: Checked = Checked::Works { took: Duration::ZERO };

    fn failing(queue: Option<CheckFault>, notifier: Option<CheckFault>) -> CheckReport {
        let checked = |fault: Option<CheckFault>| fault.map_or(WORKS, Checked::Failed);
        CheckReport::new(WORKS, checked(queue), checked(notifier))
    }

    #[test]
    fn every_failed_part_is_named_with_its_reason_and_the_next_step() {
        let queue = || Some(CheckFault::Queue(Fault::new(FaultKind::Unauthorized)));
        let notifier =
            || Some(CheckFault::Notifier(NotifyFault::new(NotifyFaultKind::Unreachable)));
        assert_eq!(
            failing(queue(), notifier()).to_string(),
            "the queue failed the check: the queue's server refused the credentials; check the \
             credentials; the notifier failed the check: cannot reach the notifier; check its \
             address, and that it runs"
        );
        assert_eq!(failing(queue(), notifier()).error_kind(), ErrorKind::Queue);
        assert_eq!(failing(None, notifier()).error_kind(), ErrorKind::NotifierUnavailable);
    }
}

//! Where the parts of a configuration come from.

use super::environment::Origin;

/// Where the parts of a configuration come from, for operators. Contains no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sources {
    /// The source of the queue.
    pub queue: Source,
    /// The source of the notifier.
    pub notifier: Source,
    /// The source of the notification channel.
    pub channel: Source,
    /// The source of the encryption password.
    pub password: Source,
    /// The source of the keyset.
    pub keyset: Source,
}

/// Where a part of a configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// It was given or found.
    Origin(Origin),
    /// The program provides its own.
    Program,
    /// A backend found it without a URL, in variables and files of its own.
    Backend,
    /// It is the server of the queue.
    Queue,
    /// It was not specified: there is a default, or none.
    Unspecified,
}

impl From<Option<Origin>> for Source {
    fn from(origin: Option<Origin>) -> Self {
        origin.map_or(Source::Unspecified, Source::Origin)
    }
}

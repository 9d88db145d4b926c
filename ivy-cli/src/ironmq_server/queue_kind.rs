//! Types of queues.

/// How messages leave a queue. It cannot be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// Workers reserve them.
    #[default]
    Pull,
    /// The queue pushes each to all subscribers.
    Multicast,
    /// The queue pushes each to one subscriber.
    Unicast,
}

impl QueueKind {
    /// The type of this wire name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut all = [QueueKind::Pull, QueueKind::Multicast, QueueKind::Unicast].into_iter();
        all.find(|kind| kind.name() == name)
    }

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            QueueKind::Pull => "pull",
            QueueKind::Multicast => "multicast",
            QueueKind::Unicast => "unicast",
        }
    }
}

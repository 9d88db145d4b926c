//! The kinds of queue servers that the broker stands for.

use std::time::Duration;

use ivy_proto::queue::{Capabilities, Lease, Retry};
use serde::{Deserialize, Serialize};

/// What a kind of queue server does in a way of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Backend {
    /// It counts renewals with the deliveries, and does a batch as a whole or not at all, as IronMQ.
    /// The only one of which the bytes are known.
    #[default]
    CountsRenewals,
    /// It counts how deliveries end, and failed tasks are released, as in memory, on Redis and SQLite.
    Exact,
    /// The same, where failed tasks are succeeded all the same.
    ExactSucceeding,
    /// It takes late receipts, and counts deliveries without renewals, as SQS.
    LateReceipts,
    /// Leases are those of connections, and it counts deliveries, released ones included, as quorum
    /// queues of RabbitMQ.
    Connections,
    /// The same, where it tells only whether there was an earlier delivery, as classic queues do.
    ConnectionsWithFlag,
}

/// What a server says of the deliveries of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// How many there were, and renewals, this one included.
    DeliveriesAndRenewals,
    /// How many there were, this one included.
    Deliveries,
    /// How they ended.
    Ends,
    /// Whether there was one before.
    Flag,
}

impl Backend {
    pub(crate) const ALL: [Backend; 6] = [
        Backend::CountsRenewals,
        Backend::Exact,
        Backend::ExactSucceeding,
        Backend::LateReceipts,
        Backend::Connections,
        Backend::ConnectionsWithFlag,
    ];

    pub(crate) fn counts(self) -> Counts {
        match self {
            Backend::CountsRenewals => Counts::DeliveriesAndRenewals,
            Backend::Exact | Backend::ExactSucceeding => Counts::Ends,
            Backend::LateReceipts | Backend::Connections => Counts::Deliveries,
            Backend::ConnectionsWithFlag => Counts::Flag,
        }
    }

    /// Whether it counts how deliveries end.
    pub(crate) fn counts_exactly(self) -> bool {
        self.counts() == Counts::Ends
    }

    /// Whether leases end with the connection of their worker, and never by time.
    pub(crate) fn leases_by_connection(self) -> bool {
        matches!(self, Backend::Connections | Backend::ConnectionsWithFlag)
    }

    /// Whether a receipt is refused once its lease has ended.
    pub(crate) fn refuses_late_receipts(self) -> bool {
        self != Backend::LateReceipts
    }

    /// Whether it answers for each message of a batch.
    pub(crate) fn answers_by_entry(self) -> bool {
        self != Backend::CountsRenewals
    }

    /// Whether requests and answers can travel as bytes.
    pub(crate) fn has_bytes(self) -> bool {
        self == Backend::CountsRenewals
    }

    /// What it tells the machines of itself.
    pub(crate) fn capabilities(self) -> Capabilities {
        let retry = if self == Backend::Exact { Retry::Release } else { Retry::Successor };
        let mut capabilities = Capabilities::broker().with_retry(retry);
        capabilities.refuses_stale_receipts = self.refuses_late_receipts();
        if self.leases_by_connection() {
            capabilities.lease = Lease::Connection;
            capabilities.takes_back_reserves = true;
            capabilities.ack_linger = Duration::ZERO;
        }
        capabilities
    }
}

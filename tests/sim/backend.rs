//! The kinds of queue servers that the broker simulates.

use std::time::Duration;

use ivy_proto::queue::{Capabilities, Lease, Retry};
use serde::{Deserialize, Serialize};

/// The specific behaviour of a kind of queue server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Backend {
    /// Counts renewals together with deliveries, and executes a batch as a whole or not at all,
    /// like IronMQ. The only kind that is also simulated as bytes.
    #[default]
    CountsRenewals,
    /// Counts how deliveries end, and failed tasks are released, like the memory queue, Redis and
    /// SQLite.
    Exact,
    /// The same, except that failed tasks get a successor.
    ExactSucceeding,
    /// Accepts late receipts, and counts deliveries without renewals, like SQS.
    LateReceipts,
    /// A Redis server, over the connections that ivy's session opens. It counts like `Exact`.
    Redis,
    /// Leases belong to connections, and it counts deliveries, including released ones, like
    /// RabbitMQ's quorum queues.
    Connections,
    /// The same, except that it reports only whether there was an earlier delivery, like classic
    /// queues.
    ConnectionsWithFlag,
}

/// What a server reports of a message's deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The number of deliveries and renewals, including this one.
    DeliveriesAndRenewals,
    /// The number of deliveries, including this one.
    Deliveries,
    /// How the deliveries ended.
    Ends,
    /// Whether there was an earlier delivery.
    Flag,
}

impl Backend {
    pub(crate) const ALL: [Backend; 7] = [
        Backend::CountsRenewals,
        Backend::Exact,
        Backend::ExactSucceeding,
        Backend::LateReceipts,
        Backend::Redis,
        Backend::Connections,
        Backend::ConnectionsWithFlag,
    ];

    pub(crate) fn counts(self) -> Counts {
        match self {
            Backend::CountsRenewals => Counts::DeliveriesAndRenewals,
            Backend::Exact | Backend::ExactSucceeding | Backend::Redis => Counts::Ends,
            Backend::LateReceipts | Backend::Connections => Counts::Deliveries,
            Backend::ConnectionsWithFlag => Counts::Flag,
        }
    }

    /// Whether it counts how deliveries end.
    pub(crate) fn counts_exactly(self) -> bool {
        self.counts() == Counts::Ends
    }

    /// Whether leases end with their worker's connection, and never by time.
    pub(crate) fn leases_by_connection(self) -> bool {
        matches!(self, Backend::Connections | Backend::ConnectionsWithFlag)
    }

    /// Whether a receipt is refused once its lease has ended.
    pub(crate) fn refuses_late_receipts(self) -> bool {
        self != Backend::LateReceipts
    }

    /// Whether it replies for each message of a batch.
    pub(crate) fn replies_per_message(self) -> bool {
        self != Backend::CountsRenewals
    }

    /// Whether each process runs a session, which opens connections to the server.
    pub(crate) fn has_sessions(self) -> bool {
        self == Backend::Redis
    }

    /// Whether a receipt is accepted after the end of its lease until the message is made ready.
    pub(crate) fn keeps_ended_leases(self) -> bool {
        self == Backend::Redis
    }

    /// Whether requests and responses can travel as bytes.
    pub(crate) fn has_bytes(self) -> bool {
        self == Backend::CountsRenewals
    }

    /// The capabilities that it reports to the machines.
    pub(crate) fn capabilities(self) -> Capabilities {
        let retry = match self {
            Backend::Exact | Backend::Redis => Retry::Release,
            _ => Retry::Successor,
        };
        let mut capabilities = Capabilities::broker().with_retry(retry);
        capabilities.refuses_stale_receipts = self.refuses_late_receipts();
        capabilities.admin.release_counts = !self.counts_exactly();
        if self.has_sessions() {
            capabilities = capabilities.with_reserves_taken_back();
        }
        if self.leases_by_connection() {
            capabilities.lease = Lease::Connection;
            capabilities.takes_back_reserves = true;
            capabilities.ack_linger = Duration::ZERO;
        }
        capabilities
    }
}

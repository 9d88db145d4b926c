//! What may happen to a request of a sweep, or to the sweep while its request is in flight.

use ivy_proto::queue::QueueOp;

use crate::backend::Backend;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SweepFault {
    /// The request is not sent, which is known.
    NotSent,
    /// The request is lost, which looks like a lost reply.
    RequestLost,
    ReplyLost,
    /// The request is executed a second time, when its sender has its reply already.
    Doubled,
    /// The reply arrives after all leases have ended.
    ReplyLate,
    /// The request is executed after all leases have ended.
    RequestLate,
    /// The server refuses the request.
    Refused,
    /// The server refuses the first entry of a batch.
    EntryRefused,
    /// The server executes a batch, and its reply omits whether the last entry was.
    EntryUnknown,
    /// The operator interrupts.
    Interrupt,
    /// The operator interrupts twice.
    InterruptTwice,
    /// The process dies before the request is sent.
    CrashBefore,
    /// The process dies while the request is in flight.
    CrashAfter,
}

impl SweepFault {
    pub(crate) const ALL: [SweepFault; 13] = [
        SweepFault::NotSent,
        SweepFault::RequestLost,
        SweepFault::ReplyLost,
        SweepFault::Doubled,
        SweepFault::ReplyLate,
        SweepFault::RequestLate,
        SweepFault::Refused,
        SweepFault::EntryRefused,
        SweepFault::EntryUnknown,
        SweepFault::Interrupt,
        SweepFault::InterruptTwice,
        SweepFault::CrashBefore,
        SweepFault::CrashAfter,
    ];

    /// Whether such a server behaves so.
    pub(crate) fn occurs_on(self, backend: Backend) -> bool {
        match self {
            SweepFault::EntryRefused | SweepFault::EntryUnknown => backend.replies_per_message(),
            _ => true,
        }
    }

    /// The faults that may happen to this request.
    pub(crate) fn of(op: &QueueOp, backend: Backend) -> Vec<SweepFault> {
        let is_batch = matches!(op, QueueOp::Post { .. } | QueueOp::DeleteMany { .. });
        let may_occur = |fault: &SweepFault| match fault {
            SweepFault::EntryRefused | SweepFault::EntryUnknown => {
                is_batch && fault.occurs_on(backend)
            }
            _ => true,
        };
        SweepFault::ALL.into_iter().filter(may_occur).collect()
    }

    /// Whether it may lead to a second copy of a letter. A letter that was posted stays in the queue
    /// if its deletion is refused.
    pub(crate) fn excuses_a_copy(self, kind: &str) -> bool {
        match self {
            SweepFault::NotSent => false,
            SweepFault::Refused | SweepFault::EntryRefused => kind == "delete",
            _ => true,
        }
    }
}

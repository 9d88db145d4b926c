//! The requests to queues and notifiers.

use std::collections::BTreeMap;

use crate::notify::NotifyFault;
use crate::queue::{Effect, Fault, QueueOp};

use super::counts::Combine;
use super::histogram::{Histogram, Scale};

/// What was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// Post messages.
    Post,
    /// Reserve messages. Takes as long as the long poll waits.
    Reserve,
    /// Renew a lease.
    Touch,
    /// Release a message.
    Release,
    /// Delete messages.
    Delete,
    /// Read or create a queue.
    Queue,
    /// Publish on a notification channel.
    Publish,
}

impl RequestKind {
    /// All values.
    pub const ALL: &'static [RequestKind] = &[
        RequestKind::Post,
        RequestKind::Reserve,
        RequestKind::Touch,
        RequestKind::Release,
        RequestKind::Delete,
        RequestKind::Queue,
        RequestKind::Publish,
    ];

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestKind::Post => "post",
            RequestKind::Reserve => "reserve",
            RequestKind::Touch => "touch",
            RequestKind::Release => "release",
            RequestKind::Delete => "delete",
            RequestKind::Queue => "queue",
            RequestKind::Publish => "publish",
        }
    }

    /// The kind of an operation of a queue.
    pub(crate) const fn of(op: &QueueOp) -> Self {
        match op {
            QueueOp::Post { .. } => RequestKind::Post,
            QueueOp::Reserve { .. } => RequestKind::Reserve,
            QueueOp::Touch { .. } => RequestKind::Touch,
            QueueOp::Release { .. } => RequestKind::Release,
            QueueOp::Delete { .. } | QueueOp::DeleteMany { .. } => RequestKind::Delete,
            _ => RequestKind::Queue,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// It was executed.
    Ok,
    /// The server refused it.
    Refused,
    /// It was certainly not executed.
    NotDone,
    /// It may have been executed.
    Unknown,
}

impl RequestOutcome {
    /// All values.
    pub const ALL: &'static [RequestOutcome] = &[
        RequestOutcome::Ok,
        RequestOutcome::Refused,
        RequestOutcome::NotDone,
        RequestOutcome::Unknown,
    ];

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestOutcome::Ok => "ok",
            RequestOutcome::Refused => "refused",
            RequestOutcome::NotDone => "not_done",
            RequestOutcome::Unknown => "unknown",
        }
    }

    pub(crate) fn of_queue<T>(answer: &Result<T, Fault>) -> Self {
        match answer.as_ref().map_err(Fault::effect) {
            Ok(_) => RequestOutcome::Ok,
            Err(Effect::Refused) => RequestOutcome::Refused,
            Err(Effect::None) => RequestOutcome::NotDone,
            Err(Effect::Unknown) => RequestOutcome::Unknown,
        }
    }

    pub(crate) fn of_notifier<T>(answer: &Result<T, NotifyFault>) -> Self {
        match answer {
            Ok(_) => RequestOutcome::Ok,
            Err(fault) if fault.surely_not_published() => RequestOutcome::NotDone,
            Err(_) => RequestOutcome::Unknown,
        }
    }
}

/// How long requests of one kind took, by outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTimes([Histogram; RequestOutcome::ALL.len()]);

impl Default for RequestTimes {
    fn default() -> Self {
        const EMPTY: Histogram = Histogram::new(Scale::Requests);
        RequestTimes([EMPTY; RequestOutcome::ALL.len()])
    }
}

impl RequestTimes {
    /// The times of one outcome.
    #[must_use]
    pub const fn of(&self, outcome: RequestOutcome) -> &Histogram {
        &self.0[outcome as usize]
    }
}

impl Combine for RequestTimes {
    fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        for (times, other) in self.0.iter_mut().zip(&other.0) {
            times.combine(other, combine);
        }
    }
}

/// The requests of one machine.
#[derive(Debug, Default)]
pub(crate) struct RequestMeter([RequestTimes; RequestKind::ALL.len()]);

impl RequestMeter {
    /// A request ended after this many microseconds.
    pub(crate) fn ended(&mut self, kind: RequestKind, outcome: RequestOutcome, micros: u64) {
        self.0[kind as usize].0[outcome as usize].record_micros(micros);
    }

    /// The kinds that occurred.
    pub(crate) fn by_kind(&self) -> BTreeMap<RequestKind, RequestTimes> {
        let kinds = RequestKind::ALL.iter().copied().zip(self.0.iter().cloned());
        kinds.filter(|(_, times)| *times != RequestTimes::default()).collect()
    }
}

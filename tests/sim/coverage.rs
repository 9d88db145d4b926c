//! What happened over many runs, to detect sets of runs that prove nothing about something because
//! it never happened.

use std::collections::BTreeMap;

use ivy_proto::event::{Event, ReleaseReason};
use ivy_proto::wire::DeadLetterReason;

use crate::fault::Fault;
use crate::state_coverage::{StateInput, StateInputs};
use crate::task::SendResult;

/// Counts of what happened.
#[derive(Clone, Default)]
pub(crate) struct Coverage {
    pub(crate) runs: u64,
    pub(crate) events: u64,
    pub(crate) executions: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead: u64,
    pub(crate) virtual_seconds: u64,
    /// The maximum number of messages that one worker held at a time.
    pub(crate) max_held: usize,
    /// Requests that were sent while the server was down.
    pub(crate) outage_requests: u64,
    pub(crate) pairs: StateInputs,
    faults: BTreeMap<Fault, u64>,
    seen: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub(crate) fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(crate) fn faults(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }

    pub(crate) fn pair(&mut self, pair: StateInput) {
        *self.pairs.entry(pair).or_default() += 1;
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn seen(&self) -> &BTreeMap<&'static str, u64> {
        &self.seen
    }

    pub(crate) fn event(&mut self, event: &Event) {
        const WAITS_FOR_KEY: ReleaseReason = ReleaseReason::Undecided(DeadLetterReason::UnknownKey);
        const IS_MISMATCH: ReleaseReason = ReleaseReason::Undecided(DeadLetterReason::BadArgs);
        let name = match event {
            Event::TaskSent { .. } => "TaskSent",
            Event::Resent { .. } => "Resent",
            Event::SendFailed { .. } => "SendFailed",
            Event::MessageRetrieved { .. } => "MessageRetrieved",
            Event::TaskExecuted { .. } => "TaskExecuted",
            Event::Retried { .. } => "Retried",
            Event::Postponed { .. } => "Postponed",
            Event::Replaced { .. } => "Replaced",
            Event::Acknowledged { .. } => "Acknowledged",
            Event::DeadLettered { .. } => "DeadLettered",
            Event::DeadLetterRefused { .. } => "DeadLetterRefused",
            Event::Released { reason: WAITS_FOR_KEY, .. } => "Released, its key not yet known",
            Event::Released { reason: IS_MISMATCH, .. } => {
                "Released, its arguments of another version"
            }
            Event::Released { .. } => "Released",
            Event::QueueShared { .. } => "QueueShared",
            Event::LeaseLost { .. } => "LeaseLost",
            Event::WokenLate { .. } => "WokenLate",
            Event::SlotsWait { .. } => "SlotsWait",
            Event::UnusableMessages { .. } => "UnusableMessages",
            Event::ResultSent { .. } => "ResultSent",
            Event::NoticeDropped { .. } => "NoticeDropped",
            Event::PresenceIgnored { .. } => "PresenceIgnored",
            Event::NoticeIgnored => "NoticeIgnored",
            Event::CallbackEvicted { .. } => "CallbackEvicted",
            Event::CallerResumed { .. } => "CallerResumed",
            Event::QueueError { .. } => "QueueError",
            Event::NotifierError { .. } => "NotifierError",
            Event::Degraded { .. } => "Degraded",
            Event::Recovered { .. } => "Recovered",
            Event::QueueServerWarning { .. } => "QueueServerWarning",
            Event::TooManyLabels => "TooManyLabels",
            Event::ServerSideDeadLetter { .. } => "ServerSideDeadLetter",
            Event::ClockImplausible => "ClockImplausible",
            Event::NotifierUserIgnored => "NotifierUserIgnored",
            _ => "another event",
        };
        self.see(name);
    }

    pub(crate) fn send_result(&mut self, send_result: SendResult) {
        self.see(match send_result {
            SendResult::Sent => "sent",
            SendResult::NotStored => "not sent",
            SendResult::Withdrawn => "withdrawn",
            SendResult::Unknown => "perhaps sent",
        });
    }

    /// Adds the counts of other runs.
    pub(crate) fn add(&mut self, other: &Coverage) {
        self.runs += other.runs;
        self.events += other.events;
        self.executions += other.executions;
        self.duplicates += other.duplicates;
        self.dead += other.dead;
        self.virtual_seconds += other.virtual_seconds;
        self.outage_requests += other.outage_requests;
        self.max_held = self.max_held.max(other.max_held);
        for (pair, count) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += count;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (what, count) in &other.seen {
            *self.seen.entry(what).or_default() += count;
        }
    }
}

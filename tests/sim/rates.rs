//! S8: the rate at which each process sends requests to a queue, and that none of them is
//! pointless.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ivy_proto::queue::{Fault as QueueFault, FaultKind, QueueOp};
use ivy_proto::{MessageId, Moment, OpId, QueueName, Receipt, ReservationId};
use ivy_sim::wire;

use crate::host::{Machine, PendingOp};
use crate::setup::OutageKind;
use crate::state_coverage::Kind;
use crate::task::{Cause, ProcessId};
use crate::world::World;

/// The first quick retries are over when a server has been down for this long.
const SETTLED_AFTER: Duration = Duration::from_secs(12);
/// The window in which requests are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// This many may be made in it: two a second, and one at each end.
const MAX_IN_WINDOW: usize = 22;

/// What the world knows of the request rate of each process.
#[derive(Default)]
pub(crate) struct RequestRates {
    sent_at: BTreeMap<(ProcessId, QueueName), VecDeque<Moment>>,
    /// The times, by their own clocks, before which processes must not send a request.
    not_before: BTreeMap<(ProcessId, QueueName, Kind), Moment>,
    /// Deletes whose reply was that the message does not exist.
    deleted: BTreeSet<(ProcessId, MessageId, ReservationId)>,
}

impl World {
    /// A machine is about to send a request.
    pub(crate) fn check_rate(&mut self, who: ProcessId, op: &QueueOp, queue: &QueueName) {
        let kind = Kind::of(op);
        if let QueueOp::Delete { receipt, .. } = op
            && self.rates.deleted.contains(&key_of(who, receipt))
            && !self.checker.may_be_duplicated(&receipt.message)
        {
            let message = &receipt.message;
            self.checker.broken("S8", || format!("{message} was deleted, and is deleted again"));
        }
        if matches!(kind, Kind::Reserve | Kind::Post) {
            let key = (who, queue.clone(), kind);
            let local = self.hosts[who.host].clock.show(self.now);
            if let Some(not_before) = self.rates.not_before.get(&key)
                && local < *not_before
            {
                let not_before = *not_before;
                self.checker.broken("S8", || {
                    format!("{who:?} requests {kind:?} at {local:?}, and had to wait until {not_before:?}")
                });
            }
        }
    }

    /// What a process learns from a reply about when it may send the next request.
    pub(crate) fn learn_rate(&mut self, who: ProcessId, pending: &PendingOp, fault: &QueueFault) {
        if fault.kind() == FaultKind::NoMessage
            && let Some(receipt) = &pending.deletes
        {
            self.rates.deleted.insert(key_of(who, receipt));
        }
        // Workers post messages that they must not delay while they hold the original, each
        // separately.
        let must_wait = match self.hosts[who.host].machine {
            Machine::Worker(_) => pending.kind == Kind::Reserve,
            Machine::Producer(_) => pending.kind == Kind::Post,
            _ => false,
        };
        if let Some(after) = fault.retry_after()
            && must_wait
        {
            let until = self.hosts[who.host].clock.show(self.now) + after;
            let key = (who, pending.queue.clone(), pending.kind);
            let set = self.rates.not_before.entry(key).or_default();
            *set = until.max(*set);
        }
    }

    /// If the queue's server is down, counts a request, and returns whether it has failed: a session
    /// sends it to a server that is down.
    pub(crate) fn fails_in_outage(&mut self, who: ProcessId, op_id: OpId, op: &QueueOp) -> bool {
        let Some(outage) = self.setup.outage.filter(|_| self.quiet_phase.is_none()) else {
            return false;
        };
        let since = self.now.since(Moment::after_epoch(Duration::from_secs(outage.from)));
        if since.is_zero() || self.now >= Moment::after_epoch(Duration::from_secs(outage.to)) {
            return false;
        }
        self.coverage.outage_requests += 1;
        self.hosts[who.host].had_fault = true;
        if since > SETTLED_AFTER
            && let Some(queue) = op.queue()
        {
            self.count_in_window(who, queue);
        }
        self.checker.add_cause_to_request(op, Cause::Request);
        self.checker.add_cause_to_held(who.host, Cause::Request);
        if self.has_sessions() {
            let until = Moment::after_epoch(Duration::from_secs(outage.to));
            self.take_server_down(outage.how, until);
            return false;
        }
        match outage.how {
            OutageKind::Unreachable => {
                let after = self.latency(who.host);
                self.fail(who, op_id, after, QueueFault::new(FaultKind::Unreachable));
            }
            OutageKind::Unavailable => {
                self.reject(who, op_id, op, wire::response(503, bytes::Bytes::new()));
            }
            OutageKind::TooManyRequests => {
                let mut response = wire::response(429, bytes::Bytes::new());
                let value = http::HeaderValue::from_static("7");
                response.headers_mut().insert("retry-after", value);
                self.reject(who, op_id, op, response);
            }
        }
        true
    }

    fn count_in_window(&mut self, who: ProcessId, queue: &QueueName) {
        let held = match &self.hosts[who.host].machine {
            Machine::Worker(worker) => worker.load().held,
            _ => 0,
        };
        let now = self.now;
        let sent_at = self.rates.sent_at.entry((who, queue.clone())).or_default();
        sent_at.push_back(now);
        while sent_at.front().is_some_and(|first| now.since(*first) > WINDOW) {
            sent_at.pop_front();
        }
        let count = sent_at.len();
        // Each held message is renewed once on its own before the worker knows that the server is
        // down.
        if count > MAX_IN_WINDOW + held {
            self.checker.broken("S8", || {
                format!("{who:?}, holding {held}, sent {queue} {count} requests in {WINDOW:?}")
            });
        }
    }
}

fn key_of(who: ProcessId, receipt: &Receipt) -> (ProcessId, MessageId, ReservationId) {
    (who, receipt.message.clone(), receipt.reservation.clone())
}

//! The requests in flight, and pauses after failed ones.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{IdGenerator, OpId};
use crate::misuse::Misuse;
use crate::queue::{Fault, QueueOp, QueueReply, ReplyCheck};
use crate::retry::{Backoff, MAX_RETRY_AFTER};
use crate::rng::Rng;
use crate::time::{Deadline, Moment};

use super::Sweep;
use super::groups::GroupId;
use super::held_messages::HeldId;
use super::io::{Output, Timer};

/// After this many failures in a row the sweep ends.
const TRIES: u32 = 5;

/// The purpose of a request in flight.
#[derive(Debug)]
pub(super) enum InFlight {
    Size,
    Reserve {
        count: usize,
        /// When it was sent, by the clock of leases.
        sent: Moment,
    },
    Post(Vec<GroupId>),
    Delete(Vec<HeldId>),
    Touch {
        held: HeldId,
        sent: Moment,
    },
    Release(HeldId),
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    ops: IdGenerator,
    in_flight: BTreeMap<OpId, (ReplyCheck, InFlight)>,
    sent: u64,
    /// How many requests failed in a row.
    failures: u32,
    /// Nothing is sent before this moment.
    rests_until: Option<Moment>,
    timer: Option<Deadline<Timer>>,
}

impl Requests {
    /// How many requests have no reply yet. Only releases can be more than one.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Checks that this reply is expected.
    pub(super) fn check(&self, op: OpId, reply: &Result<QueueReply, Fault>) -> Result<(), Misuse> {
        let Some((answers, _)) = self.in_flight.get(&op) else { return Err(Misuse::UnknownOp(op)) };
        match reply {
            Ok(reply) if !answers(reply) => Err(Misuse::WrongReply(op)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A request has ended.
    pub(super) fn finish(&mut self, op: OpId) -> Option<InFlight> {
        self.in_flight.remove(&op).map(|(_, asked)| asked)
    }

    /// No reply is waited for any longer. Returns the requests that had none.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = InFlight> + use<> {
        std::mem::take(&mut self.in_flight).into_values().map(|(_, asked)| asked)
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Pauses after a failure. Returns whether the request may be tried again. Requests that were in
    /// flight together fail together, which counts once.
    pub(super) fn failed(&mut self, fault: &Fault, now: Moment, rng: &mut Rng) -> bool {
        if self.rests_until.is_some() {
            return true;
        }
        let asked = fault.retry_after().map_or(Duration::ZERO, |rest| rest.min(MAX_RETRY_AFTER));
        let rest = Backoff::REQUESTS.delay(self.failures, rng).max(asked);
        self.failures += 1;
        self.rests_until = Some(now + rest);
        self.failures < TRIES
    }

    pub(super) fn end_rest(&mut self) {
        self.rests_until = None;
    }

    /// The end of the pause, if there is one.
    pub(super) fn rests(&mut self, now: Moment) -> Option<Deadline<Timer>> {
        self.rests_until.take_if(|until| *until <= now);
        self.rests_until.map(|at| Deadline { at, why: Timer::Retry })
    }

    pub(super) fn timer(&self) -> Option<Deadline<Timer>> {
        self.timer
    }

    pub(super) fn set_timer(&mut self, timer: Option<Deadline<Timer>>) {
        self.timer = timer;
    }
}

impl Sweep {
    pub(super) fn send(&mut self, op: QueueOp, asked: InFlight) {
        let id = self.requests.ops.next_op();
        self.requests.in_flight.insert(id, (QueueReply::of(&op), asked));
        self.requests.sent += 1;
        self.outputs.push_back(Output::Queue(id, op));
    }

    /// A request failed, and may be tried again. Ends the sweep after too many failures.
    pub(super) fn try_again(&mut self, fault: Fault) {
        if !self.requests.failed(&fault, self.now, &mut self.rng) {
            self.requests.end_rest();
            self.fail(fault);
        }
    }

    /// The current moment, by the clock of leases: a lease also ends while this host sleeps.
    pub(super) fn lease_now(&self) -> Moment {
        self.now + self.leapt
    }

    /// A timer for a moment of the clock of leases.
    pub(super) fn lease_timer(&self, at: Moment, why: Timer) -> Deadline<Timer> {
        let at = self.now + at.since(self.lease_now());
        Deadline { at, why }
    }
}

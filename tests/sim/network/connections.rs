//! Workers whose leases belong to their connections: a fault that loses a request or a reply ends
//! the connection, and with it every lease granted on it. The server and the worker notice that at
//! different times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ivy_proto::broker::{self, RequestId};
use ivy_proto::queue::{Fault as QueueFault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{OpId, Receipt};

use super::receipts;
use crate::fault::Fault;
use crate::fault_injection::{InjectedFault, one_of};
use crate::host::ProcessInput;
use crate::laws::HeldMessage;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// The broker knows leases that end by time. This one outlives every connection.
pub(super) const LEASE: Duration = Duration::from_secs(86_400);
/// How long a connection may stay up after a fault hit it, in milliseconds.
const LIVES_ON: [u64; 5] = [0, 20, 500, 5_000, 20_000];

/// A connection of a process: its number.
pub(crate) type Line = (ProcessId, u32);

/// The state of connections.
#[derive(Default)]
pub(crate) struct Connections {
    /// They end soon, or have ended.
    hit: BTreeSet<Line>,
    /// The server has noticed that they ended.
    ended: BTreeSet<Line>,
    /// Leases that the server ended and that their worker does not know of yet.
    unheard: BTreeMap<Line, Vec<Receipt>>,
    /// Leases that the worker knows to have ended.
    heard: BTreeSet<(ProcessId, Receipt)>,
}

impl World {
    /// Whether the leases of this process belong to its connection.
    pub(super) fn leases_by_connection(&self, who: ProcessId) -> bool {
        self.setup.backend.leases_by_connection() && self.checker.workers.contains(&who.host)
    }

    /// Whether the fault hits the connection, because it loses or repeats what travels on it.
    pub(super) fn ends_connection(&self, who: ProcessId, fault: Fault) -> bool {
        let loses = matches!(
            fault,
            Fault::RequestLost
                | Fault::RequestDelayed
                | Fault::RequestTwice
                | Fault::AnswerLost
                | Fault::AnswerLate
                | Fault::AnswerOfEarlier
                | Fault::FailedAfter
                | Fault::BodyCut
                | Fault::BodySpoiled
                | Fault::BodyEndless
        );
        loses && self.leases_by_connection(who)
    }

    /// The connection of a process ends soon.
    pub(super) fn hit_connection(&mut self, who: ProcessId, mut hit: InjectedFault) {
        let line = (who, self.hosts[who.host].line);
        if !self.connections.hit.insert(line) {
            return;
        }
        self.hosts[who.host].suffered = true;
        let rest = Duration::from_millis(one_of(&mut hit.detail, &LIVES_ON));
        let mut apart = || Duration::from_millis(hit.detail.up_to(300));
        let (server_sees, worker_hears) = (rest + apart(), rest + apart());
        self.later(server_sees, Due::ConnectionEnds(who, line.1));
        self.later(worker_hears, Due::ProcessInput(who, ProcessInput::ConnectionEnds(line.1)));
    }

    /// A process has died, and its connection with it.
    pub(crate) fn close_connection(&mut self, who: ProcessId) {
        if self.leases_by_connection(who) {
            let line = self.hosts[who.host].line;
            let after = Duration::from_millis(self.injector.nature(who.host).up_to(2_000));
            self.later(after, Due::ConnectionEnds(who, line));
        }
    }

    /// Whether the reply to a request on this connection is lost with it.
    pub(super) fn is_lost_with_its_connection(&mut self, line: Line) -> bool {
        self.connections.hit.contains(&line) && self.injector.nature(line.0.host).up_to(1) == 0
    }

    /// Whether a request arrives on a connection that has ended: then it is ignored.
    pub(super) fn arrives_nowhere(&self, line: Line) -> bool {
        self.connections.ended.contains(&line)
    }

    /// The server notices that a connection has ended: nothing that was requested on it waits any
    /// longer, and every message held on it is ready for others.
    pub(crate) fn connection_ends(&mut self, who: ProcessId, number: u32) {
        if !self.connections.ended.insert((who, number)) {
            return;
        }
        let of_this =
            |(_, sent): &(&RequestId, &super::RequestInTransit)| sent.line == (who, number);
        let asked: Vec<RequestId> =
            self.requests.iter().filter(of_this).map(|(id, _)| *id).collect();
        for id in asked {
            let Some(sent) = self.requests.remove(&id) else { continue };
            self.checker.blame_request(&sent.op, Cause::Connection);
            if sent.arrived {
                self.feed_broker(broker::Input::Abandon(id));
            }
        }
        let held = self.checker.lose_held((who, number));
        let receipts = held.iter().map(|held| held.receipt.clone());
        self.connections.unheard.entry((who, number)).or_default().extend(receipts);
        for message in held {
            self.return_to_queue(message);
        }
    }

    /// A worker learns that its connection has ended, and which leases ended with it. Its pending
    /// requests on the connection stay without a reply.
    pub(crate) fn hear_of_ended_connection(&mut self, who: ProcessId, number: u32) -> Vec<Receipt> {
        let line = (who, number);
        let held = self.checker.held_on(line).into_iter().map(|held| held.receipt);
        let mut lost = self.connections.unheard.remove(&line).unwrap_or_default();
        lost.extend(held);
        for receipt in &lost {
            self.checker.blame_message(&receipt.message, Cause::Connection);
        }
        for (_, sent) in self.requests.iter().filter(|(_, sent)| sent.line == line) {
            self.checker.blame_request(&sent.op, Cause::Connection);
        }
        let host = &mut self.hosts[who.host];
        host.line = number + 1;
        let unanswered = host.asked.iter().filter(|(_, asked)| !asked.is_answered);
        let unanswered: Vec<OpId> = unanswered.map(|(op, _)| *op).collect();
        for op in unanswered {
            self.fail(who, op, Duration::ZERO, QueueFault::new(FaultKind::AnswerLost));
        }
        lost
    }

    /// Such a lease is not renewed.
    pub(super) fn check_renewal(&mut self, who: ProcessId, op: &QueueOp) {
        if matches!(op, QueueOp::Touch { .. }) && self.leases_by_connection(who) {
            self.checker
                .broken("S8", || format!("{who:?} renews a lease that does not end: {op:?}"));
        }
    }

    /// Whether a worker was informed that the lease of this receipt has ended.
    pub(super) fn knows_to_be_lost(&self, who: ProcessId, receipt: &Receipt) -> bool {
        self.connections.heard.contains(&(who, receipt.clone()))
    }

    /// A worker that was informed that leases have ended has cancelled their handlers, and sends no
    /// further requests with them. Requests from before are sent all the same.
    pub(crate) fn check_stopped(&mut self, who: ProcessId, lost: &[Receipt]) {
        self.connections.heard.extend(lost.iter().map(|receipt| (who, receipt.clone())));
        if self.hosts[who.host].yields {
            return;
        }
        if let Some(message) = self.checker.still_runs(who, lost) {
            self.checker
                .broken("S4", || format!("{who:?} continues with {message}, which it lost"));
        }
    }

    /// A request is cancelled: it reserves no message.
    pub(crate) fn withdraw(&mut self, who: ProcessId, op: OpId) {
        let is_this =
            |(_, sent): &(&RequestId, &super::RequestInTransit)| sent.who == who && sent.is_of(op);
        let Some(id) = self.requests.iter().find(is_this).map(|(id, _)| *id) else { return };
        let sent = self.requests.remove(&id);
        if sent.is_some_and(|sent| sent.arrived) {
            self.feed_broker(broker::Input::Abandon(id));
        }
    }

    /// Messages were delivered for a cancelled request: they return to the queue.
    pub(crate) fn take_back(&mut self, who: ProcessId, answer: &Result<QueueReply, QueueFault>) {
        if !self.leases_by_connection(who) {
            return;
        }
        let line = (who, self.hosts[who.host].line);
        for receipt in receipts(answer) {
            if let Some(message) = self.checker.take_back(line, &receipt) {
                self.return_to_queue(message);
            }
        }
    }

    fn return_to_queue(&mut self, HeldMessage { queue, receipt }: HeldMessage) {
        self.asked += 1;
        let target = receipt.into();
        let request =
            broker::Request::Release { queue, target, delay: Duration::ZERO, failed: false };
        self.feed_broker(broker::Input::Request(RequestId(self.asked), request));
    }

    /// A reply is in flight to its requester.
    pub(super) fn is_answered(&mut self, who: ProcessId, op: OpId) {
        if self.host(who).is_some()
            && let Some(asked) = self.hosts[who.host].asked.get_mut(&op)
        {
            asked.is_answered = true;
        }
    }
}

/// The request as the broker knows it.
pub(super) fn with_lasting_leases(mut request: broker::Request) -> broker::Request {
    if let broker::Request::Reserve { timeout, .. } = &mut request {
        *timeout = Some(LEASE);
    }
    request
}

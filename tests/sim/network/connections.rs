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
const END_DELAYS: [u64; 5] = [0, 20, 500, 5_000, 20_000];

/// A connection of a process: its number.
pub(crate) type ConnectionKey = (ProcessId, u32);

/// The state of connections.
#[derive(Default)]
pub(crate) struct Connections {
    /// They end soon, or have ended.
    failing: BTreeSet<ConnectionKey>,
    /// The server has noticed that they ended.
    ended: BTreeSet<ConnectionKey>,
    /// Leases that the server ended and that their worker does not know of yet.
    unreported: BTreeMap<ConnectionKey, Vec<Receipt>>,
    /// Leases that the worker knows to have ended.
    known_to_have_ended: BTreeSet<(ProcessId, Receipt)>,
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
                | Fault::ResponseLost
                | Fault::ResponseLate
                | Fault::ResponseOfEarlier
                | Fault::FailedAfter
                | Fault::BodyTruncated
                | Fault::BodyDamaged
                | Fault::BodyEndless
        );
        loses && self.leases_by_connection(who)
    }

    /// The connection of a process ends soon.
    pub(super) fn fail_connection(&mut self, who: ProcessId, mut injected: InjectedFault) {
        let connection = (who, self.hosts[who.host].connection_number);
        if !self.connections.failing.insert(connection) {
            return;
        }
        self.hosts[who.host].had_fault = true;
        let pause = Duration::from_millis(one_of(&mut injected.detail, &END_DELAYS));
        let mut apart = || Duration::from_millis(injected.detail.up_to(300));
        let (server_notices, worker_notices) = (pause + apart(), pause + apart());
        self.schedule(server_notices, Due::ConnectionEnds(who, connection.1));
        self.schedule(
            worker_notices,
            Due::ProcessInput(who, ProcessInput::ConnectionEnds(connection.1)),
        );
    }

    /// A process has died, and its connection with it.
    pub(crate) fn close_connection(&mut self, who: ProcessId) {
        if self.leases_by_connection(who) {
            let connection = self.hosts[who.host].connection_number;
            let after = Duration::from_millis(self.injector.variation(who.host).up_to(2_000));
            self.schedule(after, Due::ConnectionEnds(who, connection));
        }
    }

    /// Whether the reply to a request on this connection is lost with it.
    pub(super) fn is_lost_with_its_connection(&mut self, connection: ConnectionKey) -> bool {
        self.connections.failing.contains(&connection)
            && self.injector.variation(connection.0.host).up_to(1) == 0
    }

    /// Whether a request arrives on a connection that has ended: then it is ignored.
    pub(super) fn is_ignored(&self, connection: ConnectionKey) -> bool {
        self.connections.ended.contains(&connection)
    }

    /// The server notices that a connection has ended: nothing that was requested on it waits any
    /// longer, and every message held on it is ready for others.
    pub(crate) fn connection_ends(&mut self, who: ProcessId, number: u32) {
        if !self.connections.ended.insert((who, number)) {
            return;
        }
        let of_this =
            |(_, sent): &(&RequestId, &super::RequestInTransit)| sent.connection == (who, number);
        let pending: Vec<RequestId> =
            self.requests.iter().filter(of_this).map(|(id, _)| *id).collect();
        for id in pending {
            let Some(sent) = self.requests.remove(&id) else { continue };
            self.checker.add_cause_to_request(&sent.op, Cause::Connection);
            if sent.arrived {
                self.feed_broker(broker::Input::Abandon(id));
            }
        }
        let held = self.checker.lose_held((who, number));
        let receipts = held.iter().map(|held| held.receipt.clone());
        self.connections.unreported.entry((who, number)).or_default().extend(receipts);
        for message in held {
            self.return_to_queue(message);
        }
    }

    /// A worker learns that its connection has ended, and which leases ended with it. Its pending
    /// requests on the connection stay without a reply.
    pub(crate) fn on_connection_ended(&mut self, who: ProcessId, number: u32) -> Vec<Receipt> {
        let connection = (who, number);
        let held = self.checker.held_on(connection).into_iter().map(|held| held.receipt);
        let mut lost = self.connections.unreported.remove(&connection).unwrap_or_default();
        lost.extend(held);
        for receipt in &lost {
            self.checker.add_cause_to_message(&receipt.message, Cause::Connection);
        }
        for (_, sent) in self.requests.iter().filter(|(_, sent)| sent.connection == connection) {
            self.checker.add_cause_to_request(&sent.op, Cause::Connection);
        }
        let host = &mut self.hosts[who.host];
        host.connection_number = number + 1;
        let without_reply = host.pending.iter().filter(|(_, pending)| !pending.has_reply);
        let without_reply: Vec<OpId> = without_reply.map(|(op, _)| *op).collect();
        for op in without_reply {
            self.fail(who, op, Duration::ZERO, QueueFault::new(FaultKind::ReplyLost));
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
    pub(super) fn knows_lease_ended(&self, who: ProcessId, receipt: &Receipt) -> bool {
        self.connections.known_to_have_ended.contains(&(who, receipt.clone()))
    }

    /// A worker that was informed that leases have ended has cancelled their handlers, and sends no
    /// further requests with them. Requests from before are sent all the same.
    pub(crate) fn check_stopped(&mut self, who: ProcessId, lost: &[Receipt]) {
        self.connections
            .known_to_have_ended
            .extend(lost.iter().map(|receipt| (who, receipt.clone())));
        if self.hosts[who.host].has_outputs_left {
            return;
        }
        if let Some(message) = self.checker.still_runs(who, lost) {
            self.checker
                .broken("S4", || format!("{who:?} continues with {message}, which it lost"));
        }
    }

    /// A request is cancelled: it reserves no message.
    pub(crate) fn cancel_request(&mut self, who: ProcessId, op: OpId) {
        let is_this =
            |(_, sent): &(&RequestId, &super::RequestInTransit)| sent.who == who && sent.is_of(op);
        let Some(id) = self.requests.iter().find(is_this).map(|(id, _)| *id) else { return };
        let sent = self.requests.remove(&id);
        if sent.is_some_and(|sent| sent.arrived) {
            self.feed_broker(broker::Input::Abandon(id));
        }
    }

    /// Messages were delivered for a cancelled request: they return to the queue.
    pub(crate) fn return_delivery(
        &mut self,
        who: ProcessId,
        reply: &Result<QueueReply, QueueFault>,
    ) {
        if !self.leases_by_connection(who) {
            return;
        }
        let connection = (who, self.hosts[who.host].connection_number);
        for receipt in receipts(reply) {
            if let Some(message) = self.checker.return_delivery(connection, &receipt) {
                self.return_to_queue(message);
            }
        }
    }

    fn return_to_queue(&mut self, HeldMessage { queue, receipt }: HeldMessage) {
        self.last_request_id += 1;
        let target = receipt.into();
        let request =
            broker::Request::Release { queue, target, delay: Duration::ZERO, failed: false };
        self.feed_broker(broker::Input::Request(RequestId(self.last_request_id), request));
    }

    /// A reply is in flight to its requester.
    pub(super) fn mark_replied(&mut self, who: ProcessId, op: OpId) {
        if self.host(who).is_some()
            && let Some(pending) = self.hosts[who.host].pending.get_mut(&op)
        {
            pending.has_reply = true;
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

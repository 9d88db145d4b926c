//! The network between the machines and the broker.

mod connections;
mod entries;
mod replies;
mod responses;
mod stale;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use ivy_proto::broker::{self, RequestId};
use ivy_proto::queue::{Fault as QueueFault, FaultKind, QueueOp};
use ivy_proto::{Moment, OpId};
use ivy_sim::wire;

use connections::with_lasting_leases;
pub(crate) use connections::{ConnectionKey, Connections};
use entries::{OmittedEntry, batch_size};
pub(crate) use replies::{RecentDeliveries, receipts};
use responses::{failure, proxy_response, refusal};

use crate::fault::{Fault, Opportunity};
use crate::fault_injection::{InjectedFault, one_in, one_of};
use crate::host::{PendingOp, ProcessInput};
use crate::node_peer::NodeRequest;
use crate::state_coverage::Kind;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// A request in flight, or waiting at the broker.
pub(crate) struct RequestInTransit {
    pub(crate) who: ProcessId,
    /// The connection on which it was sent.
    connection: ConnectionKey,
    requester: Requester,
    op: QueueOp,
    at: Moment,
    fate: Fate,
    bytes: Option<Request<Bytes>>,
    /// Whether it has arrived at the broker.
    pub(crate) arrived: bool,
}

impl RequestInTransit {
    /// Whether it is this operation of a machine.
    fn is_of(&self, op: OpId) -> bool {
        matches!(self.requester, Requester::Machine(pending) if pending == op)
    }

    /// Whether it waits at the broker, and its reply will arrive.
    pub(crate) fn is_healthy(&self) -> bool {
        self.arrived
            && matches!(self.fate, Fate::Arrives)
            && matches!(self.requester, Requester::Machine(_))
    }
}

/// Who receives a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Requester {
    Machine(OpId),
    Node(NodeRequest),
    /// A client that does not wait for it.
    OtherProgram,
    /// The network delivers the same request a second time.
    Duplicate,
}

/// What happens to the reply to an executed request.
#[derive(Clone, Debug)]
enum Fate {
    Arrives,
    /// It never arrives; the requester notices immediately, or at its timeout.
    Lost {
        at_once: bool,
    },
    Late(Duration),
    OfEarlier,
    Failed(Response<Bytes>),
    Truncated(u64),
    Damaged(u64),
    Omitted(OmittedEntry),
}

impl World {
    /// A machine sends a request to the queue.
    pub(crate) fn request(&mut self, who: ProcessId, op_id: OpId, op: QueueOp) {
        let Some(queue) = op.queue().cloned() else { return };
        self.check_rate(who, &op, &queue);
        self.check_receipts(who, &op);
        self.check_due(who, &op);
        self.check_renewal(who, &op);
        let deletes = match &op {
            QueueOp::Delete { receipt, .. } => Some(receipt.clone()),
            _ => None,
        };
        self.checker.check_delete_request(who, &op, self.now, self.hosts[who.host].had_fault);
        let wall = self.hosts[who.host].wall.known();
        let releases = match &op {
            QueueOp::Release { receipt, .. } => Some(receipt.message.clone()),
            _ => None,
        };
        let local = self.hosts[who.host].clock.show(self.now);
        let renews = match &op {
            QueueOp::Touch { receipt, lease, .. } => Some((receipt.clone(), local + *lease)),
            _ => None,
        };
        let (kind, has_reply) = (Kind::of(&op), false);
        let pending = PendingOp { kind, queue, deletes, releases, renews, wall, has_reply };
        self.hosts[who.host].pending.insert(op_id, pending);
        if self.fails_in_outage(who, op_id, &op) {
            return;
        }
        let requester = Requester::Machine(op_id);
        match self.draw_request_fault(who.host, &op) {
            None if self.has_sessions() => self.execute_by_session(who, op_id, op, None),
            Some(injected) if self.has_sessions() => {
                self.execute_with_fault(who, op_id, op, injected)
            }
            None => self.send(who, requester, op, Duration::ZERO, Fate::Arrives),
            Some(injected)
                if matches!(injected.fault, Fault::EntryRefused | Fault::EntryMissing) =>
            {
                self.send_without_one(who, op_id, &op, injected);
            }
            Some(injected) if self.ends_connection(who, injected.fault) => {
                self.send(who, requester, op, Duration::ZERO, Fate::Arrives);
                self.fail_connection(who, injected);
            }
            Some(injected) => self.send_with_fault(who, op_id, op, injected),
        }
    }

    /// A peer of the Node package sends a request to the queue.
    pub(crate) fn request_for_node(&mut self, who: ProcessId, request: NodeRequest, op: QueueOp) {
        self.send(who, Requester::Node(request), op, Duration::ZERO, Fate::Arrives);
    }

    /// Another program sends a request to the queue.
    pub(crate) fn request_for_other_program(&mut self, op: QueueOp) {
        if self.has_sessions() {
            return self.post_as_other_program(&op);
        }
        // The index after the last host.
        let other_program = ProcessId { host: self.hosts.len(), incarnation: 0 };
        self.send(other_program, Requester::OtherProgram, op, Duration::ZERO, Fate::Arrives);
    }

    fn draw_request_fault(&mut self, host: usize, op: &QueueOp) -> Option<InjectedFault> {
        if let Some(injected) = self.draw_fault(host, Opportunity::Request) {
            return Some(injected);
        }
        match op {
            QueueOp::Touch { .. } => self.draw_fault(host, Opportunity::Touch),
            QueueOp::Reserve { .. } => self.draw_fault(host, Opportunity::Reserve),
            QueueOp::Post { queue, .. } if queue.as_str().ends_with(".dead") => {
                self.draw_fault(host, Opportunity::DeadLetter)
            }
            op if batch_size(op) > 0
                && self.setup.backend.replies_per_message()
                && !self.has_sessions() =>
            {
                self.draw_fault(host, Opportunity::Batch)
            }
            _ => None,
        }
    }

    fn send_with_fault(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        mut op: QueueOp,
        mut injected: InjectedFault,
    ) {
        let requester = Requester::Machine(op_id);
        let rng = &mut injected.detail;
        let cause = match injected.fault {
            Fault::RequestTwice => Cause::Duplicate,
            Fault::ResponseLost
            | Fault::ResponseLate
            | Fault::ResponseOfEarlier
            | Fault::FailedAfter
            | Fault::BodyTruncated
            | Fault::BodyDamaged
            | Fault::BodyEndless => Cause::Reply,
            _ => Cause::Request,
        };
        self.checker.add_cause_to_request(&op, cause);
        self.checker.add_cause_to_held(who.host, cause);
        let limit = op.time_limit();
        let (mut delay, mut fate) = (Duration::ZERO, Fate::Arrives);
        match injected.fault {
            Fault::RequestLost => {
                let after = if one_in(rng, 3) { Duration::from_millis(30) } else { limit };
                return self.fail(who, op_id, after, QueueFault::new(FaultKind::ReplyLost));
            }
            Fault::RequestDelayed => {
                delay = Duration::from_millis(100 + rng.up_to(30_000));
                self.fail(who, op_id, limit, QueueFault::new(FaultKind::ReplyLost));
            }
            Fault::RequestTwice => {
                let again = delay + Duration::from_millis(rng.up_to(5_000));
                self.send(who, Requester::Duplicate, op.clone(), again, Fate::Arrives);
            }
            Fault::ResponseLost => fate = Fate::Lost { at_once: one_in(rng, 2) },
            Fault::ResponseLate => {
                fate = Fate::Late(Duration::from_millis(100 + rng.up_to(20_000)))
            }
            Fault::ResponseOfEarlier => fate = Fate::OfEarlier,
            Fault::BodyEndless => fate = Fate::Lost { at_once: false },
            Fault::BodyTruncated => fate = Fate::Truncated(rng.next_u64()),
            Fault::BodyDamaged => fate = Fate::Damaged(rng.next_u64()),
            Fault::FailedAfter => fate = Fate::Failed(failure(rng)),
            Fault::Unreachable | Fault::NotSecure => {
                let kind = match injected.fault {
                    Fault::Unreachable => FaultKind::Unreachable,
                    _ => FaultKind::Tls,
                };
                let after = Duration::from_millis(rng.up_to(2_000));
                return self.fail(who, op_id, after, QueueFault::new(kind));
            }
            Fault::Refused => return self.reject(who, op_id, &op, refusal(rng)),
            Fault::FailedBefore | Fault::TouchFails => {
                return self.reject(who, op_id, &op, failure(rng));
            }
            Fault::ProxyResponds => return self.reject(who, op_id, &op, proxy_response(rng)),
            Fault::DeadLettersFull => {
                let status = one_of(rng, &[413, 429]);
                return self.reject(who, op_id, &op, wire::response(status, Bytes::new()));
            }
            Fault::PausesWhileRenewing => {
                if let QueueOp::Touch { lease, .. } = &op {
                    // At most half of a lease is left when it is renewed.
                    let pause = lease.mul_f64(0.52 + rng.up_to(40) as f64 / 100.0);
                    self.stall_process(who, pause);
                }
            }
            Fault::Fewer | Fault::More => {
                if let QueueOp::Reserve { count, .. } = &mut op {
                    *count = if injected.fault == Fault::Fewer { 1 } else { (*count + 2).min(100) };
                }
            }
            other => unreachable!("{other:?} is not on the menu of requests"),
        }
        self.send(who, requester, op, delay, fate);
    }

    /// An operation fails without a reply.
    pub(crate) fn fail(&mut self, who: ProcessId, op: OpId, after: Duration, fault: QueueFault) {
        self.mark_replied(who, op);
        let input = ProcessInput::Reply(op, Err(fault), Moment::EPOCH);
        self.schedule(after, Due::ProcessInput(who, input));
    }

    /// A proxy in front of the broker replies; the broker never receives the request.
    pub(crate) fn reject(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        op: &QueueOp,
        response: Response<Bytes>,
    ) {
        let reply = self.ironmq.decode(op, response);
        self.mark_replied(who, op_id);
        let latency = self.latency(who.host);
        self.schedule(latency, Due::ProcessInput(who, ProcessInput::Reply(op_id, reply, self.now)));
    }

    fn send(
        &mut self,
        who: ProcessId,
        requester: Requester,
        op: QueueOp,
        delay: Duration,
        fate: Fate,
    ) {
        self.last_request_id += 1;
        let id = RequestId(self.last_request_id);
        let bytes = self.setup.travels_as_bytes().then(|| self.ironmq.encode(&op));
        let connection = (who, self.hosts.get(who.host).map_or(0, |host| host.connection_number));
        let (at, arrived) = (self.now, false);
        self.requests.insert(
            id,
            RequestInTransit { who, connection, requester, op, at, fate, bytes, arrived },
        );
        let latency = self.latency(who.host);
        self.schedule(latency + delay, Due::Request(id));
    }

    /// A request arrives at the broker.
    pub(crate) fn arrive(&mut self, id: RequestId) {
        let backend = self.setup.backend;
        let Some(sent) = self.requests.get_mut(&id) else { return };
        let connection = sent.connection;
        sent.arrived = true;
        if self.is_ignored(connection) {
            if let Some(sent) = self.requests.remove(&id) {
                self.checker.add_cause_to_request(&sent.op, Cause::Connection);
            }
            return;
        }
        let Some(sent) = self.requests.get(&id) else { return };
        let request = match &sent.bytes {
            Some(bytes) => wire::parse(bytes),
            None if backend.replies_per_message() => sent.op.clone().into(),
            None => all_or_none(sent.op.clone()),
        };
        let request = match backend.refuses_late_receipts() {
            true => request,
            false => self.accept_stale_receipts(request),
        };
        let request = match self.leases_by_connection(connection.0) {
            true => with_lasting_leases(request),
            false => request,
        };
        self.feed_broker(broker::Input::Request(id, request));
    }

    /// The process that sent the request has died or disconnected: its waiting requests are
    /// abandoned.
    pub(crate) fn abandon_requests(&mut self, who: ProcessId, only: Option<OpId>) {
        let waiting = self.requests.iter().filter(|(_, sent)| {
            sent.who == who
                && match (sent.requester, only) {
                    (Requester::Machine(op), Some(only)) => op == only,
                    (Requester::Duplicate | Requester::OtherProgram, _) => false,
                    (_, None) => true,
                    (Requester::Node(_), Some(_)) => false,
                }
        });
        let waiting: Vec<RequestId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            let notices_after =
                Duration::from_millis(self.injector.variation(who.host).up_to(2_000));
            self.schedule(notices_after, Due::Abandon(id));
        }
    }
}

/// The request, for a server that executes a batch as a whole or not at all.
fn all_or_none(op: QueueOp) -> broker::Request {
    match broker::Request::from(op) {
        broker::Request::PostEach { queue, messages } => broker::Request::Post { queue, messages },
        broker::Request::DeleteEach { queue, targets } => {
            broker::Request::DeleteMany { queue, targets }
        }
        request => request,
    }
}

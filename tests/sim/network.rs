//! The network between the machines and the broker.

mod answers;
mod connections;
mod entries;
mod responses;
mod stale;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use ivy_proto::broker::{self, RequestId};
use ivy_proto::queue::{Fault as QueueFault, FaultKind, QueueOp};
use ivy_proto::{Moment, OpId};
use ivy_sim::wire;

pub(crate) use answers::{RecentDeliveries, receipts};
use connections::with_lasting_leases;
pub(crate) use connections::{Connections, Line};
use entries::{LeftOut, batch_size};
use responses::{failure, imposter, refusal};

use crate::fault::{Fault, Opportunity};
use crate::fault_injection::{InjectedFault, one_in, one_of};
use crate::host::{PendingOp, ProcessInput};
use crate::original::OriginalRequest;
use crate::pairs::Kind;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// A request in flight, or waiting at the broker.
pub(crate) struct RequestInTransit {
    pub(crate) who: ProcessId,
    /// The connection on which it was sent.
    line: Line,
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
        matches!(self.requester, Requester::Machine(asked) if asked == op)
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
    Original(OriginalRequest),
    /// A client that does not wait for it.
    Stranger,
    /// The network delivers the same request a second time.
    Nobody,
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
    Cut(u64),
    Spoiled(u64),
    LeftOut(LeftOut),
}

impl World {
    /// A machine sends a request to the queue.
    pub(crate) fn ask(&mut self, who: ProcessId, op_id: OpId, op: QueueOp) {
        let Some(queue) = op.queue().cloned() else { return };
        self.check_rate(who, &op, &queue);
        self.check_receipts(who, &op);
        self.check_due(who, &op);
        self.check_renewal(who, &op);
        let deletes = match &op {
            QueueOp::Delete { receipt, .. } => Some(receipt.clone()),
            _ => None,
        };
        self.checker.deletes_asked(who, &op, self.now, self.hosts[who.host].suffered);
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
        let (kind, is_answered) = (Kind::of(&op), false);
        let asked = PendingOp { kind, queue, deletes, releases, renews, wall, is_answered };
        self.hosts[who.host].asked.insert(op_id, asked);
        if self.fails_in_outage(who, op_id, &op) {
            return;
        }
        let requester = Requester::Machine(op_id);
        match self.throw_at(who.host, &op) {
            None if self.has_sessions() => self.execute_by_session(who, op_id, op, None),
            Some(hit) if self.has_sessions() => self.execute_with_fault(who, op_id, op, hit),
            None => self.send(who, requester, op, Duration::ZERO, Fate::Arrives),
            Some(hit) if matches!(hit.fault, Fault::EntryRefused | Fault::EntryMissing) => {
                self.leave_one_out(who, op_id, &op, hit);
            }
            Some(hit) if self.ends_connection(who, hit.fault) => {
                self.send(who, requester, op, Duration::ZERO, Fate::Arrives);
                self.hit_connection(who, hit);
            }
            Some(hit) => self.send_badly(who, op_id, op, hit),
        }
    }

    /// A peer of the original sends a request to the queue.
    pub(crate) fn ask_for_original(
        &mut self,
        who: ProcessId,
        question: OriginalRequest,
        op: QueueOp,
    ) {
        self.send(who, Requester::Original(question), op, Duration::ZERO, Fate::Arrives);
    }

    /// Another program sends a request to the queue.
    pub(crate) fn ask_for_stranger(&mut self, op: QueueOp) {
        if self.has_sessions() {
            return self.post_as_stranger(&op);
        }
        // The index after the last host.
        let stranger = ProcessId { host: self.hosts.len(), life: 0 };
        self.send(stranger, Requester::Stranger, op, Duration::ZERO, Fate::Arrives);
    }

    fn throw_at(&mut self, host: usize, op: &QueueOp) -> Option<InjectedFault> {
        if let Some(hit) = self.throw(host, Opportunity::Request) {
            return Some(hit);
        }
        match op {
            QueueOp::Touch { .. } => self.throw(host, Opportunity::Touch),
            QueueOp::Reserve { .. } => self.throw(host, Opportunity::Reserve),
            QueueOp::Post { queue, .. } if queue.as_str().ends_with(".dead") => {
                self.throw(host, Opportunity::DeadLetter)
            }
            op if batch_size(op) > 0
                && self.setup.backend.answers_by_entry()
                && !self.has_sessions() =>
            {
                self.throw(host, Opportunity::Batch)
            }
            _ => None,
        }
    }

    fn send_badly(&mut self, who: ProcessId, op_id: OpId, mut op: QueueOp, mut hit: InjectedFault) {
        let requester = Requester::Machine(op_id);
        let rng = &mut hit.detail;
        let cause = match hit.fault {
            Fault::RequestTwice => Cause::Twice,
            Fault::AnswerLost
            | Fault::AnswerLate
            | Fault::AnswerOfEarlier
            | Fault::FailedAfter
            | Fault::BodyCut
            | Fault::BodySpoiled
            | Fault::BodyEndless => Cause::Response,
            _ => Cause::Request,
        };
        self.checker.blame_request(&op, cause);
        self.checker.blame_held(who.host, cause);
        let limit = op.time_limit();
        let (mut delay, mut fate) = (Duration::ZERO, Fate::Arrives);
        match hit.fault {
            Fault::RequestLost => {
                let after = if one_in(rng, 3) { Duration::from_millis(30) } else { limit };
                return self.fail(who, op_id, after, QueueFault::new(FaultKind::AnswerLost));
            }
            Fault::RequestDelayed => {
                delay = Duration::from_millis(100 + rng.up_to(30_000));
                self.fail(who, op_id, limit, QueueFault::new(FaultKind::AnswerLost));
            }
            Fault::RequestTwice => {
                let again = delay + Duration::from_millis(rng.up_to(5_000));
                self.send(who, Requester::Nobody, op.clone(), again, Fate::Arrives);
            }
            Fault::AnswerLost => fate = Fate::Lost { at_once: one_in(rng, 2) },
            Fault::AnswerLate => fate = Fate::Late(Duration::from_millis(100 + rng.up_to(20_000))),
            Fault::AnswerOfEarlier => fate = Fate::OfEarlier,
            Fault::BodyEndless => fate = Fate::Lost { at_once: false },
            Fault::BodyCut => fate = Fate::Cut(rng.next_u64()),
            Fault::BodySpoiled => fate = Fate::Spoiled(rng.next_u64()),
            Fault::FailedAfter => fate = Fate::Failed(failure(rng)),
            Fault::Unreachable | Fault::NotSecure => {
                let kind = match hit.fault {
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
            Fault::Imposter => return self.reject(who, op_id, &op, imposter(rng)),
            Fault::DeadLettersFull => {
                let status = one_of(rng, &[413, 429]);
                return self.reject(who, op_id, &op, wire::response(status, Bytes::new()));
            }
            Fault::PausesWhileRenewing => {
                if let QueueOp::Touch { lease, .. } = &op {
                    // At most half of a lease is left when it is renewed.
                    let rest = lease.mul_f64(0.52 + rng.up_to(40) as f64 / 100.0);
                    self.stand_still(who, rest);
                }
            }
            Fault::Fewer | Fault::More => {
                if let QueueOp::Reserve { count, .. } = &mut op {
                    *count = if hit.fault == Fault::Fewer { 1 } else { (*count + 2).min(100) };
                }
            }
            other => unreachable!("{other:?} is not on the menu of requests"),
        }
        self.send(who, requester, op, delay, fate);
    }

    /// An operation fails without a reply.
    pub(crate) fn fail(&mut self, who: ProcessId, op: OpId, after: Duration, fault: QueueFault) {
        self.is_answered(who, op);
        let heard = ProcessInput::Response(op, Err(fault), Moment::EPOCH);
        self.later(after, Due::ProcessInput(who, heard));
    }

    /// A proxy in front of the broker replies; the broker never receives the request.
    pub(crate) fn reject(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        op: &QueueOp,
        response: Response<Bytes>,
    ) {
        let answer = self.ironmq.decode(op, response);
        self.is_answered(who, op_id);
        let latency = self.latency(who.host);
        self.later(
            latency,
            Due::ProcessInput(who, ProcessInput::Response(op_id, answer, self.now)),
        );
    }

    fn send(
        &mut self,
        who: ProcessId,
        requester: Requester,
        op: QueueOp,
        delay: Duration,
        fate: Fate,
    ) {
        self.asked += 1;
        let id = RequestId(self.asked);
        let bytes = self.setup.travels_as_bytes().then(|| self.ironmq.encode(&op));
        let line = (who, self.hosts.get(who.host).map_or(0, |host| host.line));
        let (at, arrived) = (self.now, false);
        self.requests
            .insert(id, RequestInTransit { who, line, requester, op, at, fate, bytes, arrived });
        let latency = self.latency(who.host);
        self.later(latency + delay, Due::Request(id));
    }

    /// A request arrives at the broker.
    pub(crate) fn arrive(&mut self, id: RequestId) {
        let backend = self.setup.backend;
        let Some(sent) = self.requests.get_mut(&id) else { return };
        let line = sent.line;
        sent.arrived = true;
        if self.arrives_nowhere(line) {
            if let Some(sent) = self.requests.remove(&id) {
                self.checker.blame_request(&sent.op, Cause::Connection);
            }
            return;
        }
        let Some(sent) = self.requests.get(&id) else { return };
        let request = match &sent.bytes {
            Some(bytes) => wire::parse(bytes),
            None if backend.answers_by_entry() => sent.op.clone().into(),
            None => all_or_none(sent.op.clone()),
        };
        let request = match backend.refuses_late_receipts() {
            true => request,
            false => self.take_stale_receipts(request),
        };
        let request = match self.leases_by_connection(line.0) {
            true => with_lasting_leases(request),
            false => request,
        };
        self.feed_broker(broker::Input::Request(id, request));
    }

    /// The process that sent the request has died or disconnected: its waiting requests are
    /// abandoned.
    pub(crate) fn hang_up(&mut self, who: ProcessId, only: Option<OpId>) {
        let waiting = self.requests.iter().filter(|(_, sent)| {
            sent.who == who
                && match (sent.requester, only) {
                    (Requester::Machine(op), Some(only)) => op == only,
                    (Requester::Nobody | Requester::Stranger, _) => false,
                    (_, None) => true,
                    (Requester::Original(_), Some(_)) => false,
                }
        });
        let waiting: Vec<RequestId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            let notices_after = Duration::from_millis(self.injector.nature(who.host).up_to(2_000));
            self.later(notices_after, Due::Abandon(id));
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

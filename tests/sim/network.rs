//! Between the machines and the broker: requests and answers travel, or do not.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use ivy_proto::broker::{self, Answer, Delivery, Refusal, RequestId};
use ivy_proto::queue::{Fault as QueueFault, FaultKind, QueueOp, QueueReply, ReservedMessage};
use ivy_proto::{Moment, OpId};

use crate::dice::{Hit, one_in, one_of};
use crate::fault::{Fault, Menu};
use crate::host::Heard;
use crate::original::Question;
use crate::task::{Cause, Who};
use crate::wire;
use crate::world::{Due, World};

/// How many deliveries the broker remembers, to hand them out when it should not.
const REMEMBERED: usize = 8;

/// A request under way, or waiting at the broker.
pub(crate) struct Sent {
    pub(crate) who: Who,
    asker: Asker,
    op: QueueOp,
    at: Moment,
    fate: Fate,
    bytes: Option<Request<Bytes>>,
    /// Whether it has arrived at the broker.
    pub(crate) arrived: bool,
}

impl Sent {
    /// Whether it waits at the broker, and its answer will arrive.
    pub(crate) fn is_healthy(&self) -> bool {
        self.arrived
            && matches!(self.fate, Fate::Arrives)
            && matches!(self.asker, Asker::Machine(_))
    }
}

/// For whom an answer is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    Machine(OpId),
    Original(Question),
    /// Somebody who does not wait for it.
    Stranger,
    /// It is the second time that the network delivers the same request.
    Nobody,
}

/// What becomes of the answer to a request that was done.
#[derive(Clone, Debug)]
enum Fate {
    Arrives,
    /// It never does; the asker notices at once, or when its patience ends.
    Lost {
        at_once: bool,
    },
    Late(Duration),
    OfEarlier,
    Failed(Response<Bytes>),
    Cut(u64),
    Spoiled(u64),
}

/// What the broker handed out lately, and what was deleted lately.
#[derive(Default)]
pub(crate) struct Handed {
    held: VecDeque<Delivery>,
    deleted: VecDeque<Delivery>,
    /// The last answer on each host's connection.
    earlier: std::collections::BTreeMap<usize, Response<Bytes>>,
}

impl World {
    /// A machine asks the queue.
    pub(crate) fn ask(&mut self, who: Who, op_id: OpId, op: QueueOp) {
        self.hosts[who.host].asked.insert(op_id, false);
        let asker = Asker::Machine(op_id);
        match self.throw_at(who.host, &op) {
            None => self.send(who, asker, op, Duration::ZERO, Fate::Arrives),
            Some(hit) => self.send_badly(who, op_id, op, hit),
        }
    }

    /// A peer of the original asks the queue.
    pub(crate) fn ask_for_original(&mut self, who: Who, question: Question, op: QueueOp) {
        self.send(who, Asker::Original(question), op, Duration::ZERO, Fate::Arrives);
    }

    /// Somebody else asks the queue.
    pub(crate) fn ask_for_stranger(&mut self, op: QueueOp) {
        // The place after the last host.
        let stranger = Who { host: self.hosts.len(), life: 0 };
        self.send(stranger, Asker::Stranger, op, Duration::ZERO, Fate::Arrives);
    }

    fn throw_at(&mut self, host: usize, op: &QueueOp) -> Option<Hit> {
        if let Some(hit) = self.throw(host, Menu::Request) {
            return Some(hit);
        }
        match op {
            QueueOp::Touch { .. } => self.throw(host, Menu::Touch),
            QueueOp::Reserve { .. } => self.throw(host, Menu::Reserve),
            QueueOp::Post { queue, .. } if queue.as_str().ends_with(".dead") => {
                self.throw(host, Menu::PutAside)
            }
            _ => None,
        }
    }

    fn send_badly(&mut self, who: Who, op_id: OpId, mut op: QueueOp, mut hit: Hit) {
        let asker = Asker::Machine(op_id);
        let rng = &mut hit.detail;
        let cause = match hit.fault {
            Fault::RequestTwice => Cause::Twice,
            Fault::AnswerLost
            | Fault::AnswerLate
            | Fault::AnswerOfEarlier
            | Fault::FailedAfter
            | Fault::BodyCut
            | Fault::BodySpoiled
            | Fault::BodyEndless => Cause::Answer,
            _ => Cause::Request,
        };
        self.ledger.blame_request(&op, cause);
        self.ledger.blame_held(who.host, cause);
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
                self.send(who, Asker::Nobody, op.clone(), again, Fate::Arrives);
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
            Fault::Fewer | Fault::More => {
                if let QueueOp::Reserve { count, .. } = &mut op {
                    *count = if hit.fault == Fault::Fewer { 1 } else { (*count + 2).min(100) };
                }
            }
            other => unreachable!("{other:?} is not on the menu of requests"),
        }
        self.send(who, asker, op, delay, fate);
    }

    /// An operation fails without an answer.
    fn fail(&mut self, who: Who, op: OpId, after: Duration, fault: QueueFault) {
        let heard = Heard::Answer(op, Err(fault), Moment::EPOCH);
        self.later(after, Due::Heard(who, heard));
    }

    /// An operation is answered by somebody in front of the broker, which never hears of it.
    fn reject(&mut self, who: Who, op_id: OpId, op: &QueueOp, response: Response<Bytes>) {
        let answer = self.ironmq.decode(op, response);
        let latency = self.latency(who.host);
        self.later(latency, Due::Heard(who, Heard::Answer(op_id, answer, self.now)));
    }

    fn send(&mut self, who: Who, asker: Asker, op: QueueOp, delay: Duration, fate: Fate) {
        self.asked += 1;
        let id = RequestId(self.asked);
        let bytes = self.setup.bytes.then(|| self.ironmq.encode(&op));
        self.requests
            .insert(id, Sent { who, asker, op, at: self.now, fate, bytes, arrived: false });
        let latency = self.latency(who.host);
        self.later(latency + delay, Due::Request(id));
    }

    /// A request arrives at the broker.
    pub(crate) fn arrive(&mut self, id: RequestId) {
        let Some(sent) = self.requests.get_mut(&id) else { return };
        sent.arrived = true;
        let request = match &sent.bytes {
            Some(bytes) => wire::parse(bytes),
            None => sent.op.clone().into(),
        };
        self.feed_broker(broker::Input::Request(id, request));
    }

    /// The process that asked has gone, or has hung up: what waits at the broker waits for nobody.
    pub(crate) fn hang_up(&mut self, who: Who, only: Option<OpId>) {
        let waiting = self.requests.iter().filter(|(_, sent)| {
            sent.who == who
                && match (sent.asker, only) {
                    (Asker::Machine(op), Some(only)) => op == only,
                    (Asker::Nobody | Asker::Stranger, _) => false,
                    (_, None) => true,
                    (Asker::Original(_), Some(_)) => false,
                }
        });
        let waiting: Vec<RequestId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            let notices_after = Duration::from_millis(self.dice.nature(who.host).up_to(2_000));
            self.later(notices_after, Due::Abandon(id));
        }
    }

    /// The broker has answered.
    pub(crate) fn answered(
        &mut self,
        id: RequestId,
        mut answer: Result<Answer, Refusal>,
        broker_now: Moment,
    ) {
        let Some(sent) = self.requests.remove(&id) else { return };
        self.write_down(&sent, &answer, broker_now);
        if let Ok(Answer::Reserved(deliveries)) = &mut answer {
            self.spoil_delivery(&sent, deliveries);
            if self.setup.reliable_count {
                for delivery in deliveries.iter_mut() {
                    delivery.reserved_count = self.ledger.reservations(&delivery.message);
                }
            }
            if !matches!(sent.fate, Fate::Arrives) {
                for delivery in deliveries.iter() {
                    self.ledger.blame_message(&delivery.message, Cause::Answer);
                }
            }
        }
        match sent.asker {
            Asker::Nobody | Asker::Stranger => {}
            Asker::Original(question) => {
                let heard = Heard::Original(crate::original::Heard::Answer(question, answer));
                self.soon(sent.who, heard);
            }
            Asker::Machine(op) => self.answer_machine(op, &sent, answer),
        }
    }

    fn answer_machine(&mut self, op: OpId, sent: &Sent, answer: Result<Answer, Refusal>) {
        let lost = || Err(QueueFault::new(FaultKind::AnswerLost));
        let limit = sent.at + sent.op.time_limit();
        let mut at = self.now + self.latency(sent.who.host);
        let reply = match &sent.fate {
            Fate::Lost { at_once } => {
                if !at_once {
                    at = limit;
                }
                lost()
            }
            Fate::Late(by) => {
                at = at + *by;
                self.read(sent, &answer)
            }
            Fate::Failed(response) => self.ironmq.decode(&sent.op, response.clone()),
            Fate::Arrives | Fate::OfEarlier | Fate::Cut(_) | Fate::Spoiled(_) => {
                self.read(sent, &answer)
            }
        };
        if let Fate::OfEarlier = sent.fate {
            for receipt in receipts(&reply) {
                self.ledger.blame_message(&receipt.message, Cause::Delivery);
            }
        }
        let reply = if at > limit { lost() } else { reply };
        let at = at.min(limit).max(self.now);
        self.agenda.add(at, Due::Heard(sent.who, Heard::Answer(op, reply, self.now)));
    }

    /// What the asker makes of the answer.
    fn read(
        &mut self,
        sent: &Sent,
        answer: &Result<Answer, Refusal>,
    ) -> Result<QueueReply, QueueFault> {
        let damaged = matches!(sent.fate, Fate::OfEarlier | Fate::Cut(_) | Fate::Spoiled(_));
        if sent.bytes.is_none() && !damaged {
            return answer.clone().map(QueueReply::from).map_err(QueueFault::from);
        }
        let mut response = wire::answer(answer);
        let earlier = self.handed.earlier.insert(sent.who.host, response.clone());
        match sent.fate {
            // Only an answer that says yes is dangerous.
            Fate::OfEarlier => {
                let earlier = earlier.filter(|earlier| earlier.status().is_success());
                response = earlier.unwrap_or(response);
            }
            Fate::Cut(at) => {
                let body = response.body_mut();
                body.truncate((at % body.len().max(1) as u64) as usize);
            }
            Fate::Spoiled(at) => {
                let body = response.body();
                let (before, after) = body.split_at((at % body.len().max(1) as u64) as usize);
                // As if the length of a chunk had been taken for content.
                let spoiled = [before, b"\r\n1f\r\n", after].concat();
                *response.body_mut() = spoiled.into();
            }
            _ => {}
        }
        self.ironmq.decode(&sent.op, response)
    }

    /// Writes into the ledger what the broker did.
    fn write_down(&mut self, sent: &Sent, answer: &Result<Answer, Refusal>, now: Moment) {
        let Ok(answer) = answer else { return };
        let who = sent.who;
        match (&sent.op, answer) {
            (QueueOp::Post { queue, messages }, Answer::Posted(ids)) => {
                let again = matches!(sent.asker, Asker::Nobody);
                self.ledger.posted(who, queue, messages.items(), ids, again);
            }
            (QueueOp::Reserve { lease, .. }, Answer::Reserved(deliveries)) => {
                self.ledger.reserved(who, deliveries, self.granted(*lease), now);
                let causes = self.causes_at(who);
                for delivery in deliveries {
                    for cause in causes.into_iter().flatten() {
                        self.ledger.blame_message(&delivery.message, cause);
                    }
                    self.handed.held.push_back(delivery.clone());
                }
                while self.handed.held.len() > REMEMBERED {
                    self.handed.held.pop_front();
                }
            }
            (QueueOp::Touch { receipt, lease, .. }, Answer::Touched(new)) => {
                self.ledger.touched(who, receipt, new, self.granted(*lease), now);
            }
            (QueueOp::Release { receipt, .. }, Answer::Released) => {
                self.ledger.released(receipt, now);
            }
            (QueueOp::Delete { receipt, .. }, Answer::Deleted) => {
                self.handed.delete(receipt);
                self.ledger.deleted(who, receipt, now);
            }
            (QueueOp::DeleteMany { receipts, .. }, Answer::Deleted) => {
                for receipt in receipts.items() {
                    self.handed.delete(receipt);
                    self.ledger.deleted(who, receipt, now);
                }
            }
            _ => {}
        }
    }

    /// What is wrong with a process when it is handed a message.
    fn causes_at(&self, who: Who) -> [Option<Cause>; 3] {
        let Some(host) = self.host(who) else { return [Some(Cause::Crash), None, None] };
        let clocks = host.clock.is_true(self.now) && self.broker_clock.is_true(self.now);
        let paused = host.paused_until > self.now;
        let leaving = host.must_finish.is_some();
        [
            (!clocks).then_some(Cause::Clock),
            paused.then_some(Cause::Pause),
            leaving.then_some(Cause::Shutdown),
        ]
    }

    /// How long a lease is that was asked for: as bytes, leases are whole seconds.
    fn granted(&self, lease: Duration) -> Duration {
        if self.setup.bytes && lease.subsec_nanos() > 0 {
            return Duration::from_secs(lease.as_secs() + 1);
        }
        lease
    }

    /// The broker hands out something else than it should.
    fn spoil_delivery(&mut self, sent: &Sent, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() || !matches!(sent.asker, Asker::Machine(_)) {
            return;
        }
        let broker = self.hosts.len();
        let Some(mut hit) = self.throw(broker, Menu::Delivery) else { return };
        let rng = &mut hit.detail;
        match hit.fault {
            Fault::DeliveredTwice => deliveries.extend(self.handed.held.front().cloned()),
            Fault::Undead => deliveries.extend(self.handed.deleted.front().cloned()),
            Fault::CountWrong => {
                deliveries[0].reserved_count = one_of(rng, &[0, 7, 1_000, u32::MAX]);
            }
            Fault::Shuffled => deliveries.reverse(),
            other => unreachable!("{other:?} is not on the menu of deliveries"),
        }
        for delivery in deliveries.iter() {
            self.ledger.blame_message(&delivery.message, Cause::Delivery);
        }
    }
}

impl Handed {
    fn delete(&mut self, receipt: &ivy_proto::Receipt) {
        let position = self.held.iter().position(|held| held.message == receipt.message);
        if let Some(deleted) = position.and_then(|position| self.held.remove(position)) {
            self.deleted.push_back(deleted);
        }
        while self.deleted.len() > REMEMBERED {
            self.deleted.pop_front();
        }
    }
}

/// The receipts of a reply, if it brings messages.
pub(crate) fn receipts(
    reply: &Result<QueueReply, QueueFault>,
) -> impl Iterator<Item = ivy_proto::Receipt> + '_ {
    let messages: &[ReservedMessage] = match reply {
        Ok(QueueReply::Reserved(reserved)) => &reserved.messages,
        _ => &[],
    };
    messages.iter().map(|message| message.receipt.clone())
}

/// A status that says that nothing was done.
fn refusal(rng: &mut ivy_proto::Rng) -> Response<Bytes> {
    let status = one_of(rng, &[400, 401, 403, 404, 409, 413, 429, 429]);
    let mut response = wire::response(status, Bytes::from_static(b"{\"msg\":\"no\"}"));
    add_retry_after(&mut response, rng);
    response
}

/// A status that does not say what was done.
fn failure(rng: &mut ivy_proto::Rng) -> Response<Bytes> {
    let status = one_of(rng, &[408, 500, 502, 503, 504]);
    let mut response = wire::response(status, Bytes::from_static(b"<html>"));
    add_retry_after(&mut response, rng);
    response
}

fn add_retry_after(response: &mut Response<Bytes>, rng: &mut ivy_proto::Rng) {
    let texts = ["", "", "1", "7", "3600", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"];
    let text = one_of(rng, &texts);
    if !text.is_empty() {
        let value = HeaderValue::from_static(text);
        response.headers_mut().insert("retry-after", value);
        let date = HeaderValue::from_static("Wed, 21 Oct 2015 07:27:58 GMT");
        response.headers_mut().insert("date", date);
    }
}

/// What a proxy answers in the server's place.
fn imposter(rng: &mut ivy_proto::Rng) -> Response<Bytes> {
    let (status, body) = one_of(
        rng,
        &[
            (200, "<html>Welcome to our Wi-Fi</html>"),
            (200, ""),
            (200, "null"),
            (200, "[]"),
            (200, "{}"),
            (202, "{\"msg\":\"accepted\"}"),
            (204, ""),
            (302, ""),
            (307, ""),
        ],
    );
    wire::response(status, Bytes::from_static(body.as_bytes()))
}

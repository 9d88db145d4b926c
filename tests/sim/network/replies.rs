//! Replies in transit, and what the law checker learns from them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ivy_proto::broker::{self, Delivery, Refusal, RequestId};
use ivy_proto::queue::{
    DeliveryCount, Fault as QueueFault, FaultKind, QueueOp, QueueReply, ReservedMessage,
};
use ivy_proto::{MessageId, Moment, OpId};
use ivy_sim::wire;

use super::connections::LEASE;
use super::{Fate, RequestInTransit, Requester};
use crate::backend::Counts;
use crate::fault::{Fault, Opportunity};
use crate::fault_injection::one_of;
use crate::host::ProcessInput;
use crate::state_coverage::broker_pair;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// How many deliveries the broker remembers, to repeat them by mistake.
const MAX_REMEMBERED: usize = 8;

/// What the broker delivered recently, and what was deleted recently.
#[derive(Default)]
pub(crate) struct RecentDeliveries {
    held: VecDeque<Delivery>,
    deleted: VecDeque<Delivery>,
    /// The last reply on each host's connection.
    earlier: std::collections::BTreeMap<usize, Response<Bytes>>,
}

impl World {
    /// The broker has replied.
    pub(crate) fn on_broker_response(
        &mut self,
        id: RequestId,
        mut result: Result<broker::Response, Refusal>,
        broker_now: Moment,
    ) {
        let Some(sent) = self.requests.remove(&id) else { return };
        self.coverage.pair(broker_pair(&sent.op, &result));
        self.record(&sent, &result, broker_now);
        if let Ok(broker::Response::Reserved(deliveries)) = &mut result {
            self.inject_delivery_fault(&sent, deliveries);
            if !matches!(sent.fate, Fate::Arrives) {
                for delivery in deliveries.iter() {
                    self.checker.add_cause_to_message(&delivery.message, Cause::Reply);
                }
            }
        }
        match sent.requester {
            Requester::Duplicate | Requester::OtherProgram => {}
            Requester::Node(request) => {
                let input =
                    ProcessInput::Node(crate::node_peer::NodeInput::Response(request, result));
                self.schedule_soon(sent.who, input);
            }
            Requester::Machine(op) => self.reply_to_machine(op, &sent, result),
        }
    }

    fn reply_to_machine(
        &mut self,
        op: OpId,
        sent: &RequestInTransit,
        result: Result<broker::Response, Refusal>,
    ) {
        if self.is_lost_with_its_connection(sent.connection) {
            return self.checker.add_cause_to_request(&sent.op, Cause::Connection);
        }
        self.mark_replied(sent.who, op);
        let lost = || Err(QueueFault::new(FaultKind::ReplyLost));
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
                self.read(sent, &result)
            }
            Fate::Failed(response) => self.ironmq.decode(&sent.op, response.clone()),
            Fate::Arrives | Fate::OfEarlier | Fate::Truncated(_) | Fate::Damaged(_) => {
                self.read(sent, &result)
            }
            Fate::Omitted(omitted) => omitted.with_fault(self.read(sent, &result)),
        };
        if let Fate::OfEarlier = sent.fate {
            // A reply to a touch does not contain whose lease was renewed.
            if let QueueOp::Touch { receipt, .. } = &sent.op {
                self.checker.add_cause_to_message(&receipt.message, Cause::Delivery);
            }
            for receipt in receipts(&reply) {
                self.checker.add_cause_to_message(&receipt.message, Cause::Delivery);
            }
        }
        let reply = if at > limit { lost() } else { reply };
        let at = at.min(limit).max(self.now);
        self.event_queue
            .add(at, Due::ProcessInput(sent.who, ProcessInput::Reply(op, reply, self.now)));
    }

    /// How the requester interprets the reply.
    fn read(
        &mut self,
        sent: &RequestInTransit,
        result: &Result<broker::Response, Refusal>,
    ) -> Result<QueueReply, QueueFault> {
        let damaged = matches!(sent.fate, Fate::OfEarlier | Fate::Truncated(_) | Fate::Damaged(_));
        if sent.bytes.is_none() && !damaged {
            let mut reply = match (&sent.op, result) {
                (QueueOp::DeleteMany { receipts, .. }, Ok(broker::Response::Deleted)) => {
                    Ok(QueueReply::all_deleted(receipts.items().len()))
                }
                _ => result.clone().map(QueueReply::from).map_err(QueueFault::from),
            };
            if let Ok(broker::Response::Reserved(deliveries)) = result {
                for (message, delivery) in reserved(&mut reply).iter_mut().zip(deliveries) {
                    if !self.setup.backend.counts_exactly() {
                        let count =
                            DeliveryCount::from_reserved_count(Some(delivery.reserved_count));
                        message.deliveries = self.count_of(&delivery.message, count);
                    }
                }
            }
            return reply;
        }
        let mut response = wire::http_response(result);
        let earlier = self.recent_deliveries.earlier.insert(sent.who.host, response.clone());
        match sent.fate {
            // Only a success is dangerous.
            Fate::OfEarlier => {
                let earlier = earlier.filter(|earlier| earlier.status().is_success());
                response = earlier.unwrap_or(response);
            }
            Fate::Truncated(at) => {
                let body = response.body_mut();
                body.truncate((at % body.len().max(1) as u64) as usize);
            }
            Fate::Damaged(at) => {
                let body = response.body();
                let (before, after) = body.split_at((at % body.len().max(1) as u64) as usize);
                // As if the length of a chunk had been taken for content.
                let damaged = [before, b"\r\n1f\r\n", after].concat();
                *response.body_mut() = damaged.into();
            }
            _ => {}
        }
        let mut reply = self.ironmq.decode(&sent.op, response);
        for message in reserved(&mut reply) {
            message.deliveries = self.count_of(&message.receipt.message, message.deliveries);
        }
        reply
    }

    /// What the server reports of the deliveries of a message, given the broker's counts.
    fn count_of(&self, message: &MessageId, counted: DeliveryCount) -> DeliveryCount {
        let deliveries = self.checker.deliveries_of(message);
        match self.setup.backend.counts() {
            Counts::DeliveriesAndRenewals => counted,
            Counts::Deliveries => DeliveryCount::from_reserved_count(Some(deliveries)),
            Counts::Ends => self.checker.exact_count(message),
            Counts::Flag => DeliveryCount::Redelivered(deliveries > 1),
        }
    }

    /// Records in the law checker what the broker did.
    fn record(
        &mut self,
        sent: &RequestInTransit,
        result: &Result<broker::Response, Refusal>,
        now: Moment,
    ) {
        let Ok(response) = result else { return };
        let who = sent.who;
        match (&sent.op, response) {
            (QueueOp::Post { queue, messages }, broker::Response::Posted(ids)) => {
                let again = matches!(sent.requester, Requester::Duplicate);
                self.checker.posted(who, queue, messages.items(), ids, again);
            }
            (QueueOp::Post { queue, messages }, broker::Response::PostedEach(entries)) => {
                let again = matches!(sent.requester, Requester::Duplicate);
                for (message, entry) in messages.items().iter().zip(entries) {
                    if let Ok(id) = entry {
                        let (message, id) =
                            (std::slice::from_ref(message), std::slice::from_ref(id));
                        self.checker.posted(who, queue, message, id, again);
                    }
                }
            }
            (QueueOp::Reserve { lease, .. }, broker::Response::Reserved(deliveries)) => {
                self.checker.reserved(sent.connection, deliveries, self.granted(who, *lease), now);
                let causes = self.causes_at(who);
                for delivery in deliveries {
                    for cause in causes.into_iter().flatten() {
                        self.checker.add_cause_to_message(&delivery.message, cause);
                    }
                    self.recent_deliveries.held.push_back(delivery.clone());
                }
                while self.recent_deliveries.held.len() > MAX_REMEMBERED {
                    self.recent_deliveries.held.pop_front();
                }
            }
            (QueueOp::Touch { receipt, lease, .. }, broker::Response::Touched(new)) => {
                self.checker.touched(who, receipt, new, self.granted(who, *lease), now);
            }
            (QueueOp::Release { receipt, failed, .. }, broker::Response::Released) => {
                self.checker.released(who, receipt, *failed, now);
            }
            (QueueOp::Delete { receipt, .. }, broker::Response::Deleted) => {
                self.recent_deliveries.delete(receipt);
                self.checker.deleted(who, receipt, now);
            }
            (QueueOp::DeleteMany { receipts, .. }, broker::Response::DeletedEach(entries)) => {
                for (receipt, entry) in receipts.items().iter().zip(entries) {
                    if entry.is_ok() {
                        self.recent_deliveries.delete(receipt);
                        self.checker.deleted(who, receipt, now);
                    }
                }
            }
            (QueueOp::DeleteMany { receipts, .. }, broker::Response::Deleted) => {
                for receipt in receipts.items() {
                    self.recent_deliveries.delete(receipt);
                    self.checker.deleted(who, receipt, now);
                }
            }
            _ => {}
        }
    }

    /// What is wrong with a process when it receives a message.
    pub(crate) fn causes_at(&self, who: ProcessId) -> [Option<Cause>; 3] {
        let Some(host) = self.host(who) else { return [Some(Cause::Crash), None, None] };
        let clocks = host.clock.is_true(self.now) && self.broker_clock.is_true(self.now);
        let paused = host.paused_until > self.now;
        let leaving = host.finish_deadline.is_some();
        [
            (!clocks).then_some(Cause::Clock),
            paused.then_some(Cause::Pause),
            leaving.then_some(Cause::Shutdown),
        ]
    }

    /// How long a requested lease is: on the wire, leases are whole seconds.
    fn granted(&self, who: ProcessId, lease: Duration) -> Duration {
        if self.leases_by_connection(who) {
            return LEASE;
        }
        if self.setup.travels_as_bytes() && lease.subsec_nanos() > 0 {
            return Duration::from_secs(lease.as_secs() + 1);
        }
        lease
    }

    /// The broker delivers something else than it should.
    fn inject_delivery_fault(&mut self, sent: &RequestInTransit, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() || !matches!(sent.requester, Requester::Machine(_)) {
            return;
        }
        let broker = self.hosts.len();
        let Some(mut injected) = self.draw_fault(broker, Opportunity::Delivery) else { return };
        let rng = &mut injected.detail;
        match injected.fault {
            Fault::DeliveredTwice => {
                deliveries.extend(self.recent_deliveries.held.front().cloned())
            }
            Fault::DeliveredAfterDelete => {
                deliveries.extend(self.recent_deliveries.deleted.front().cloned())
            }
            Fault::CountWrong => {
                let wrong = one_of(rng, &[0, 7, 1_000, u32::MAX]);
                (deliveries[0].reserved_count, deliveries[0].lost) = (wrong, wrong);
            }
            Fault::Shuffled => deliveries.reverse(),
            other => unreachable!("{other:?} is not on the menu of deliveries"),
        }
        for delivery in deliveries.iter() {
            self.checker.add_cause_to_message(&delivery.message, Cause::Delivery);
        }
    }
}

impl RecentDeliveries {
    fn delete(&mut self, receipt: &ivy_proto::Receipt) {
        let position = self.held.iter().position(|held| held.message == receipt.message);
        if let Some(deleted) = position.and_then(|position| self.held.remove(position)) {
            self.deleted.push_back(deleted);
        }
        while self.deleted.len() > MAX_REMEMBERED {
            self.deleted.pop_front();
        }
    }
}

/// The messages of a reply, if it contains any.
fn reserved(reply: &mut Result<QueueReply, QueueFault>) -> &mut [ReservedMessage] {
    match reply {
        Ok(QueueReply::Reserved(reserved)) => &mut reserved.messages,
        _ => &mut [],
    }
}

/// The receipts of a reply, if it contains messages.
pub(crate) fn receipts(
    reply: &Result<QueueReply, QueueFault>,
) -> impl Iterator<Item = ivy_proto::Receipt> + '_ {
    let messages: &[ReservedMessage] = match reply {
        Ok(QueueReply::Reserved(reserved)) => &reserved.messages,
        _ => &[],
    };
    messages.iter().map(|message| message.receipt.clone())
}

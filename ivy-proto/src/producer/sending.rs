//! Posts messages, and decides which failed posts are repeated.

use std::time::Duration;

use crate::event::{DegradedReason, Event, Part};
use crate::id::{MessageId, OpId};
use crate::metrics::{RequestKind, RequestOutcome};
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::queue::{Batch, Effect, Fault, FaultKind, QueueOp, QueueReply, different, entries};
use crate::retry::{Backoff, MAX_RETRY_AFTER};

use super::Producer;
use super::io::{Output, SendError, Timer};
use super::outbox::{OutgoingMessage, PostInFlight};

/// The longest time that a call waits to be batched.
const MERGE: Duration = Duration::from_millis(2);

/// After the first two retries, an unreachable queue is tried at most twice a second.
const QUICK_RETRIES: u32 = 2;
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

impl Producer {
    /// Posts the waiting messages of this queue, as far as posts may be sent now.
    ///
    /// Calls are sent immediately while few posts are in flight. Otherwise a few calls wait to be
    /// batched until no post is in flight, for [`MERGE`] at most.
    pub(super) fn post(&mut self, queue: &QueueName) {
        let alone = !self.outbox.is_posting(queue);
        let mut has_posted = false;
        while let Some(mut post) = self.outbox.next_post(queue, alone) {
            has_posted = true;
            // A notice may have proved meanwhile that a message was stored.
            post.messages.retain(|outgoing| self.pending.is_unsent(outgoing.id));
            let messages = post.messages.iter().map(OutgoingMessage::message).collect();
            let Some(messages) = Batch::new(messages) else {
                continue;
            };
            for outgoing in post.messages.iter().filter(|outgoing| outgoing.may_be_stored) {
                if let Some(task) = self.pending.task(outgoing.id).cloned() {
                    self.meter.resent(queue);
                    self.event(Event::Resent { task, tries: outgoing.tries });
                }
            }
            let op = self.ops.next_op();
            self.outbox.posted(op, queue, post, self.now);
            self.outputs
                .push_back(Output::Queue(op, QueueOp::Post { queue: queue.clone(), messages }));
        }
        let timer = Timer::Merge(queue.clone());
        if !self.outbox.may_merge(queue) {
            self.timers.stop(&timer);
        } else if has_posted || self.timers.at(&timer).is_none() {
            // The remaining messages arrived after those just posted.
            self.set_timer(timer, self.now + MERGE);
        }
        self.outbox.tidy(queue);
    }

    /// The merge timer has ended.
    pub(super) fn on_merged(&mut self, queue: &QueueName) {
        self.outbox.merged(queue);
        self.post(queue);
    }

    pub(super) fn on_reply(&mut self, op: OpId, result: Result<QueueReply, Fault>) {
        let Some(post) = self.outbox.finish_post(op) else { return };
        let queue = post.queue.clone();
        let (outcome, took) =
            (RequestOutcome::of_queue(&result), self.now.micros_since(post.since));
        self.requests.ended(RequestKind::Post, outcome, took);
        match posted(result, post.messages.len()) {
            Ok(entries) => self.on_entries(&queue, post.messages, entries),
            Err(fault) => self.on_fault(post, &fault),
        }
        self.post(&queue);
    }

    /// The pause of the queue has ended.
    pub(super) fn on_pause_ended(&mut self, queue: &QueueName) {
        self.outbox.resume(queue);
        self.post(queue);
    }

    /// Handles the entry of each message. A refused message does not prevent the others from being
    /// sent.
    fn on_entries(
        &mut self,
        queue: &QueueName,
        messages: Vec<OutgoingMessage>,
        entries: Vec<Result<MessageId, Fault>>,
    ) {
        // A queue that replies works, even if it refuses some messages.
        self.queue_works(queue);
        let (mut failed, mut faults) = (Vec::new(), Vec::new());
        for (outgoing, entry) in messages.into_iter().zip(entries) {
            match entry {
                Ok(message) if outgoing.is_abandoned => {
                    self.pending.shared_is_sent(outgoing.id, &message);
                }
                Ok(message) => self.sent(outgoing.id, message),
                Err(fault) => {
                    failed.push(outgoing);
                    faults.push(fault);
                }
            }
        }
        for fault in different(&faults) {
            self.event(Event::QueueError { queue: queue.clone(), fault: fault.clone() });
        }
        let failed = failed.into_iter().zip(faults);
        let (refused, again): (Vec<_>, Vec<_>) =
            failed.partition(|(_, fault)| fault.effect() == Effect::Refused);
        for (outgoing, fault) in refused {
            self.fail_message(&outgoing, &fault);
        }
        self.try_again(queue, again, None);
    }

    fn on_fault(&mut self, post: PostInFlight, fault: &Fault) {
        let PostInFlight { queue, messages, .. } = post;
        self.event(Event::QueueError { queue: queue.clone(), fault: fault.clone() });
        match fault.effect() {
            Effect::None
                if planted(Bug::DropWhenThrottled)
                    && fault.kind() == FaultKind::TooManyRequests => {}
            effect @ (Effect::None | Effect::Unknown) => {
                let failed =
                    messages.into_iter().map(|outgoing| (outgoing, fault.clone())).collect();
                self.try_again(&queue, failed, Some(fault).filter(|_| effect == Effect::None));
            }
            Effect::Refused => {
                // A queue that refuses messages works.
                self.queue_works(&queue);
                let one_may_spoil_all =
                    matches!(fault.kind(), FaultKind::Refused | FaultKind::TooLarge);
                if one_may_spoil_all && messages.len() > 1 {
                    self.outbox.split(&queue, messages);
                } else {
                    for outgoing in messages {
                        self.fail_message(&outgoing, fault);
                    }
                }
            }
        }
    }

    /// Repeats failed messages, as far as they may be repeated. `outage` is the fault if the queue
    /// was unreachable; then the waiting messages could not be sent either.
    fn try_again(
        &mut self,
        queue: &QueueName,
        failed: Vec<(OutgoingMessage, Fault)>,
        outage: Option<&Fault>,
    ) {
        let Some((_, first)) = failed.first() else { return };
        let why = first.clone();
        let requested = failed.iter().filter_map(|(_, fault)| fault.retry_after()).max();
        let tries = self.config.tries;
        let (mut again, mut final_failures) = (Vec::new(), Vec::new());
        for (mut outgoing, fault) in failed {
            if outgoing.is_abandoned {
                continue;
            }
            let unknown = fault.effect() == Effect::Unknown;
            outgoing.tries += 1;
            outgoing.may_be_stored |= unknown && !planted(Bug::RetryUnknownSilently);
            let may_try =
                outgoing.tries < tries && (outgoing.repeatable || !outgoing.may_be_stored);
            if may_try { again.push(outgoing) } else { final_failures.push((outgoing, fault)) }
        }
        let mut pause = requested.map(|requested| requested.min(MAX_RETRY_AFTER));
        if let Some(round) = self.outbox.failed(queue, &why) {
            if round.is_degraded_now {
                let why = DegradedReason::Queue(why);
                self.report_degraded(Part::Queue(queue.clone()), why);
            }
            if let Some(fault) = outage {
                let exhausted = self.outbox.count_try_of_waiting(queue, tries);
                final_failures
                    .extend(exhausted.into_iter().map(|outgoing| (outgoing, fault.clone())));
            }
            let shortest =
                if round.number > QUICK_RETRIES { SHORTEST_PAUSE } else { Duration::ZERO };
            let jittered = Backoff::REQUESTS.delay(round.number - 1, &mut self.rng);
            pause = Some(pause.unwrap_or_default().max(jittered).max(shortest));
        }
        self.outbox.put_back(queue, again);
        for (outgoing, fault) in final_failures {
            self.fail_message(&outgoing, &fault);
        }
        if let Some(pause) = pause {
            let until = self.outbox.pause(queue, self.now + pause);
            self.set_timer(Timer::Resend(queue.clone()), until);
        }
    }

    /// Fails a message that will not be sent again, if anybody waits for it.
    pub(super) fn fail_message(&mut self, outgoing: &OutgoingMessage, fault: &Fault) {
        if outgoing.is_abandoned {
            return;
        }
        let (fault, tries) = (fault.clone(), outgoing.tries);
        let error = if outgoing.may_be_stored {
            SendError::Unknown { fault: fault.clone(), tries }
        } else if fault.effect() == Effect::Refused {
            SendError::Refused { fault: fault.clone() }
        } else {
            SendError::NotSent { fault: fault.clone(), tries }
        };
        if let Some(task) = self.not_sent(outgoing.id, &error) {
            self.event(Event::SendFailed { task, fault });
        }
    }

    fn queue_works(&mut self, queue: &QueueName) {
        if self.outbox.succeeded(queue) {
            self.report_recovered(Part::Queue(queue.clone()));
        }
    }
}

/// The result of each of `count` posted messages.
fn posted(
    result: Result<QueueReply, Fault>,
    count: usize,
) -> Result<Vec<Result<MessageId, Fault>>, Fault> {
    match result? {
        QueueReply::Posted(mut replied) => {
            if planted(Bug::MissingEntryIsDone) {
                replied.resize(count, Ok(MessageId::new("?")));
            }
            if planted(Bug::RefusedEntryFailsBatch) {
                let refused = |fault: &&Fault| fault.effect() == Effect::Refused;
                let faults = replied.iter().filter_map(|entry| entry.as_ref().err());
                if let Some(fault) = faults.clone().find(refused) {
                    return Err(fault.clone());
                }
            }
            entries(replied, count)
        }
        // Unreachable: rejected as a misuse before.
        _ => Err(Fault::new(FaultKind::BadReply)),
    }
}

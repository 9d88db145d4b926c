//! Posts messages in batches.
//!
//! What the queue accepted is deleted next. What it refused stays, and so does what it may have
//! accepted.

use std::time::Duration;

use crate::id::MessageId;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::queue::{
    Batch, Body, EMPTY_POST, Effect, Fault, FaultKind, NewMessage, QueueOp, QueueReply, entries,
    size_in_post,
};
use crate::wire::Content;

use super::super::report::ProblemKind;
use super::groups::GroupId;
use super::held_messages::HeldId;
use super::leases::Readiness;
use super::requests::InFlight;
use super::{Next, Sweep};

/// What becomes of the next waiting message.
enum Turn {
    /// It is posted to this queue.
    Post(QueueName, Body),
    /// It is not posted.
    Skip(ProblemKind),
    /// The lease of this copy is renewed first.
    Renew(HeldId),
    /// It is reserved again first.
    Regain,
}

impl Sweep {
    /// Posts the next waiting messages of one queue.
    pub(super) fn post_next(&mut self) -> Next {
        let Some(requeue) = self.config.requeue_options() else { return Next::Ended };
        let (delay, rate) = (requeue.delay, requeue.rate);
        let split = self.work.splits.last().copied().unwrap_or(usize::MAX);
        let most = self.batch().min(split).max(1);
        let (mut posting, mut messages) = (Vec::new(), Vec::new());
        let (mut bytes, mut to) = (EMPTY_POST, None);
        while posting.len() < most
            && let Some(id) = self.work.waiting.front().copied()
        {
            if planted(Bug::SweepDeletesBeforePost) && self.deletes_first(id) {
                return Next::Ended;
            }
            match self.turn(id) {
                Turn::Post(target, body) => {
                    bytes += size_in_post(&body);
                    let to = to.get_or_insert_with(|| target.clone());
                    if *to != target || bytes > self.limits.max_request && !posting.is_empty() {
                        break;
                    }
                    posting.push(id);
                    messages.push(NewMessage { body, delay });
                }
                Turn::Skip(kind) => self.report_problem(id, kind),
                Turn::Renew(held) if posting.is_empty() => return self.renew(held),
                Turn::Renew(_) | Turn::Regain => break,
            }
            self.work.waiting.pop_front();
        }
        let (Some(queue), Some(messages)) = (to, Batch::new(messages)) else { return Next::Ended };
        self.work.splits.pop();
        if let Some(rate) = rate {
            let count = u32::try_from(posting.len()).unwrap_or(u32::MAX);
            let pause = Duration::from_secs(1).saturating_mul(count) / rate.get();
            self.work.next_post = self.now + pause;
        }
        self.send(QueueOp::Post { queue, messages }, InFlight::Post(posting));
        Next::Sent
    }

    fn turn(&mut self, id: GroupId) -> Turn {
        match self.readiness(id) {
            Readiness::Ready => {}
            Readiness::Renew(held) => return Turn::Renew(held),
            Readiness::Lapsed => return Turn::Regain,
            Readiness::Lost => return Turn::Skip(ProblemKind::LeaseLost),
        }
        let group = self.groups.get(id);
        let Some((body, target)) = group.and_then(|it| Some((it.body.clone(), it.target.clone()?)))
        else {
            // Unreachable: what waits has a target.
            return Turn::Skip(ProblemKind::LeaseLost);
        };
        let content = Content::read(&body, &self.config.queue, &self.codec);
        match self.rewritten(&body, &content, &target) {
            Ok(body) => Turn::Post(target, body),
            // Such as a deadline that has passed since the plan.
            Err(obstacle) => Turn::Skip(ProblemKind::Obstacle(obstacle)),
        }
    }

    pub(super) fn on_posted(&mut self, posting: Vec<GroupId>, reply: Result<QueueReply, Fault>) {
        match reply {
            Ok(QueueReply::Posted(replied)) => match entries(replied, posting.len()) {
                Ok(entries) => self.on_entries(posting, entries),
                Err(fault) => self.on_post_failed(posting, fault),
            },
            // Unreachable: another reply is a misuse.
            Ok(_) => {}
            Err(fault) => self.on_post_failed(posting, fault),
        }
    }

    fn on_entries(&mut self, posting: Vec<GroupId>, entries: Vec<Result<MessageId, Fault>>) {
        let (mut again, mut failure) = (Vec::new(), None);
        let mut works = false;
        for (id, entry) in posting.into_iter().zip(entries) {
            match entry {
                Ok(_) => {
                    works = true;
                    self.report.posted += 1;
                    self.delete_copies(id);
                }
                Err(fault) => match fault.effect() {
                    Effect::Refused => {
                        works = true;
                        self.report_problem(id, ProblemKind::Refused(fault));
                    }
                    Effect::Unknown if !self.may_repeat() => {
                        self.report_problem(id, ProblemKind::Unknown(fault.clone()));
                        failure = Some(fault);
                    }
                    Effect::None | Effect::Unknown => {
                        again.push(id);
                        failure = Some(fault);
                    }
                },
            }
        }
        self.wait_again(again);
        if works {
            self.requests.succeeded();
        }
        if let Some(fault) = failure {
            self.try_again(fault);
        }
    }

    /// A whole batch failed.
    fn on_post_failed(&mut self, posting: Vec<GroupId>, fault: Fault) {
        match fault.effect() {
            Effect::Unknown if !self.may_repeat() => {
                self.may_be_posted(posting, &fault);
                self.try_again(fault);
            }
            Effect::None | Effect::Unknown => {
                self.wait_again(posting);
                self.try_again(fault);
            }
            Effect::Refused => {
                if matches!(fault.kind(), FaultKind::Unauthorized | FaultKind::Redirected) {
                    self.wait_again(posting);
                    return self.fail(fault);
                }
                self.requests.succeeded();
                let one_may_spoil_all =
                    matches!(fault.kind(), FaultKind::Refused | FaultKind::TooLarge);
                if one_may_spoil_all && posting.len() > 1 {
                    let half = posting.len() / 2;
                    self.work.splits.extend([posting.len() - half, half]);
                    return self.wait_again(posting);
                }
                for id in posting {
                    self.report_problem(id, ProblemKind::Refused(fault.clone()));
                }
            }
        }
    }

    /// Messages that may have been posted stay in the swept queue.
    pub(super) fn may_be_posted(&mut self, posting: Vec<GroupId>, fault: &Fault) {
        for id in posting {
            self.report_problem(id, ProblemKind::Unknown(fault.clone()));
        }
    }

    /// These messages are the next ones again.
    fn wait_again(&mut self, posting: Vec<GroupId>) {
        for id in posting.into_iter().rev() {
            self.work.waiting.push_front(id);
        }
    }

    fn may_repeat(&self) -> bool {
        self.config.requeue_options().is_some_and(|requeue| requeue.again_if_unknown)
    }

    /// Deletes a message that was not posted yet. Returns whether there was something to delete.
    fn deletes_first(&mut self, id: GroupId) -> bool {
        self.delete_copies(id);
        self.work.must_delete()
    }
}

//! Processes the selected messages, one batch after the other.

use std::collections::VecDeque;

use crate::queue::Fault;
use crate::time::{Deadline, Moment};

use super::super::report::{Problem, ProblemKind};
use super::config::Action;
use super::groups::{Group, GroupId};
use super::held_messages::{HeldId, HeldState};
use super::io::{Output, Phase, Progress, Timer};
use super::leases::Readiness;
use super::re_reserving::ReReserving;
use super::{Next, Stage, Sweep};

/// What is left to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Messages that wait for their turn. Those for one queue follow each other.
    pub(super) waiting: VecDeque<GroupId>,
    /// How many messages the next posts contain at most, after a refused batch was split.
    pub(super) splits: Vec<usize>,
    /// Messages to be deleted: they were posted, or their deletion was requested.
    pub(super) deletes: VecDeque<HeldId>,
    /// How many deletes are sent one by one, after a refused batch.
    pub(super) single_deletes: usize,
    /// When the rate permits the next post.
    pub(super) next_post: Moment,
    /// The ends of the leases of waiting messages of a queue that workers serve, in ascending order.
    /// An entry whose lease was renewed is outdated.
    pub(super) leases: VecDeque<(Moment, HeldId)>,
    total: usize,
}

impl Work {
    pub(super) fn must_delete(&self) -> bool {
        !self.deletes.is_empty()
    }

    /// Whether there was something to do.
    pub(super) fn has_begun(&self) -> bool {
        self.total > 0
    }

    pub(super) fn progress(&self) -> Progress {
        let done = self.total.saturating_sub(self.waiting.len());
        Progress { phase: Phase::Working, done, total: Some(self.total) }
    }
}

impl Sweep {
    /// Reports the selected messages with which nothing will be done.
    pub(super) fn report_left(&mut self) {
        let problem = |(id, group): (GroupId, &Group)| match group.obstacle {
            Some(obstacle) => Some((id, ProblemKind::Obstacle(obstacle))),
            None => group.is_other_of_task.then_some((id, ProblemKind::OtherOfTask)),
        };
        let problems: Vec<_> = self.groups.iter().filter_map(problem).collect();
        for (id, kind) in problems {
            self.report_problem(id, kind);
        }
    }

    /// Begins the work. Everything that will not be done is reported first.
    pub(super) fn begin_work(&mut self) {
        self.report_left();
        let is_processed = |(_, group): &(GroupId, &Group)| group.is_processed();
        let processed = self.groups.iter().filter(is_processed);
        let mut waiting: Vec<GroupId> = processed.map(|(id, _)| id).collect();
        let target = |id: &GroupId| self.groups.get(*id).and_then(|group| group.target.clone());
        waiting.sort_by_cached_key(target);
        let of_waiting = |id: &GroupId| self.groups.get(*id).map(|group| group.copies.clone());
        let renewed = if self.config.is_live() { &waiting[..] } else { &[] };
        let mut leases: Vec<(Moment, HeldId)> = renewed
            .iter()
            .filter_map(of_waiting)
            .flatten()
            .filter_map(|copy| self.held_messages.get(copy).map(|held| (held.lease_end, copy)))
            .collect();
        leases.sort_unstable();
        self.work.total = waiting.len();
        self.work.waiting = waiting.into();
        self.work.leases = leases.into();
        self.stage = Stage::Working;
    }

    pub(super) fn work(&mut self) -> Next {
        if self.work.must_delete() {
            return self.delete_next();
        }
        if self.work.waiting.is_empty() {
            self.release_all();
            return Next::Ended;
        }
        if let Some(held) = self.expiring_lease() {
            return self.renew(held);
        }
        if self.now < self.work.next_post {
            return Next::Waits(Some(self.next_timer()));
        }
        if self.must_reserve_again() {
            self.stage = Stage::ReReserving(ReReserving::default());
            return Next::Ended;
        }
        if let Some(held) = self.expiring_in_batch() {
            return self.renew(held);
        }
        match self.config.action {
            Action::Look => Next::Ended,
            Action::Delete => self.choose_deletes(),
            Action::Requeue(_) | Action::Move(_) => self.post_next(),
        }
    }

    /// How many messages are processed together at most.
    pub(super) fn batch(&self) -> usize {
        let Some(requeue) = self.config.requeue_options() else { return self.limits.delete };
        let per_second = requeue.rate.map_or(usize::MAX, |rate| rate.get() as usize);
        self.limits.post.min(per_second)
    }

    fn next_timer(&self) -> Deadline<Timer> {
        let post = Deadline { at: self.work.next_post, why: Timer::Rate };
        match self.next_renewal() {
            Some(at) => {
                let renewal = self.lease_timer(at, Timer::Renewal);
                if renewal.at < post.at { renewal } else { post }
            }
            None => post,
        }
    }

    /// Deletes the next waiting messages, which need not be posted.
    fn choose_deletes(&mut self) -> Next {
        while self.work.deletes.len() < self.limits.delete
            && let Some(id) = self.work.waiting.front().copied()
        {
            match self.readiness(id) {
                Readiness::Ready => {
                    self.work.waiting.pop_front();
                    self.delete_copies(id);
                }
                Readiness::Lost => {
                    self.work.waiting.pop_front();
                    self.report_problem(id, ProblemKind::LeaseLost);
                }
                Readiness::Renew(held) if self.work.deletes.is_empty() => return self.renew(held),
                Readiness::Renew(_) | Readiness::Lapsed => break,
            }
        }
        Next::Ended
    }

    /// Deletes all copies of a message.
    pub(super) fn delete_copies(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id) else { return };
        for copy in &group.copies {
            if self.held_messages.get(*copy).is_some_and(|held| held.state == HeldState::Held) {
                self.work.deletes.push_back(*copy);
            }
        }
    }

    pub(super) fn report_problem(&mut self, id: GroupId, kind: ProblemKind) {
        let Some(copy) = self.groups.get(id).and_then(|group| group.copies.first()) else { return };
        self.report_problem_of(*copy, kind);
    }

    /// Reports a problem of one copy.
    pub(super) fn report_problem_of(&mut self, copy: HeldId, kind: ProblemKind) {
        self.report.count(&kind);
        let Some(held) = self.held_messages.get(copy) else { return };
        let group = held.group.and_then(|group| self.groups.get(group));
        let problem = Problem {
            message: held.message.clone(),
            origin: group.and_then(|group| group.origin.clone()),
            task: group.and_then(|group| group.task.clone()),
            task_id: group.and_then(|group| group.task_id),
            kind,
        };
        self.outputs.push_back(Output::Problem(Box::new(problem)));
    }

    /// Messages that were posted, and will not be deleted.
    pub(super) fn leave_posted(&mut self, fault: &Fault) {
        let left: Vec<HeldId> = self.work.deletes.drain(..).collect();
        self.may_remain(left, fault);
    }

    /// Ends the work.
    pub(super) fn abandon_work(&mut self) {
        self.report.not_tried += self.work.waiting.len();
        self.work.waiting.clear();
    }
}

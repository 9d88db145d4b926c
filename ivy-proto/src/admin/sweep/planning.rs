//! The plan, and the operator's answer to it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Moment;

use super::super::report::Ended;
use super::super::rewrite::Obstacle;
use super::config::Action;
use super::io::{Output, Timer};
use super::plan::Plan;
use super::{Next, Stage, Sweep};

/// How long an operator may think about a plan. Leases may end meanwhile.
const CONFIRMATION_WAIT: Duration = Duration::from_secs(300);

impl Sweep {
    /// Shows the plan, and waits for the answer if there is something to be agreed to.
    pub(super) fn show_plan(&mut self) {
        let live = self.config.is_live();
        let nothing_to_do = match self.config.action {
            _ if self.config.is_look() => true,
            _ if live => self.size == Some(0),
            _ => self.groups.iter().all(|(_, group)| !group.is_processed()),
        };
        let until = self.lease_now() + CONFIRMATION_WAIT;
        let plan = self.plan((!nothing_to_do).then_some(CONFIRMATION_WAIT));
        self.outputs.push_back(Output::Plan(Box::new(plan)));
        if nothing_to_do {
            if !self.config.is_look() {
                self.report_left();
            }
            self.release_all();
        } else {
            self.stage = Stage::Asking(until);
        }
    }

    fn plan(&self, answer_within: Option<Duration>) -> Plan {
        let (mut targets, mut tasks) = (BTreeMap::new(), BTreeMap::new());
        let (mut reasons, mut obstacles) = (BTreeMap::new(), BTreeMap::new());
        let (mut processed, mut processed_with_copies, mut others_of_task) = (0, 0, 0);
        for (_, group) in self.groups.iter() {
            let copies = group.copies.len();
            *tasks.entry(group.task.clone()).or_default() += copies;
            *reasons.entry(group.reason).or_default() += copies;
            if let Some(obstacle) = group.obstacle {
                *obstacles.entry(obstacle).or_default() += copies;
            }
            if group.is_other_of_task {
                others_of_task += copies;
            }
            if group.is_processed() {
                processed += 1;
                processed_with_copies += copies;
                if let Some(target) = &group.target {
                    *targets.entry(target.clone()).or_default() += 1;
                }
            }
        }
        let unread = [
            (Obstacle::NotCompared, self.report.not_compared),
            (Obstacle::NotReturned, self.report.too_large),
        ];
        obstacles.extend(unread.into_iter().filter(|(_, count)| *count > 0));
        let looks = matches!(self.config.action, Action::Look);
        Plan {
            queue: self.config.queue.clone(),
            action: self.config.action.clone(),
            size: self.size,
            looked_at: self.report.looked_at,
            selected: self.selected,
            messages: self.groups.len(),
            processed: if looks { 0 } else { processed },
            processed_with_copies: if looks { 0 } else { processed_with_copies },
            obstacles,
            others_of_task,
            targets,
            tasks,
            reasons,
            truncated: self.report.truncated,
            answer_within,
        }
    }

    pub(super) fn wait_for_answer(&mut self, until: Moment) -> Next {
        if self.lease_now() < until {
            return Next::Waits(Some(self.lease_timer(until, Timer::Answer)));
        }
        self.report.end = Ended::NotConfirmed;
        self.release_all();
        Next::Ended
    }

    pub(super) fn on_answer(&mut self, confirmed: bool) {
        let Stage::Asking(until) = self.stage else { return };
        if self.lease_now() >= until {
            // The answer is too late: the queue may have changed.
        } else if !confirmed {
            self.report.end = Ended::Cancelled;
            self.release_all();
        } else if self.config.is_live() {
            self.stage = Stage::Looking;
        } else {
            self.begin_work();
        }
    }
}

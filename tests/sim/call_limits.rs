//! S20: calls with a time limit. One that is withdrawn is never sent.

use std::time::Duration;

use ivy_proto::Rng;

use crate::fault_injection::one_of;
use crate::task::ProcessId;
use crate::world::World;

/// The time limit of a call: from less than a request takes to longer than most outages.
pub(crate) fn any_limit(rng: &mut Rng) -> Duration {
    Duration::from_millis(one_of(rng, &[1, 15, 40, 300, 2_000, 12_000]))
}

impl World {
    /// A producer reports that a call was withdrawn: no request that may have stored it was sent,
    /// nor is one under way.
    pub(crate) fn check_withdrawn(&mut self, who: ProcessId, number: usize) {
        let task = &self.checker.tasks[number];
        let (accepted, unknown) = (task.accepted, task.unknown);
        let of_this_process = self.posts.iter().filter(|((by, _), _)| *by == who);
        let is_under_way = of_this_process.flat_map(|(_, tasks)| tasks).any(|task| *task == number);
        if is_under_way || accepted > 0 || unknown > 0 {
            self.checker.broken("S20", || {
                format!(
                    "task {number} was withdrawn: under way: {is_under_way}, stored: {accepted}, \
                     unknown: {unknown}"
                )
            });
        }
    }

    /// A producer reports that a call has no reply: one of its requests must have been sent.
    pub(crate) fn check_has_no_reply(&mut self, number: usize) {
        if self.checker.tasks[number].posts == 0 {
            self.checker.broken("S20", || format!("task {number} was not posted, and may be sent"));
        }
    }

    /// A producer posts these tasks: none of them was reported as withdrawn, or otherwise ended.
    pub(crate) fn check_posted(&mut self, tasks: &[usize]) {
        for number in tasks {
            let task = &mut self.checker.tasks[*number];
            task.posts += 1;
            if let Some(reported) = task.send_result {
                self.checker
                    .broken("S20", || format!("task {number} is posted after {reported:?}"));
            }
        }
    }
}

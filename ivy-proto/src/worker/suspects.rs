//! Messages that were delivered so often without an outcome that they may be what kills workers.
//!
//! Each runs alone: nothing else is started or reserved meanwhile, so that a crash is counted
//! against nobody but those that are suspected too. Among these the least often delivered comes
//! first, and chance decides between equals: an innocent one is run before long, and only what
//! really crashes is left to be put aside.

use crate::id::JobId;
use crate::rng::Rng;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Those that wait, with how often they were delivered.
    waiting: Vec<(JobId, u32)>,
    running: Option<JobId>,
}

impl Suspects {
    pub(super) fn add(&mut self, job: JobId, deliveries: u32) {
        self.waiting.push((job, deliveries));
    }

    /// Whether there is any, waiting or running.
    pub(super) fn any(&self) -> bool {
        self.one_runs() || !self.waiting.is_empty()
    }

    pub(super) fn one_runs(&self) -> bool {
        self.running.is_some()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the one to be run next. It counts as running until it has ended.
    pub(super) fn start(&mut self, rng: &mut Rng) -> Option<JobId> {
        let fewest = self.waiting.iter().map(|(_, deliveries)| *deliveries).min()?;
        let equals: Vec<usize> = (0..self.waiting.len())
            .filter(|index| self.waiting.get(*index).is_some_and(|(_, many)| *many == fewest))
            .collect();
        let chance = rng.up_to(equals.len() as u64 - 1);
        let index = equals.get(usize::try_from(chance).unwrap_or(0))?;
        let (job, _) = self.waiting.swap_remove(*index);
        self.running = Some(job);
        Some(job)
    }

    /// This job has ended, or is not held any more.
    pub(super) fn ended(&mut self, job: JobId) {
        self.waiting.retain(|(waiting, _)| *waiting != job);
        self.running.take_if(|running| *running == job);
    }

    /// Takes all that wait.
    pub(super) fn take_waiting(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.waiting).into_iter().map(|(job, _)| job).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdGenerator;

    #[test]
    fn the_least_often_delivered_comes_first() {
        let (mut suspects, mut ids) = (Suspects::default(), IdGenerator::default());
        let (often, seldom) = (ids.next_job(), ids.next_job());
        suspects.add(often, 40);
        suspects.add(seldom, 30);
        let mut rng = Rng::from_number(1);
        assert_eq!(suspects.start(&mut rng), Some(seldom));
        suspects.ended(seldom);
        assert_eq!(suspects.start(&mut rng), Some(often));
    }

    #[test]
    fn chance_decides_between_equals() {
        let mut ids = IdGenerator::default();
        let (one, other) = (ids.next_job(), ids.next_job());
        let mut rng = Rng::from_number(1);
        let mut first = |_| {
            let mut suspects = Suspects::default();
            suspects.add(one, 30);
            suspects.add(other, 30);
            suspects.start(&mut rng)
        };
        let firsts: Vec<_> = (0..50).map(&mut first).collect();
        assert!(firsts.contains(&Some(one)) && firsts.contains(&Some(other)));
    }
}

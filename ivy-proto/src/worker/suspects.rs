//! Messages with so many lost deliveries that they may be crashing workers.
//!
//! Each runs alone: nothing else is started or reserved meanwhile, so a crash counts only against
//! suspects. The one with the fewest lost deliveries runs first, and chance decides between equals.
//! So an innocent message runs before long, and only one that really crashes its workers is moved
//! to the dead-letter queue.

use crate::id::JobId;
use crate::rng::Rng;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// The waiting suspects, with their lost deliveries.
    waiting: Vec<(JobId, u32)>,
    running: Option<JobId>,
}

impl Suspects {
    pub(super) fn add(&mut self, job: JobId, deliveries: u32) {
        self.waiting.push((job, deliveries));
    }

    /// Whether any suspect waits or runs.
    pub(super) fn any(&self) -> bool {
        self.one_runs() || !self.waiting.is_empty()
    }

    pub(super) fn one_runs(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the suspect to run next. It counts as running until it has ended.
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

    /// The job has ended or is no longer held.
    pub(super) fn ended(&mut self, job: JobId) {
        self.waiting.retain(|(waiting, _)| *waiting != job);
        self.running.take_if(|running| *running == job);
    }

    /// Takes all waiting suspects.
    pub(super) fn take_waiting(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.waiting).into_iter().map(|(job, _)| job).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdGenerator;

    #[test]
    fn the_suspect_with_the_fewest_lost_deliveries_starts_first() {
        let (mut suspects, mut ids) = (Suspects::default(), IdGenerator::default());
        let (many_lost, few_lost) = (ids.next_job(), ids.next_job());
        suspects.add(many_lost, 40);
        suspects.add(few_lost, 30);
        let mut rng = Rng::from_number(1);
        assert_eq!(suspects.start(&mut rng), Some(few_lost));
        suspects.ended(few_lost);
        assert_eq!(suspects.start(&mut rng), Some(many_lost));
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

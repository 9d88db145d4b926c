//! The counts of a worker.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::ReleaseReason;
use crate::name::{QueueName, TaskName};
use crate::wire::DeadLetterReason;

use super::counts::{Execution, QueueCounts, TaskCounts};
use super::labels::{Labels, TaskKey, other_queue, other_task};
use super::{NoticeCounts, NoticeOutcome};

/// Counts by queue and task. The labels are known from the start, so a queue is looked up once for
/// each reply, a message's task not at all, and everything after that is an addition at a known
/// place.
#[derive(Debug)]
pub(crate) struct Meter {
    /// In the order of the names given at the start.
    queues: Vec<QueueRow>,
    /// The label of each task, in the order of the names given at the start; the last one is that
    /// of the tasks which are not registered.
    tasks: Vec<TaskName>,
    rows: Vec<TaskRow>,
    notices: NoticeCounts,
    is_exceeded: bool,
}

#[derive(Debug)]
struct QueueRow {
    queue: QueueName,
    label: QueueName,
    counts: QueueCounts,
    /// For each task, its place in `rows`, from 1; 0 before its first message.
    rows: Vec<u32>,
}

#[derive(Debug)]
struct TaskRow {
    key: TaskKey,
    counts: TaskCounts,
}

/// Where the counts of a queue are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedQueue(u32);

/// Where the counts of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    queue: u32,
    task: u32,
}

impl Meter {
    /// A meter for these queues and tasks.
    pub(crate) fn new<'a>(
        queues: impl Iterator<Item = &'a QueueName>,
        tasks: impl Iterator<Item = &'a TaskName>,
    ) -> Self {
        let mut labels = Labels::default();
        let tasks: Vec<TaskName> =
            tasks.map(|task| labels.task(task)).chain([other_task()]).collect();
        let queues = queues
            .map(|queue| QueueRow {
                queue: queue.clone(),
                label: labels.queue(queue),
                counts: QueueCounts::default(),
                rows: vec![0; tasks.len()],
            })
            .collect();
        Meter {
            queues,
            tasks,
            rows: Vec::new(),
            notices: NoticeCounts::default(),
            is_exceeded: labels.are_exceeded(),
        }
    }

    /// Whether some queues or tasks share the label of the others.
    pub(crate) fn has_too_many_labels(&self) -> bool {
        self.is_exceeded
    }

    /// This many messages were reserved from a queue.
    pub(crate) fn reserved(&mut self, queue: &QueueName, messages: usize) -> CountedQueue {
        let at = self.queues.iter().position(|row| row.queue == *queue);
        if let Some(row) = at.and_then(|at| self.queues.get_mut(at)) {
            row.counts.reserved = row.counts.reserved.saturating_add(messages as u64);
        }
        CountedQueue(at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX))
    }

    /// The row of a message of this queue. `task` is the place of its task among the registered
    /// ones.
    pub(crate) fn row(&mut self, queue: CountedQueue, task: Option<usize>) -> Row {
        let task = task.unwrap_or(usize::MAX).min(self.tasks.len() - 1);
        let places = self.queues.get(queue.0 as usize).map(|row| &row.rows);
        let place = places.and_then(|places| places.get(task)).copied();
        let task = match place {
            Some(0) => self.add_row(queue, task),
            place => place.unwrap_or(0),
        };
        Row { queue: queue.0, task }
    }

    #[cold]
    fn add_row(&mut self, queue: CountedQueue, task: usize) -> u32 {
        let Some(row) = self.queues.get_mut(queue.0 as usize) else { return 0 };
        let key = TaskKey { queue: row.label.clone(), task: self.tasks[task].clone() };
        self.rows.push(TaskRow { key, counts: TaskCounts::default() });
        let place = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        row.rows[task] = place;
        place
    }

    /// A handler started. `waited` is how long its task waited, in microseconds, if that is known.
    pub(crate) fn started(&mut self, row: Row, waited: Option<u64>) {
        let Some(counts) = self.task(row) else { return };
        counts.started = counts.started.saturating_add(1);
        if let Some(waited) = waited {
            counts.wait.record_micros(waited);
        }
    }

    pub(crate) fn executed(&mut self, row: Row, outcome: Execution, took: Duration) {
        let Some(counts) = self.task(row) else { return };
        counts.executed.add(outcome, 1);
        if outcome != Execution::BadArgs {
            counts.run.record(took);
        }
    }

    pub(crate) fn retried(&mut self, row: Row) {
        let Some(counts) = self.task(row) else { return };
        counts.retried = counts.retried.saturating_add(1);
    }

    pub(crate) fn dead_lettered(&mut self, row: Row, reason: DeadLetterReason) {
        let Some(counts) = self.task(row) else { return };
        let count = counts.dead.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn lease_lost(&mut self, row: Row) {
        if let Some(counts) = self.task(row) {
            counts.leases_lost = counts.leases_lost.saturating_add(1);
        }
        if let Some(counts) = self.queue(row) {
            counts.leases_lost = counts.leases_lost.saturating_add(1);
        }
    }

    pub(crate) fn released(&mut self, row: Row, reason: ReleaseReason) {
        let Some(counts) = self.task(row) else { return };
        let count = counts.released.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn touched(&mut self, row: Row) {
        let Some(counts) = self.queue(row) else { return };
        counts.touches = counts.touches.saturating_add(1);
    }

    pub(crate) fn notice(&mut self, outcome: NoticeOutcome) {
        self.notices.add(outcome, 1);
    }

    pub(crate) fn notices(&self) -> &NoticeCounts {
        &self.notices
    }

    /// The counts of all tasks that had a message. Rows of the same label are added.
    pub(crate) fn by_task(&self) -> impl Iterator<Item = (&TaskKey, &TaskCounts)> {
        self.rows.iter().map(|row| (&row.key, &row.counts))
    }

    /// The counts of all queues, including what was counted for their tasks.
    pub(crate) fn by_queue(&self) -> BTreeMap<QueueName, QueueCounts> {
        let mut counts = BTreeMap::<QueueName, QueueCounts>::new();
        for row in &self.queues {
            counts.entry(row.label.clone()).or_default().add(&row.counts);
        }
        for TaskRow { key, counts: task } in &self.rows {
            counts.entry(key.queue.clone()).or_default().add_task(task);
        }
        counts
    }

    /// The label of a queue.
    pub(crate) fn label(&self, queue: &QueueName) -> QueueName {
        let row = self.queues.iter().find(|row| row.queue == *queue);
        row.map_or_else(other_queue, |row| row.label.clone())
    }

    fn task(&mut self, row: Row) -> Option<&mut TaskCounts> {
        let place = (row.task as usize).checked_sub(1)?;
        self.rows.get_mut(place).map(|row| &mut row.counts)
    }

    fn queue(&mut self, row: Row) -> Option<&mut QueueCounts> {
        self.queues.get_mut(row.queue as usize).map(|row| &mut row.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{MOST_QUEUES, MOST_TASKS, OTHER};

    fn queues(count: usize) -> Vec<QueueName> {
        (0..count).map(|number| QueueName::new(&format!("q{number:03}")).unwrap()).collect()
    }

    fn tasks(count: usize) -> Vec<TaskName> {
        (0..count).map(|number| TaskName::new(&format!("t{number:03}")).unwrap()).collect()
    }

    fn reserved(meter: &mut Meter, queue: &QueueName, task: Option<usize>) -> Row {
        let queue = meter.reserved(queue, 1);
        meter.row(queue, task)
    }

    fn counts(meter: &Meter, queue: &str, task: &str) -> TaskCounts {
        let found = meter
            .by_task()
            .find(|(key, _)| key.queue.as_str() == queue && key.task.as_str() == task);
        found.map(|(_, counts)| counts.clone()).unwrap()
    }

    #[test]
    fn each_queue_and_task_has_its_own_counts() {
        let (queues, tasks) = (queues(2), tasks(2));
        let mut meter = Meter::new(queues.iter(), tasks.iter());
        for (queue, task) in [(0, 0), (1, 0), (1, 1), (1, 1)] {
            let row = reserved(&mut meter, &queues[queue], Some(task));
            meter.started(row, Some(3_000));
            meter.executed(row, Execution::Panic, Duration::from_secs(2));
        }
        assert_eq!(meter.by_task().count(), 3);
        let counted = counts(&meter, "q001", "t001");
        assert_eq!((counted.started, counted.executed.of(Execution::Panic)), (2, 2));
        assert_eq!((counted.wait.count(), counted.run.sum()), (2, Duration::from_secs(4)));
        assert_eq!(meter.by_queue()[&queues[1]].reserved, 3);
    }

    #[test]
    fn releases_are_counted_by_task_and_added_by_queue() {
        let (queues, tasks) = (queues(1), tasks(1));
        let mut meter = Meter::new(queues.iter(), tasks.iter());
        for (task, reason) in [
            (Some(0), ReleaseReason::Drain),
            (None, ReleaseReason::Drain),
            (None, ReleaseReason::Undecided(DeadLetterReason::UnknownTask)),
        ] {
            let row = reserved(&mut meter, &queues[0], task);
            meter.released(row, reason);
        }
        assert_eq!(counts(&meter, "q000", "t000").all_released(), 1);
        assert_eq!(counts(&meter, "q000", OTHER).all_released(), 2);
        assert_eq!(meter.by_queue()[&queues[0]].released[&ReleaseReason::Drain], 2);
    }

    #[test]
    fn a_task_that_is_not_registered_counts_as_other() {
        let (queues, tasks) = (queues(1), tasks(1));
        let mut meter = Meter::new(queues.iter(), tasks.iter());
        let row = reserved(&mut meter, &queues[0], None);
        meter.dead_lettered(row, DeadLetterReason::BadJson);
        assert_eq!(counts(&meter, "q000", OTHER).all_dead(), 1);
        assert!(!meter.has_too_many_labels());
    }

    #[test]
    fn queues_and_tasks_beyond_the_limits_count_as_other() {
        let (queues, tasks) = (queues(MOST_QUEUES + 2), tasks(MOST_TASKS + 2));
        let mut meter = Meter::new(queues.iter(), tasks.iter());
        assert!(meter.has_too_many_labels());
        for queue in &queues {
            for task in 0..tasks.len() {
                reserved(&mut meter, queue, Some(task));
            }
        }
        let labels: std::collections::BTreeSet<_> = meter.by_task().map(|(key, _)| key).collect();
        assert_eq!(labels.len(), (MOST_QUEUES + 1) * (MOST_TASKS + 1));
        let reserved = meter.by_queue()[&other_queue()].reserved;
        assert_eq!(reserved, 2 * tasks.len() as u64);
    }
}

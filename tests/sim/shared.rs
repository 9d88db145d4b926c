//! One queue of several programs: most of its workers do not know the task, and are idle.

use std::time::Duration;

use ivy_proto::TaskName;
use ivy_proto::task::TaskSettings;
use ivy_proto::worker::WorkerConfig;

use crate::task::Sender;
use crate::world::World;

/// The median wait may not be longer.
const MAX_MEDIAN: Duration = Duration::from_secs(60);

impl World {
    /// Whether the worker of this host belongs to another program, which uses the first queue too.
    pub(crate) fn is_of_another_program(&self, host: usize) -> bool {
        self.is_among_last(host, self.setup.workers_of_another_program)
    }

    /// Whether the worker of this host has an older version, whose handlers refuse the arguments of
    /// newer calls.
    pub(crate) fn is_old(&self, host: usize) -> bool {
        self.is_among_last(host, self.setup.old_workers)
    }

    /// Whether a host is one of this many last workers. The first worker, which stays after the
    /// fault phase, never is.
    fn is_among_last(&self, host: usize, count: usize) -> bool {
        let workers = &self.checker.workers;
        host > workers.start && host < workers.end && workers.end - host <= count
    }

    /// Gives a worker its tasks.
    pub(crate) fn with_tasks(&self, host: usize, mut config: WorkerConfig) -> WorkerConfig {
        if self.is_of_another_program(host) {
            let name = TaskName::new("other.program").expect("the name is valid");
            let queue = self.kinds[0].settings.queue.clone();
            return config.with_task(name, TaskSettings::in_queue(queue));
        }
        for kind in &self.kinds {
            config = config.with_task(kind.name.clone(), kind.settings.clone());
        }
        config
    }

    /// The worker that knows the task got most of its messages soon, and none was dead-lettered.
    pub(crate) fn check_waits(&mut self) {
        let tasks = self.checker.tasks.iter();
        let tasks = tasks.filter(|task| matches!(task.sender, Sender::Producer(_)));
        let dead = tasks.clone().filter(|task| task.dead > 0).count();
        let mut waits: Vec<Duration> = tasks
            .map(|task| match (task.sent_at, task.finished_at) {
                (Some(sent), Some(finished)) => finished.since(sent),
                _ => Duration::MAX,
            })
            .collect();
        waits.sort_unstable();
        let median = waits[waits.len() / 2];
        if median > MAX_MEDIAN || dead > 0 {
            let others = self.setup.workers_of_another_program;
            self.checker.broken("L7", || {
                format!("with {others} workers that do not know the task, {dead} were dead-lettered; waits: {waits:?}")
            });
        }
    }
}

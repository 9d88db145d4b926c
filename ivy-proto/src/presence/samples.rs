//! Records for tests.

use std::time::Duration;

use crate::event::TaskRef;
use crate::id::TaskId;
use crate::name::{QueueName, TaskName};

use super::{Identity, More, QueuePresence, Record, RunningTask, WorkerId, WorkerState};

impl Record {
    /// The record of an idle worker `web-3:812` that serves this queue, with the task `mail.send`.
    pub(crate) fn sample(queue: &str) -> Record {
        let name = QueueName::new(queue).unwrap();
        Record {
            worker: WorkerId::from_random([1; 16]),
            seq: 1,
            state: WorkerState::Running,
            identity: Identity::new("1.2.3", "tokio").with_process(Some("web-3"), 812),
            started: 1_700_000_000_000,
            up: Duration::from_secs(2),
            slots: 10,
            running: 0,
            held: 0,
            degraded: Vec::new(),
            queues: vec![QueuePresence { name, is_degraded: false }],
            tasks: vec![TaskName::new("mail.send").unwrap()],
            more: More::default(),
            longest: Vec::new(),
            counts: Default::default(),
        }
    }

    /// The worker has been running this task for so long.
    pub(crate) fn run(&mut self, id: TaskId, running: Duration) {
        let (name, queue) = (self.tasks[0].clone(), self.queues[0].name.clone());
        self.longest.push(RunningTask { task: TaskRef { id, name, queue }, attempt: 1, running });
        self.running += 1;
    }
}

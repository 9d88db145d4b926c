//! The served tasks, in a hash map for constant-time lookup.

use std::time::Duration;

use crate::hash_map::SortedHashMap;
use crate::name::TaskName;
use crate::task::TaskSettings;

use super::config::WorkerConfig;

#[derive(Debug)]
pub(super) struct Tasks(SortedHashMap<TaskName, ServedTask>);

/// A task and its settings.
#[derive(Debug)]
pub(super) struct ServedTask {
    /// Its place among the registered tasks, by name.
    pub(super) place: usize,
    /// Shared by all messages of the task.
    pub(super) name: TaskName,
    pub(super) settings: TaskSettings,
    pub(super) lease: Duration,
}

impl Tasks {
    pub(super) fn of(config: &WorkerConfig) -> Self {
        let served = |(place, (name, settings)): (usize, (&TaskName, &TaskSettings))| {
            let lease = config.lease_of(name, settings);
            let (name, settings) = (name.clone(), settings.clone());
            (name.clone(), ServedTask { place, name, settings, lease })
        };
        Tasks(config.tasks.iter().enumerate().map(served).collect())
    }

    pub(super) fn find(&self, name: &TaskName) -> Option<&ServedTask> {
        self.0.get(name.as_str())
    }
}

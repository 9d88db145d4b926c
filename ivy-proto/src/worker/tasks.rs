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
    /// Shared by all messages of the task.
    pub(super) name: TaskName,
    pub(super) settings: TaskSettings,
    pub(super) lease: Duration,
}

impl Tasks {
    pub(super) fn of(config: &WorkerConfig) -> Self {
        let served = |(name, settings): (&TaskName, &TaskSettings)| {
            let lease = config.lease_of(name, settings);
            (name.clone(), ServedTask { name: name.clone(), settings: settings.clone(), lease })
        };
        Tasks(config.tasks.iter().map(served).collect())
    }

    pub(super) fn find(&self, name: &TaskName) -> Option<&ServedTask> {
        self.0.get(name.as_str())
    }
}

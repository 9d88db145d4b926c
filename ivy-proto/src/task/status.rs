//! The status of a called task, in the Node package's vocabulary.

use std::fmt;

/// The state of a called task, as far as the observer knows.
///
/// ```text
///                     Started              Succeeded                Resumed
///   ╭───────────╮ ──────────────▶ ╭─────────╮ ──────────▶ ╭────────────╮ ─────────▶ ╭──────╮
///   │ scheduled │                 │ running │             │ successful │            │ done │
///   ╰───────────╯ ◀────────────── ╰─────────╯             ╰────────────╯            ╰──────╯
///     │   │   ▲       Returned      │     │                                             ▲
///     │   │   │                     │     │ Failed                                      │
///     │   │   │                     │     ▼                                             │
///     │   │   │       Returned      │ ╭─────────╮                                       │
///     │   │   ╰─────────────────────┼─│ errored │                                       │
///     │   │                         │ ╰─────────╯                                       │
///     │   │            DeadLettered │     │ DeadLettered                                │
///     │   │   DeadLettered          ▼     ▼                                             │
///     │   ╰────────────────────▶ ╭───────────────╮                                      │
///     │                          │ dead-lettered │                                      │
///     │                          ╰───────────────╯                                      │
///     │              ╭──────╮            ▲ DeadLettered                                 │
///     ├────────────▶ │ lost │ ───────────╯                                              │
///     │   TimedOut   ╰──────╯                                                           │
///     │                  │ Resumed                                                      │
///     ╰──────────────────┴──────────────────────────────────────────────────────────────╯
///         Resumed
/// ```
///
/// A worker observes the upper row up to `successful`, `errored` and `dead-lettered`. A producer
/// observes the two ends: the task is scheduled when the queue accepts it, and the next thing it
/// receives is a notice, which resumes the caller whatever happened in between. Only the producer
/// knows `done` and `lost`.
///
/// Applications see statuses in events, with [`Event::status`](crate::event::Event::status).
/// Callers see them in the results of their handles: a value is `done`, the error
/// [`Failed`](crate::ErrorKind::Failed) is `dead-lettered`, and
/// [`TimedOut`](crate::ErrorKind::TimedOut) is `lost`.
///
/// ```
/// use ivy_proto::task::{TaskChange, TaskStatus};
///
/// let mut status = TaskStatus::Scheduled;
/// for change in [TaskChange::Started, TaskChange::Failed, TaskChange::Returned] {
///     status = status.after(change)?;
/// }
/// assert_eq!(status, TaskStatus::Scheduled);
/// assert!(status.after(TaskChange::Failed).is_err());
/// # Ok::<(), ivy_proto::task::IllegalChange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskStatus {
    /// In the queue, and not reserved by a worker.
    Scheduled,
    /// A worker runs its handler.
    Running,
    /// The handler failed, and the next step is not settled yet.
    Errored,
    /// The handler is done, and the notifier accepted the result.
    Successful,
    /// The producer has the result.
    Done,
    /// In the dead-letter queue.
    DeadLettered,
    /// No result arrived while the caller waited. The task may be in any state, and a late result
    /// still counts.
    Lost,
}

/// A change of a called task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskChange {
    /// A worker starts its handler.
    Started,
    /// The handler returned an error, panicked or was stopped at its time limit.
    Failed,
    /// It is back in its queue: for a retry, or because its handler postponed it, or its worker
    /// released it or crashed.
    Returned,
    /// The handler returned a value, and the notifier accepted it.
    Succeeded,
    /// Its copy was posted to the dead-letter queue.
    DeadLettered,
    /// The notice of its success reached the producer.
    Resumed,
    /// The producer stopped waiting.
    TimedOut,
}

impl TaskStatus {
    /// All statuses.
    pub const ALL: [TaskStatus; 7] = [
        TaskStatus::Scheduled,
        TaskStatus::Running,
        TaskStatus::Errored,
        TaskStatus::Successful,
        TaskStatus::Done,
        TaskStatus::DeadLettered,
        TaskStatus::Lost,
    ];

    /// The status after a change. Defines all legal transitions.
    ///
    /// # Errors
    /// If the change is illegal in this status.
    pub const fn after(self, change: TaskChange) -> Result<TaskStatus, IllegalChange> {
        use TaskChange as Change;
        use TaskStatus::{DeadLettered, Done, Errored, Lost, Running, Scheduled, Successful};
        Ok(match (self, change) {
            (Scheduled, Change::Started) => Running,
            (Running, Change::Failed) => Errored,
            (Running | Errored, Change::Returned) => Scheduled,
            (Running, Change::Succeeded) => Successful,
            (Scheduled | Running | Errored | Lost, Change::DeadLettered) => DeadLettered,
            (Scheduled | Successful | Lost, Change::Resumed) => Done,
            (Scheduled, Change::TimedOut) => Lost,
            _ => return Err(IllegalChange { status: self, change }),
        })
    }

    /// Whether no further change is possible.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, TaskStatus::Done | TaskStatus::DeadLettered)
    }

    /// The status's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TaskStatus::Scheduled => "scheduled",
            TaskStatus::Running => "running",
            TaskStatus::Errored => "errored",
            TaskStatus::Successful => "successful",
            TaskStatus::Done => "done",
            TaskStatus::DeadLettered => "dead-lettered",
            TaskStatus::Lost => "lost",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change that is illegal in the current status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {status} task does not accept the change {change:?}")]
pub struct IllegalChange {
    /// The status.
    pub status: TaskStatus,
    /// The change.
    pub change: TaskChange,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGES: [TaskChange; 7] = [
        TaskChange::Started,
        TaskChange::Failed,
        TaskChange::Returned,
        TaskChange::Succeeded,
        TaskChange::DeadLettered,
        TaskChange::Resumed,
        TaskChange::TimedOut,
    ];

    #[test]
    fn the_transitions_match_the_diagram() {
        let legal: Vec<String> = TaskStatus::ALL
            .into_iter()
            .flat_map(|status| CHANGES.map(|change| (status, change)))
            .filter_map(|(status, change)| {
                let after = status.after(change).ok()?;
                Some(format!("{status} {change:?} {after}"))
            })
            .collect();
        assert_eq!(
            legal,
            [
                "scheduled Started running",
                "scheduled DeadLettered dead-lettered",
                "scheduled Resumed done",
                "scheduled TimedOut lost",
                "running Failed errored",
                "running Returned scheduled",
                "running Succeeded successful",
                "running DeadLettered dead-lettered",
                "errored Returned scheduled",
                "errored DeadLettered dead-lettered",
                "successful Resumed done",
                "lost DeadLettered dead-lettered",
                "lost Resumed done",
            ]
        );
    }

    #[test]
    fn a_final_status_does_not_change() {
        for status in TaskStatus::ALL {
            let changes = CHANGES.iter().any(|change| status.after(*change).is_ok());
            assert_eq!(status.is_final(), !changes, "{status}");
        }
    }
}

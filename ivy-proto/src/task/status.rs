//! The status of a scheduled task, in the original's vocabulary.

use std::fmt;

/// The state of a scheduled task, as far as whoever looks at it knows.
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
/// A worker sees the upper row up to `successful`, `errored` and `dead-lettered`. A producer sees
/// the two ends: the task is scheduled when the queue has accepted it, and the next it hears is a
/// notice, which resumes its caller whatever happened in between. `done` and `lost` are known to
/// the producer only.
///
/// Applications see statuses in events, by [`Event::status`](crate::event::Event::status). Callers
/// see them in what their handles bring: a result is `done`, the error
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
    /// Placed in the queue, and not, or no longer, with a worker.
    Scheduled,
    /// With a worker that runs its handler.
    Running,
    /// The handler failed, and what comes of it is not yet settled.
    Errored,
    /// The handler is done, and the notifier has taken the result.
    Successful,
    /// The producer has the result.
    Done,
    /// Put aside in the dead-letter queue.
    DeadLettered,
    /// No result came in the time that its caller waited. The task itself may be in any state, and
    /// a late result still counts.
    Lost,
}

/// What happens to a scheduled task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskChange {
    /// A worker starts its handler.
    Started,
    /// The handler returned an error, panicked or was stopped at its time limit.
    Failed,
    /// It is back in its queue: to be tried again, or because its worker gave it back or died.
    Returned,
    /// The handler returned a value, and the notifier has taken it.
    Succeeded,
    /// Its copy is in the dead-letter queue.
    DeadLettered,
    /// The notice of its success has reached the producer.
    Resumed,
    /// The producer has waited long enough.
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

    /// The status after a change. Every legal transition stands here.
    ///
    /// # Errors
    /// If a task in this status cannot change so.
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

    /// Whether nothing more will happen to the task.
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

/// A task cannot change so from the status that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {status} cannot change by {change:?}")]
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
    fn the_machine_is_the_one_of_the_picture() {
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
                "scheduled DeadLettereddead-lettered",
                "scheduled Resumed done",
                "scheduled TimedOutlost",
                "running Failed errored",
                "running Returned scheduled",
                "running Succeeded successful",
                "running DeadLettereddead-lettered",
                "errored Returned scheduled",
                "errored DeadLettereddead-lettered",
                "successful Resumed done",
                "lost DeadLettereddead-lettered",
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

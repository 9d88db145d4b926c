//! A task of which only the name and the queue are known.

use crate::id::TaskId;
use crate::name::{QueueName, TaskName};
use crate::producer::{Call, ReplyTo};
use crate::wire::RawJson;

use super::call::{CallOptions, InvalidCall};
use super::settings::{InvalidTask, TaskSettings};

/// A task of which only the name and the queue are known, for programs that do not share its
/// contract: its arguments and its result are JSON. A program with the contract uses a
/// [`Task`](super::Task).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTask {
    name: TaskName,
    settings: TaskSettings,
}

impl NamedTask {
    /// The task of this name, whose workers serve this queue. It has the settings of a
    /// [`Task::new`](super::Task::new).
    ///
    /// # Errors
    /// If one of the names is invalid, or that of the task is reserved.
    pub fn new(name: &str, queue: &str) -> Result<Self, InvalidTask> {
        let name = InvalidTask::check_name(TaskName::new(name))?;
        let queue = QueueName::new(queue);
        match queue.and_then(|queue| queue.check_room_for_suffixes().map(|()| queue)) {
            Ok(queue) => Ok(NamedTask { name, settings: TaskSettings::in_queue(queue) }),
            Err(why) => Err(InvalidTask::Queue { task: name, why }),
        }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &TaskName {
        &self.name
    }

    /// Creates a call for the [`producer`](crate::producer), as
    /// [`Task::to_call`](super::Task::to_call) does. The producer refuses arguments that are not an
    /// array.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn to_call(
        &self,
        id: TaskId,
        args: RawJson,
        options: &CallOptions,
        reply: ReplyTo,
    ) -> Result<Call, InvalidCall> {
        options.to_call(&self.name, &self.settings, id, reply, || Ok(args))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{InvalidOption, Task};

    #[test]
    fn a_call_by_name_is_the_same_as_one_of_the_task() {
        const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
        let id = TaskId::from_random([1; 16]);
        let options = CallOptions::new().priority(2).max_retries(1).route("fast");
        let expected = DOUBLE.to_call(id, &(7,), &options, ReplyTo::Handle).unwrap();

        let named = NamedTask::new("test.double", "test").unwrap();
        let args = RawJson::parse("[7]").unwrap();
        let call = named.to_call(id, args, &options, ReplyTo::Handle).unwrap();
        assert_eq!(format!("{call:?}"), format!("{expected:?}"));
    }

    #[test]
    fn invalid_names_and_options_are_refused() {
        assert!(matches!(NamedTask::new("", "q"), Err(InvalidTask::Name(_))));
        assert!(matches!(NamedTask::new("ivy.x", "q"), Err(InvalidTask::Reserved { .. })));
        assert!(matches!(NamedTask::new("t", ""), Err(InvalidTask::Queue { .. })));
        let named = NamedTask::new("t", "q").unwrap();
        let args = RawJson::parse("[]").unwrap();
        let options = CallOptions::new().priority(10);
        let refused = named.to_call(TaskId::from_random([1; 16]), args, &options, ReplyTo::None);
        assert!(matches!(
            refused,
            Err(InvalidCall::Option { why: InvalidOption::Priority(10), .. })
        ));
    }
}

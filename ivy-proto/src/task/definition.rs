//! The definition of a task, as a constant.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::name::{Priority, QueueName, TaskName};
use crate::name_text::NameText;
use crate::wire::{DEFAULT_MAX_RETRIES, MAX_RETRIES};

use super::settings::{InvalidTask, TaskSettings};

/// The default queue of a task, as in the Node package.
pub(crate) const DEFAULT_QUEUE: &str = "ivy";

/// A task: its name, its argument and result types, and how its messages are treated.
///
/// Producer and worker share it as a constant; neither needs the other's code. `Args` is a tuple of
/// up to eight arguments, sent as a JSON array. `Output` is sent as JSON too. JSON has only one
/// `null`: in arguments and results, `Some(())` and `Some(None)` are written as `null`, and
/// received as `None`. If the difference matters, use your own enum.
///
/// ```
/// use ivy_proto::task::Task;
///
/// pub const FACTORIAL: Task<(u64,), u64> =
///     Task::new("testpackage.factorial").queue("testpackage").max_retries(3);
///
/// let settings = FACTORIAL.settings()?;
/// assert_eq!(settings.queue.as_str(), "testpackage");
/// assert_eq!(settings.max_retries, 3);
/// # Ok::<(), ivy_proto::task::InvalidTask>(())
/// ```
///
/// In a constant, a number out of range is a compile error:
///
/// ```compile_fail
/// use ivy_proto::task::Task;
///
/// const URGENT: Task<(), ()> = Task::new("testpackage.urgent").priority(10);
/// # let _ = URGENT;
/// ```
pub struct Task<Args, Output> {
    name: &'static str,
    queue: &'static str,
    route: Option<&'static str>,
    priority: Priority,
    retry: bool,
    max_retries: u32,
    reserve_time: Option<Duration>,
    time_limit: Option<Duration>,
    // A function type is `Send`, `Sync` and `'static` whatever `Args` and `Output` are.
    signature: PhantomData<fn(Args) -> Output>,
}

impl<Args, Output> Task<Args, Output> {
    /// A task with this name, in queue `ivy`, with ten retries.
    ///
    /// The name must be the same on producer and worker, and unique among all tasks:
    /// `package.module.function` is a good pattern. Names that begin with `ivy.` are reserved.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Task {
            name,
            queue: DEFAULT_QUEUE,
            route: None,
            priority: Priority::NORMAL,
            retry: true,
            max_retries: DEFAULT_MAX_RETRIES,
            reserve_time: None,
            time_limit: None,
            signature: PhantomData,
        }
    }

    /// Sets the queue of the task. Use one queue per program: if several programs share a queue,
    /// each worker also receives the tasks of the others, and has to release them.
    #[must_use]
    pub const fn queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    /// Sends the task's messages to this queue instead of its own. Only workers that are
    /// configured with `WorkerBuilder::route` run it.
    #[must_use]
    pub const fn route(mut self, route: &'static str) -> Self {
        self.route = Some(route);
        self
    }

    /// Sets the priority of the task, 0 to 9. Messages with a larger number are reserved
    /// first.
    ///
    /// # Panics
    /// If the number is above 9. In a constant, this is a compile error.
    #[must_use]
    pub const fn priority(mut self, number: u8) -> Self {
        match Priority::new(number) {
            Some(priority) => self.priority = priority,
            None => panic!("the priority of a task must be from 0 to 9"),
        }
        self
    }

    /// Sets whether the task is retried after a failure, and may be sent twice if the queue's reply
    /// is lost.
    #[must_use]
    pub const fn retry(mut self, retry: bool) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the number of retries after a failure, 0 to 100: N retries are N + 1 attempts.
    ///
    /// # Panics
    /// If the number is above 100. In a constant, this is a compile error.
    #[must_use]
    pub const fn max_retries(mut self, retries: u32) -> Self {
        assert!(retries <= MAX_RETRIES, "a task can have at most 100 retries");
        self.max_retries = retries;
        self
    }

    /// Sets the lease of the task's messages, 1 s to 24 h. It is renewed while the handler runs. A
    /// longer lease needs fewer renewals, but delays the next attempt after a crash.
    ///
    /// On a queue whose count includes renewals (see
    /// [`DeliveryCount::UpperBound`](crate::queue::DeliveryCount::UpperBound)), a task without
    /// retries is moved to the dead-letter queue after about fifty deliveries and renewals. Set a
    /// longer lease for such a task if it may run longer than twenty leases (ten minutes by
    /// default).
    ///
    /// # Panics
    /// If the time is out of range. In a constant, this is a compile error.
    #[must_use]
    pub const fn reserve_time(mut self, time: Duration) -> Self {
        assert!(
            time.as_secs() >= 1 && time.as_nanos() <= Duration::from_secs(86_400).as_nanos(),
            "the reserve time must be from 1 s to 24 h"
        );
        self.reserve_time = Some(time);
        self
    }

    /// Sets the time limit of the task's handler. A handler that exceeds it is stopped, which
    /// counts as a failed attempt. A blocking handler can only be asked to stop: if it returns
    /// nevertheless, its result counts.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The task's name, unchecked.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The task's settings, with validated names.
    ///
    /// # Errors
    /// If the task's name is not a valid [`TaskName`](crate::TaskName) or is reserved, or if its
    /// queue or route is not a valid [`QueueName`].
    pub fn settings(&self) -> Result<TaskSettings, InvalidTask> {
        self.checked().map(|(_, settings)| settings)
    }

    /// The task's name and settings, validated.
    pub(super) fn checked(&self) -> Result<(TaskName, TaskSettings), InvalidTask> {
        let task = InvalidTask::check_name(TaskName::of(NameText::Static(self.name)))?;
        let queue = QueueName::of(NameText::Static(self.queue))
            .map_err(|why| InvalidTask::Queue { task: task.clone(), why })?;
        let route = self
            .route
            .map(|route| QueueName::of(NameText::Static(route)))
            .transpose()
            .map_err(|why| InvalidTask::Route { task: task.clone(), why })?;
        let settings = TaskSettings {
            route,
            priority: self.priority,
            retry: self.retry,
            max_retries: self.max_retries,
            reserve_time: self.reserve_time,
            time_limit: self.time_limit,
            ..TaskSettings::in_queue(queue)
        };
        let posted_to = settings.route.as_ref().unwrap_or(&settings.queue);
        match posted_to.check_room_for_suffixes().and_then(|()| settings.physical_queue()) {
            Ok(_) => Ok((task, settings)),
            Err(why) => Err(InvalidTask::Queue { task, why }),
        }
    }
}

// Not derived: a derive would add bounds on `Args` and `Output`.
impl<Args, Output> Clone for Task<Args, Output> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Args, Output> Copy for Task<Args, Output> {}

impl<Args, Output> fmt::Debug for Task<Args, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({:?})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::InvalidName;
    use crate::task::ReservedName;

    #[test]
    fn every_option_reaches_the_settings() {
        const EVERYTHING: Task<(u64, String), bool> = Task::new("testpackage.everything")
            .queue("testpackage")
            .route("testpackage.route1")
            .priority(4)
            .retry(false)
            .max_retries(2)
            .reserve_time(Duration::from_secs(3600))
            .time_limit(Duration::from_secs(60));
        let settings = EVERYTHING.settings().unwrap();
        assert_eq!(settings.queue.as_str(), "testpackage");
        assert_eq!(settings.route.as_ref().unwrap().as_str(), "testpackage.route1");
        assert_eq!(settings.priority.number(), 4);
        assert!(!settings.retry);
        assert_eq!(settings.max_retries, 2);
        assert_eq!(settings.reserve_time, Some(Duration::from_secs(3600)));
        assert_eq!(settings.time_limit, Some(Duration::from_secs(60)));
        assert_eq!(settings.physical_queue().unwrap().as_str(), "testpackage.route1.p4");
    }

    #[test]
    fn the_default_queue_is_ivy() {
        assert_eq!(Task::<(), ()>::new("a").settings().unwrap().queue.as_str(), "ivy");
    }

    #[test]
    fn names_are_checked() {
        let name = || crate::TaskName::new("a").unwrap();
        assert_eq!(Task::<(), ()>::new("").settings(), Err(InvalidTask::Name(InvalidName::Empty)));
        assert_eq!(
            Task::<(), ()>::new("valueOf").settings(),
            Err(InvalidTask::Reserved {
                name: crate::TaskName::new("valueOf").unwrap(),
                why: ReservedName::PropertyOfEveryObject
            })
        );
        assert_eq!(
            Task::<(), ()>::new("a").queue("").settings(),
            Err(InvalidTask::Queue { task: name(), why: InvalidName::Empty })
        );
        assert_eq!(
            Task::<(), ()>::new("a").route("x\n").settings(),
            Err(InvalidTask::Route { task: name(), why: InvalidName::ControlCharacter(1) })
        );
    }

    #[test]
    fn a_queue_name_must_leave_room_for_the_longest_suffix() {
        const fn name<const LENGTH: usize>(bytes: &'static [u8; LENGTH]) -> &'static str {
            match std::str::from_utf8(bytes) {
                Ok(name) => name,
                Err(_) => panic!("it is ASCII"),
            }
        }
        const LONGEST: &str = name(&[b'q'; 247]);
        const TOO_LONG: &str = name(&[b'q'; 248]);
        let why = InvalidName::NoRoomForSuffixes(248);
        let task = crate::TaskName::new("a").unwrap();
        assert!(Task::<(), ()>::new("a").queue(LONGEST).priority(9).settings().is_ok());
        let refused = Err(InvalidTask::Queue { task, why });
        assert_eq!(Task::<(), ()>::new("a").queue(TOO_LONG).settings(), refused);
        assert_eq!(Task::<(), ()>::new("a").route(TOO_LONG).settings(), refused);
    }

    #[test]
    fn a_task_is_send_and_sync_whatever_its_types() {
        fn shareable<T: Send + Sync + Copy + 'static>(_: T) {}
        shareable(Task::<(std::rc::Rc<u8>,), *const u8>::new("a"));
    }
}

//! Callbacks for the results of tasks, by task name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;

use crate::error::Cause;
use crate::name::TaskName;
use crate::wire::RawJson;

use super::args::{BadArgs, FromArgs};
use super::definition::Task;
use super::outcome::TaskOutcome;
use super::settings::InvalidTask;

/// The callbacks of a program, as in the Node package: each is called with the arguments and the
/// result of every task of its name. Cheap to clone; clones share the registrations.
///
/// ```
/// use ivy_proto::task::{Callbacks, Task, TaskOutcome};
/// use ivy_proto::wire::RawJson;
/// use ivy_proto::{Cause, TaskName};
///
/// const DOUBLE: Task<(u64,), u64> = Task::new("math.double");
///
/// let callbacks = Callbacks::default();
/// callbacks.insert(&DOUBLE, |(n,), result: Result<u64, Cause>| {
///     assert_eq!(result.unwrap(), 2 * n);
/// })?;
///
/// let outcome = TaskOutcome::Done(RawJson::parse("42")?);
/// let call = callbacks.prepare(&TaskName::new("math.double")?, RawJson::parse("[21]")?, &outcome);
/// call.expect("there is one")()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Callbacks(Arc<Mutex<BTreeMap<TaskName, Callback>>>);

type Callback = Arc<dyn Fn(&RawJson, &TaskOutcome) -> Result<(), BadArgs> + Send + Sync>;

impl Callbacks {
    /// Registers the callback of a task, and replaces an earlier one.
    ///
    /// # Errors
    /// If the task is invalid.
    pub fn insert<Args, Output>(
        &self,
        task: &Task<Args, Output>,
        callback: impl Fn(Args, Result<Output, Cause>) + Send + Sync + 'static,
    ) -> Result<(), InvalidTask>
    where
        Args: FromArgs,
        Output: DeserializeOwned,
    {
        let (name, _) = task.checked()?;
        let callback = move |args: &RawJson, outcome: &TaskOutcome| {
            callback(Args::from_args(args)?, outcome.value());
            Ok(())
        };
        let earlier = self.entries().insert(name, Arc::new(callback));
        // Dropped without the lock: the destructor is user code, which may use these callbacks.
        drop(earlier);
        Ok(())
    }

    /// Whether the task of this name has a callback.
    #[must_use]
    pub fn handles(&self, task: &TaskName) -> bool {
        self.entries().contains_key(task)
    }

    /// Prepares a call of a task's callback with this result; `None` if the task has no callback.
    /// The returned closure may take long. It fails if the arguments do not match the task.
    pub fn prepare(
        &self,
        task: &TaskName,
        args: RawJson,
        outcome: &TaskOutcome,
    ) -> Option<impl FnOnce() -> Result<(), BadArgs> + Send + 'static> {
        let callback = self.entries().get(task).cloned()?;
        let outcome = outcome.clone();
        Some(move || callback(&args, &outcome))
    }

    /// The former name of [`prepare`](Callbacks::prepare).
    #[deprecated(note = "renamed to `prepare`: a callback is called later")]
    pub fn ready(
        &self,
        task: &TaskName,
        args: RawJson,
        outcome: &TaskOutcome,
    ) -> Option<impl FnOnce() -> Result<(), BadArgs> + Send + 'static> {
        self.prepare(task, args, outcome)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<TaskName, Callback>> {
        // A poisoned lock is harmless: no code that can panic runs while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::error::ErrorKind;

    const DOUBLE: Task<(u64,), u64> = Task::new("math.double");

    fn double() -> TaskName {
        TaskName::new("math.double").unwrap()
    }

    fn json(text: &str) -> RawJson {
        RawJson::parse(text).unwrap()
    }

    #[test]
    fn a_replaced_callback_may_use_the_callbacks_while_it_is_dropped() {
        struct CallsOnDrop(Callbacks);
        impl Drop for CallsOnDrop {
            fn drop(&mut self) {
                assert!(self.0.handles(&double()));
            }
        }
        let callbacks = Callbacks::default();
        let calls_on_drop = CallsOnDrop(callbacks.clone());
        callbacks.insert(&DOUBLE, move |_, _| assert!(calls_on_drop.0.handles(&double()))).unwrap();
        callbacks.insert(&DOUBLE, |_, _| ()).unwrap();
    }

    #[test]
    fn a_callback_receives_arguments_and_result_as_values() {
        let (callbacks, (received, calls)) = (Callbacks::default(), mpsc::channel());
        let callback = move |(n,), result: Result<u64, Cause>| {
            received.send((n, result.map_err(|error| error.kind()))).unwrap();
        };
        callbacks.insert(&DOUBLE, callback).unwrap();
        for (args, outcome) in [
            ("[1]", TaskOutcome::Done(json("2"))),
            ("[2]", TaskOutcome::Done(json("\"four\""))),
            ("[3]", TaskOutcome::ResultTooLarge),
        ] {
            callbacks.clone().prepare(&double(), json(args), &outcome).unwrap()().unwrap();
        }
        let (bad, large) = (ErrorKind::BadResult, ErrorKind::ResultTooLarge);
        assert_eq!(
            calls.try_iter().collect::<Vec<_>>(),
            [(1, Ok(2)), (2, Err(bad)), (3, Err(large))]
        );
    }

    #[test]
    fn mismatched_arguments_do_not_call_the_callback() {
        let callbacks = Callbacks::default();
        callbacks.insert(&DOUBLE, |_, _| panic!("it must not be called")).unwrap();
        let outcome = TaskOutcome::Done(json("2"));
        let call = callbacks.prepare(&double(), json("[\"one\"]"), &outcome).unwrap();
        assert!(call().is_err());
    }

    #[test]
    fn a_later_callback_replaces_an_earlier_one() {
        let (callbacks, (received, calls)) = (Callbacks::default(), mpsc::channel());
        let later = received.clone();
        callbacks.insert(&DOUBLE, move |_, _| received.send("earlier").unwrap()).unwrap();
        callbacks.insert(&DOUBLE, move |_, _| later.send("later").unwrap()).unwrap();
        let outcome = TaskOutcome::Done(json("2"));
        callbacks.prepare(&double(), json("[1]"), &outcome).unwrap()().unwrap();
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), ["later"]);
    }

    #[test]
    fn a_task_without_a_callback_has_none() {
        let callbacks = Callbacks::default();
        assert!(!callbacks.handles(&double()));
        assert!(callbacks.prepare(&double(), json("[1]"), &TaskOutcome::ResultTooLarge).is_none());
        callbacks.insert(&DOUBLE, |_, _| {}).unwrap();
        assert!(callbacks.handles(&double()));
    }

    #[test]
    fn an_invalid_task_cannot_have_a_callback() {
        let reserved: Task<(), ()> = Task::new("toString");
        assert!(Callbacks::default().insert(&reserved, |(), _| {}).is_err());
    }
}

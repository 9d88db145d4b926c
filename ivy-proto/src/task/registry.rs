//! The handlers of a worker, by task name.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;

use crate::name::TaskName;
use crate::text::TypeName;
use crate::wire::{RawJson, Unwritable};
use crate::worker::JobOutcome;

use super::TaskError;
use super::args::FromArgs;
use super::definition::Task;
use super::handler::{BlockingHandler, Handler};
use super::layer::{
    BlockingLayer, BlockingNext, BlockingRun, Common, Done, Layer, Next, NextFuture, Run, Running,
};
use super::settings::{InvalidTask, TaskSettings};
use super::state::{HandlerStates, MissingState, States};

/// Specifies the task of a handler: its [`Task`], or its name as a text.
///
/// With a text, the types are inferred from the handler, and the settings are the worker's.
pub trait TaskSpec<Args, Output> {
    /// The task's name and, if known, its settings.
    ///
    /// # Errors
    /// If the task is invalid.
    fn resolve(&self) -> Result<(TaskName, Option<TaskSettings>), InvalidTask>;
}

impl<Args, Output> TaskSpec<Args, Output> for &Task<Args, Output> {
    fn resolve(&self) -> Result<(TaskName, Option<TaskSettings>), InvalidTask> {
        let (name, settings) = self.checked()?;
        Ok((name, Some(settings)))
    }
}

impl<Args, Output> TaskSpec<Args, Output> for &str {
    fn resolve(&self) -> Result<(TaskName, Option<TaskSettings>), InvalidTask> {
        Ok((InvalidTask::check_name(TaskName::new(self))?, None))
    }
}

/// Why a handler cannot be registered, or not be run by its worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The task is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidTask),
    /// The task already has a handler.
    #[error("task {0} already has a handler; names are unique across all queues")]
    Taken(TaskName),
    /// A handler takes a [`State`](super::State) that the worker does not have.
    #[error(
        "the handler of task {task} takes State<{}>, but the worker has no such value; add it with .state(..)",
        TypeName(.state)
    )]
    NoState {
        /// The task.
        task: TaskName,
        /// The type of the value.
        state: &'static str,
    },
    /// Two states are of this type, so that handlers could not tell them apart.
    #[error(
        "the worker has two states of type {}; wrap one of them in a type of its own",
        TypeName(.0)
    )]
    TwoStates(&'static str),
}

/// The handlers of a worker. `Ctx` is the context that they receive.
///
/// The state machines identify tasks by name; the registry maps a name to a function, and JSON to values.
/// Every way in which that can fail is a [`JobOutcome`].
pub struct Registry<Ctx> {
    entries: Entries<Run<Ctx>>,
    common: Arc<Common<Layer<Ctx>>>,
}

impl<Ctx: Send + 'static> Registry<Ctx> {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Registry { entries: Entries::new(), common: Arc::default() }
    }

    /// Registers the handler of a task.
    ///
    /// # Errors
    /// If the task's name, queue or route is invalid, or the name already has a handler.
    pub fn register<Args, Output, Marker, H>(
        &mut self,
        task: impl TaskSpec<Args, Output>,
        handler: H,
    ) -> Result<(), RegisterError>
    where
        H: Handler<Ctx, Args, Output, Marker>,
        Args: FromArgs,
        Output: Serialize,
    {
        let handler = Arc::new(handler);
        let run = move |states: &States, ctx, args: RawJson| -> Running {
            let states = match H::States::take(states) {
                Ok(states) => states,
                Err(missing) => return Box::pin(ready(Err(missing.into()))),
            };
            let handler = Arc::clone(&handler);
            // Deserialization, the handler and serialization are user code, so they run inside of
            // the future, whose panics are caught.
            Box::pin(async move {
                let args = Args::from_args(&args).map_err(TaskError::bad_args)?;
                done(&handler.call(states, ctx, args).await?)
            })
        };
        self.entries.insert::<H::States>(task.resolve()?, Arc::new(run))
    }

    /// Sets the states that handlers take, which are registered before.
    ///
    /// # Errors
    /// [`NoState`](RegisterError::NoState) if a handler takes one that is missing. Its task would
    /// fail.
    pub fn set_states(&mut self, states: States) -> Result<(), RegisterError> {
        self.entries.check(&states)?;
        Arc::make_mut(&mut self.common).states = states;
        Ok(())
    }

    /// Adds a layer around all handlers, inside those added before. See [`Next`].
    pub fn layer<Layered>(
        &mut self,
        layer: impl Fn(Next<Ctx>, Ctx) -> Layered + Send + Sync + 'static,
    ) where
        Layered: Future<Output = Result<Done, TaskError>> + Send + 'static,
    {
        let layer = move |next, ctx| -> Running { Box::pin(layer(next, ctx)) };
        Arc::make_mut(&mut self.common).layers.push(Arc::new(layer));
    }

    /// Runs the handler of a task; `None` if it has none.
    #[must_use]
    pub fn run(&self, task: &TaskName, ctx: Ctx, args: RawJson) -> Option<JobFuture<Ctx>> {
        let run = Arc::clone(self.entries.get(task)?);
        let next = Next::new(run, args, Arc::clone(&self.common));
        Some(JobFuture(next.run(ctx)))
    }

    /// The tasks with a handler, and their settings unless they were registered by name only.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskName, Option<&TaskSettings>)> {
        self.entries.tasks()
    }
}

impl<Ctx: Send + 'static> Default for Registry<Ctx> {
    fn default() -> Self {
        Registry::new()
    }
}

impl<Ctx> fmt::Debug for Registry<Ctx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt(f)
    }
}

/// The handlers of a worker that runs them in threads; see [`Registry`].
pub struct BlockingRegistry<Ctx> {
    entries: Entries<BlockingRun<Ctx>>,
    common: Arc<Common<BlockingLayer<Ctx>>>,
}

impl<Ctx: Send + 'static> BlockingRegistry<Ctx> {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        BlockingRegistry { entries: Entries::new(), common: Arc::default() }
    }

    /// Registers the handler of a task.
    ///
    /// # Errors
    /// If the task's name, queue or route is invalid, or the name already has a handler.
    pub fn register<Args, Output, Marker, H>(
        &mut self,
        task: impl TaskSpec<Args, Output>,
        handler: H,
    ) -> Result<(), RegisterError>
    where
        H: BlockingHandler<Ctx, Args, Output, Marker>,
        Args: FromArgs,
        Output: Serialize,
    {
        let run = move |states: &States, ctx, args: RawJson| {
            let states = H::States::take(states)?;
            let args = Args::from_args(&args).map_err(TaskError::bad_args)?;
            done(&handler.call(states, ctx, args)?)
        };
        self.entries.insert::<H::States>(task.resolve()?, Arc::new(run))
    }

    /// Sets the states that handlers take, which are registered before.
    ///
    /// # Errors
    /// [`NoState`](RegisterError::NoState) if a handler takes one that is missing. Its task would
    /// fail.
    pub fn set_states(&mut self, states: States) -> Result<(), RegisterError> {
        self.entries.check(&states)?;
        Arc::make_mut(&mut self.common).states = states;
        Ok(())
    }

    /// Adds a layer around all handlers, inside those added before. See [`BlockingNext`].
    pub fn layer(
        &mut self,
        layer: impl Fn(BlockingNext<Ctx>, Ctx) -> Result<Done, TaskError> + Send + Sync + 'static,
    ) {
        Arc::make_mut(&mut self.common).layers.push(Arc::new(layer));
    }

    /// A closure that runs the handler of a task; `None` if it has none.
    #[must_use]
    pub fn job(
        &self,
        task: &TaskName,
        ctx: Ctx,
        args: RawJson,
    ) -> Option<impl FnOnce() -> JobOutcome + Send + use<Ctx>> {
        let run = Arc::clone(self.entries.get(task)?);
        let next = BlockingNext::new(run, args, Arc::clone(&self.common));
        Some(move || next.run(ctx).into())
    }

    /// The tasks with a handler, and their settings unless they were registered by name only.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskName, Option<&TaskSettings>)> {
        self.entries.tasks()
    }
}

impl<Ctx: Send + 'static> Default for BlockingRegistry<Ctx> {
    fn default() -> Self {
        BlockingRegistry::new()
    }
}

impl<Ctx> fmt::Debug for BlockingRegistry<Ctx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt(f)
    }
}

/// The handlers by task.
struct Entries<Run: ?Sized>(BTreeMap<TaskName, Entry<Run>>);

struct Entry<Run: ?Sized> {
    /// The task's settings if known.
    settings: Option<TaskSettings>,
    /// Whether there are the states that the handler takes.
    check: fn(&States) -> Result<(), MissingState>,
    run: Arc<Run>,
}

impl<Run: ?Sized> Entries<Run> {
    fn new() -> Self {
        Entries(BTreeMap::new())
    }

    fn insert<Taken: HandlerStates>(
        &mut self,
        (name, settings): (TaskName, Option<TaskSettings>),
        run: Arc<Run>,
    ) -> Result<(), RegisterError> {
        match self.0.entry(name) {
            btree_map::Entry::Occupied(taken) => Err(RegisterError::Taken(taken.key().clone())),
            btree_map::Entry::Vacant(free) => {
                let check = |states: &States| Taken::take(states).map(drop);
                free.insert(Entry { settings, check, run });
                Ok(())
            }
        }
    }

    fn check(&self, states: &States) -> Result<(), RegisterError> {
        self.0.iter().try_for_each(|(task, entry)| {
            (entry.check)(states)
                .map_err(|MissingState(state)| RegisterError::NoState { task: task.clone(), state })
        })
    }

    fn get(&self, task: &TaskName) -> Option<&Arc<Run>> {
        self.0.get(task).map(|entry| &entry.run)
    }

    fn tasks(&self) -> impl Iterator<Item = (&TaskName, Option<&TaskSettings>)> {
        self.0.iter().map(|(name, entry)| (name, entry.settings.as_ref()))
    }
}

impl<Run: ?Sized> fmt::Debug for Entries<Run> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The future of a running handler. Returns its outcome, even if the handler panics.
pub struct JobFuture<Ctx>(NextFuture<Ctx>);

impl<Ctx> Future for JobFuture<Ctx> {
    type Output = JobOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<JobOutcome> {
        Pin::new(&mut self.0).poll(context).map(JobOutcome::from)
    }
}

impl<Ctx> fmt::Debug for JobFuture<Ctx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobFuture")
    }
}

/// Serializes what a handler returned.
fn done(output: &impl Serialize) -> Result<Done, TaskError> {
    match RawJson::from_value(output) {
        Ok(output) => Ok(Done::value(output)),
        Err(Unwritable::TooDeep) => Ok(Done::too_deep()),
        // Fatal, because another attempt would repeat the work and fail in the same way.
        Err(error) => {
            Err(TaskError::fatal(format!("the result cannot be written as JSON: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::State;
    use crate::wire::MAX_DEPTH;

    const FACTORIAL: Task<(u64,), u64> = Task::new("testpackage.factorial").queue("testpackage");
    const JOIN: Task<(String, Vec<u32>), String> = Task::new("testpackage.join");

    async fn factorial(n: u64) -> Result<u64, TaskError> {
        (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| TaskError::fatal("too large"))
    }

    /// The context in these tests.
    struct Worker(&'static str);

    /// Runs a task whose handler never waits.
    fn run(registry: &Registry<Worker>, task: &str, args: &str) -> JobOutcome {
        let (task, args) = (TaskName::new(task).unwrap(), RawJson::parse(args).unwrap());
        let mut job = registry.run(&task, Worker("context"), args).unwrap();
        match Pin::new(&mut job).poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("the handler must not wait"),
        }
    }

    fn done(outcome: JobOutcome) -> String {
        match outcome {
            JobOutcome::Done(output) => output.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_function_runs_its_task() {
        let mut registry = Registry::new();
        registry.register(&FACTORIAL, factorial).unwrap();
        assert_eq!(done(run(&registry, "testpackage.factorial", "[5]")), "120");
    }

    #[test]
    fn the_types_of_a_closure_are_inferred_from_its_task() {
        let mut registry = Registry::new();
        registry.register(&FACTORIAL, |n| async move { factorial(n).await }).unwrap();
        assert_eq!(done(run(&registry, "testpackage.factorial", "[3]")), "6");
    }

    #[test]
    fn a_handler_may_take_the_context_first() {
        let mut registry = Registry::new();
        let join = |ctx: Worker, text: String, numbers: Vec<u32>| async move {
            Ok::<_, TaskError>(format!("{} {text} {numbers:?}", ctx.0))
        };
        registry.register(&JOIN, join).unwrap();
        assert_eq!(
            done(run(&registry, "testpackage.join", r#"["a",[1,2]]"#)),
            r#""context a [1, 2]""#
        );
    }

    #[test]
    fn a_handler_without_arguments_may_take_the_context_too() {
        let mut registry = Registry::new();
        registry.register("plain", || async { Ok::<_, TaskError>(1) }).unwrap();
        registry.register("ctx", |ctx: Worker| async move { Ok::<_, TaskError>(ctx.0) }).unwrap();
        assert_eq!(done(run(&registry, "plain", "[]")), "1");
        assert_eq!(done(run(&registry, "ctx", "[]")), "\"context\"");
    }

    #[test]
    fn a_handler_may_take_states_before_the_context_and_without_it() {
        struct Unit(&'static str);
        let with_ctx = |unit: State<Unit>, ctx: Worker, n: u64| async move {
            Ok::<_, TaskError>(format!("{} {} {n}", unit.0.0, ctx.0))
        };
        async fn without(State(unit): State<Unit>, add: State<u64>, n: u64) -> Result<u64, String> {
            Ok(n + *add + unit.0.len() as u64)
        }
        let mut registry = Registry::new();
        registry.register("ctx", with_ctx).unwrap();
        registry.register(&FACTORIAL, without).unwrap();
        registry.set_states(states(Unit("km"), Some(10))).unwrap();
        assert_eq!(done(run(&registry, "ctx", "[5]")), "\"km context 5\"");
        assert_eq!(done(run(&registry, "testpackage.factorial", "[5]")), "17");
    }

    #[test]
    fn a_handler_in_a_thread_may_take_states_too() {
        let mut registry = BlockingRegistry::new();
        let add = |add: State<u64>, n: u64| Ok::<_, TaskError>(*add + n);
        registry.register(&FACTORIAL, add).unwrap();
        let ctx = |name: State<&'static str>, ctx: Worker| Ok::<_, TaskError>(*name.0 == ctx.0);
        registry.register("ctx", ctx).unwrap();
        registry.set_states(states("context", Some(10))).unwrap();
        assert_eq!(done(run_here(&registry, "testpackage.factorial", "[5]")), "15");
        assert_eq!(done(run_here(&registry, "ctx", "[]")), "true");
    }

    #[test]
    fn a_missing_state_is_an_error_that_names_task_and_type() {
        async fn handler(_: State<String>, _: State<u64>, n: u64) -> Result<u64, TaskError> {
            Ok(n)
        }
        let mut registry = Registry::<Worker>::new();
        registry.register(&FACTORIAL, handler).unwrap();
        let error = registry.set_states(states(String::new(), None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the handler of task testpackage.factorial takes State<u64>, but the worker has no such value; add it with .state(..)"
        );
        let task = TaskName::new("testpackage.factorial").unwrap();
        assert_eq!(error, RegisterError::NoState { task, state: "u64" });
        match run(&registry, "testpackage.factorial", "[5]") {
            JobOutcome::Failed(error) => assert!(error.message().contains("State<String>")),
            other => panic!("{other:?}"),
        }
    }

    /// These states of a worker.
    fn states<T: Send + Sync + 'static>(value: T, number: Option<u64>) -> States {
        let mut states = States::new();
        states.add(value).unwrap();
        number.into_iter().for_each(|number| states.add(number).unwrap());
        states
    }

    #[test]
    fn a_second_handler_of_one_name_is_refused() {
        let mut registry = Registry::<Worker>::new();
        registry.register(&FACTORIAL, factorial).unwrap();
        let again = registry.register(&FACTORIAL, factorial).unwrap_err();
        assert!(matches!(again, RegisterError::Taken(_)));
        let elsewhere: Task<(u64,), u64> = Task::new("testpackage.factorial").queue("elsewhere");
        let again = registry.register(&elsewhere, factorial).unwrap_err();
        assert!(matches!(again, RegisterError::Taken(_)));
    }

    #[test]
    fn a_reserved_name_is_refused() {
        let mut registry = Registry::<Worker>::new();
        let error = registry.register("toString", factorial).unwrap_err();
        assert!(matches!(error, RegisterError::Invalid(InvalidTask::Reserved { .. })));
    }

    #[test]
    fn settings_are_known_unless_registered_by_name() {
        let mut registry = Registry::<Worker>::new();
        registry.register(&FACTORIAL, factorial).unwrap();
        registry.register("by.name", factorial).unwrap();
        let queues: Vec<_> = registry
            .tasks()
            .map(|(name, settings)| (name.as_str(), settings.map(|known| known.queue.as_str())))
            .collect();
        assert_eq!(queues, [("by.name", None), ("testpackage.factorial", Some("testpackage"))]);
    }

    #[test]
    fn a_task_without_a_handler_is_not_run() {
        let registry = Registry::<Worker>::new();
        let (task, args) = (TaskName::new("x").unwrap(), RawJson::parse("[]").unwrap());
        assert!(registry.run(&task, Worker("context"), args).is_none());
    }

    #[test]
    fn mismatched_arguments_are_not_run() {
        let mut registry = Registry::new();
        registry.register(&FACTORIAL, factorial).unwrap();
        for args in ["[]", "[1,2]", "[\"5\"]", "{}"] {
            let outcome = run(&registry, "testpackage.factorial", args);
            assert!(matches!(outcome, JobOutcome::BadArgs(_)), "{args}: {outcome:?}");
        }
    }

    #[test]
    fn an_error_remains_unchanged() {
        let mut registry = Registry::new();
        registry.register(&FACTORIAL, factorial).unwrap();
        match run(&registry, "testpackage.factorial", "[21]") {
            JobOutcome::Failed(error) => assert_eq!(error, TaskError::fatal("too large")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_result_that_cannot_be_serialized_is_not_retried() {
        let mut registry = Registry::new();
        let handler = || async { Ok::<_, TaskError>(BTreeMap::from([((1, 2), 3)])) };
        registry.register("map", handler).unwrap();
        registry.register("nan", || async { Ok::<_, TaskError>(Some(f64::NAN)) }).unwrap();
        for task in ["map", "nan"] {
            match run(&registry, task, "[]") {
                JobOutcome::Failed(error) => assert!(error.is_fatal()),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_result_nested_too_deeply_is_a_separate_outcome() {
        let nested = |levels: usize| async move {
            let innermost = serde_json::json!([]);
            Ok::<_, TaskError>((0..levels).fold(innermost, |inside, _| serde_json::json!([inside])))
        };
        let mut registry = Registry::new();
        registry.register("nested", nested).unwrap();
        let deepest = done(run(&registry, "nested", &format!("[{MAX_DEPTH}]")));
        assert!(serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
        let deeper = run(&registry, "nested", &format!("[{}]", MAX_DEPTH + 1));
        assert!(matches!(deeper, JobOutcome::ResultTooDeep), "{deeper:?}");
    }

    #[test]
    fn a_panic_is_an_outcome() {
        async fn fails(n: u64) -> Result<u64, TaskError> {
            assert!(n > 100, "{n} is too small");
            Ok(n)
        }
        let mut registry = Registry::new();
        registry.register("fails", fails).unwrap();
        match run(&registry, "fails", "[5]") {
            JobOutcome::Panicked(message) => assert_eq!(message, "5 is too small"),
            other => panic!("{other:?}"),
        }
    }

    /// Runs a task in this thread.
    fn run_here(registry: &BlockingRegistry<Worker>, task: &str, args: &str) -> JobOutcome {
        let (task, args) = (TaskName::new(task).unwrap(), RawJson::parse(args).unwrap());
        registry.job(&task, Worker("context"), args).unwrap()()
    }

    #[test]
    fn a_plain_function_runs_its_task_in_a_thread() {
        fn plain(n: u64) -> Result<u64, &'static str> {
            Ok(2 * n)
        }
        let mut registry = BlockingRegistry::new();
        registry.register(&FACTORIAL, plain).unwrap();
        registry.register("ctx", |ctx: Worker| Ok::<_, TaskError>(ctx.0)).unwrap();
        let join = |_: Worker, text: String, _: Vec<u32>| Ok::<_, TaskError>(text);
        registry.register(&JOIN, join).unwrap();
        assert_eq!(done(run_here(&registry, "testpackage.factorial", "[5]")), "10");
        assert_eq!(done(run_here(&registry, "ctx", "[]")), "\"context\"");
        assert_eq!(done(run_here(&registry, "testpackage.join", r#"["a",[]]"#)), "\"a\"");
        let again = registry.register(&FACTORIAL, plain).unwrap_err();
        assert!(matches!(again, RegisterError::Taken(_)));
    }

    #[test]
    fn the_types_of_a_plain_closure_are_inferred_from_its_task() {
        let mut registry = BlockingRegistry::new();
        registry.register(&FACTORIAL, |n| u64::checked_mul(n, 2).ok_or("too large")).unwrap();
        assert_eq!(done(run_here(&registry, "testpackage.factorial", "[3]")), "6");
        match run_here(&registry, "testpackage.factorial", "[18446744073709551615]") {
            JobOutcome::Failed(error) => assert_eq!(error, TaskError::new("too large")),
            other => panic!("{other:?}"),
        }
        let outcome = run_here(&registry, "testpackage.factorial", "[]");
        assert!(matches!(outcome, JobOutcome::BadArgs(_)), "{outcome:?}");
    }

    #[test]
    fn a_panic_in_a_thread_is_an_outcome_and_leaves_the_thread_alive() {
        let mut registry = BlockingRegistry::new();
        let fails = |n: u64| -> Result<u64, TaskError> { panic!("{n} is too small") };
        registry.register(&FACTORIAL, fails).unwrap();
        match run_here(&registry, "testpackage.factorial", "[5]") {
            JobOutcome::Panicked(message) => assert_eq!(message, "5 is too small"),
            other => panic!("{other:?}"),
        }
    }
}

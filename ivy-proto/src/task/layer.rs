//! Layers: code that runs around the handlers of a worker, to measure, authorize or refuse.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::wire::RawJson;
use crate::worker::JobOutcome;

use super::TaskError;
use super::state::States;

/// The success of a handler, with its result. Only [`Next::run`] and [`BlockingNext::run`] return
/// one, so a layer cannot report a success without running the handler.
pub struct Done(Outcome);

enum Outcome {
    Value(RawJson),
    TooDeep,
}

impl Done {
    /// The handler returned this value.
    pub(super) fn value(value: RawJson) -> Self {
        Done(Outcome::Value(value))
    }

    /// The handler returned a value nested deeper than [`MAX_DEPTH`](crate::wire::MAX_DEPTH).
    pub(super) fn too_deep() -> Self {
        Done(Outcome::TooDeep)
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

impl From<Result<Done, TaskError>> for JobOutcome {
    fn from(result: Result<Done, TaskError>) -> Self {
        match result {
            Ok(Done(Outcome::Value(value))) => JobOutcome::Done(value),
            Ok(Done(Outcome::TooDeep)) => JobOutcome::ResultTooDeep,
            Err(error) => error.into_outcome(),
        }
    }
}

/// The future of a handler, or of a layer and everything inside it.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Done, TaskError>> + Send>>;

/// Runs a handler on the arguments of a message.
pub(super) type Run<Ctx> = dyn Fn(&States, Ctx, RawJson) -> Running + Send + Sync;
pub(super) type Layer<Ctx> = dyn Fn(Next<Ctx>, Ctx) -> Running + Send + Sync;

/// Runs a handler on the arguments of a message, in this thread.
pub(super) type BlockingRun<Ctx> =
    dyn Fn(&States, Ctx, RawJson) -> Result<Done, TaskError> + Send + Sync;
pub(super) type BlockingLayer<Ctx> =
    dyn Fn(BlockingNext<Ctx>, Ctx) -> Result<Done, TaskError> + Send + Sync;

/// What the handlers of a worker have in common.
pub(super) struct Common<Layer: ?Sized> {
    pub(super) states: States,
    /// The first one is the outermost.
    pub(super) layers: Vec<Arc<Layer>>,
}

impl<Layer: ?Sized> Default for Common<Layer> {
    fn default() -> Self {
        Common { states: States::new(), layers: Vec::new() }
    }
}

impl<Layer: ?Sized> Clone for Common<Layer> {
    fn clone(&self) -> Self {
        Common { states: self.states.clone(), layers: self.layers.clone() }
    }
}

/// One run of a handler, and the layers that are still to run before it.
struct Chain<Run: ?Sized, Layer: ?Sized> {
    run: Arc<Run>,
    args: RawJson,
    common: Arc<Common<Layer>>,
    passed: usize,
}

impl<Run: ?Sized, Layer: ?Sized> Chain<Run, Layer> {
    fn next_layer(&mut self) -> Option<Arc<Layer>> {
        let layer = self.common.layers.get(self.passed).cloned();
        self.passed += 1;
        layer
    }
}

/// What a layer surrounds: the layers inside it, and the handler.
///
/// A layer is a closure that receives it together with the context:
///
/// ```
/// use ivy_proto::task::{Registry, Task, TaskError};
///
/// const FACTORIAL: Task<(u64,), u64> = Task::new("testpackage.factorial");
///
/// async fn factorial(n: u64) -> Result<u64, TaskError> {
///     (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| TaskError::fatal("too large"))
/// }
///
/// let mut registry = Registry::<()>::new();
/// registry.register(&FACTORIAL, factorial)?;
/// registry.layer(|next, ctx| async move {
///     let result = next.run(ctx).await;
///     println!("{result:?}");
///     result
/// });
/// # Ok::<(), ivy_proto::task::RegisterError>(())
/// ```
#[must_use = "the handler does not run unless this does"]
pub struct Next<Ctx>(Chain<Run<Ctx>, Layer<Ctx>>);

impl<Ctx> Next<Ctx> {
    pub(super) fn new(run: Arc<Run<Ctx>>, args: RawJson, common: Arc<Common<Layer<Ctx>>>) -> Self {
        Next(Chain { run, args, common, passed: 0 })
    }

    /// Runs the handler, with the layers inside this one around it.
    ///
    /// The future fails with the error of the handler or of a layer. A panic of either is an error
    /// too, and so are arguments that the handler does not accept: then it did not run. Return an
    /// error as it is, and the worker treats it as if there were no layer.
    ///
    /// Nothing runs before the future is polled. If it is dropped, the handler is cancelled.
    pub fn run(self, ctx: Ctx) -> NextFuture<Ctx> {
        NextFuture { start: Some((self, ctx)), running: None }
    }

    fn start(self, ctx: Ctx) -> Running {
        let Next(mut chain) = self;
        match chain.next_layer() {
            Some(layer) => layer(Next(chain), ctx),
            None => (chain.run)(&chain.common.states, ctx, chain.args),
        }
    }
}

impl<Ctx> fmt::Debug for Next<Ctx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

/// The future of a handler with layers around it. Created by [`Next::run`].
#[must_use = "the handler runs while this is polled"]
pub struct NextFuture<Ctx> {
    start: Option<(Next<Ctx>, Ctx)>,
    running: Option<Running>,
}

// No field is pinned.
impl<Ctx> Unpin for NextFuture<Ctx> {}

impl<Ctx> Future for NextFuture<Ctx> {
    type Output = Result<Done, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let NextFuture { start, running } = self.get_mut();
        // After a panic the future is never polled again, so no broken state is observed.
        catch(|| {
            let running = match start.take() {
                Some((next, ctx)) => running.insert(next.start(ctx)),
                None => running.as_mut().expect("it has not ended"),
            };
            running.as_mut().poll(context)
        })
        .unwrap_or_else(|error| Poll::Ready(Err(error)))
    }
}

impl<Ctx> fmt::Debug for NextFuture<Ctx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextFuture")
    }
}

/// What a layer in a thread surrounds: the layers inside it, and the handler. See [`Next`].
#[must_use = "the handler does not run unless this does"]
pub struct BlockingNext<Ctx>(Chain<BlockingRun<Ctx>, BlockingLayer<Ctx>>);

impl<Ctx> BlockingNext<Ctx> {
    pub(super) fn new(
        run: Arc<BlockingRun<Ctx>>,
        args: RawJson,
        common: Arc<Common<BlockingLayer<Ctx>>>,
    ) -> Self {
        BlockingNext(Chain { run, args, common, passed: 0 })
    }

    /// Runs the handler, with the layers inside this one around it.
    ///
    /// # Errors
    /// The error of the handler or of a layer. A panic of either is an error too, and so are
    /// arguments that the handler does not accept: then it did not run. Return an error as it is,
    /// and the worker treats it as if there were no layer.
    pub fn run(self, ctx: Ctx) -> Result<Done, TaskError> {
        let BlockingNext(mut chain) = self;
        catch(|| match chain.next_layer() {
            Some(layer) => layer(BlockingNext(chain), ctx),
            None => (chain.run)(&chain.common.states, ctx, chain.args),
        })
        .and_then(|result| result)
    }
}

impl<Ctx> fmt::Debug for BlockingNext<Ctx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingNext")
    }
}

/// Runs code of the user. A panic is an error.
///
/// Unwind safety is the concern of that code, which owns its state.
fn catch<T>(run: impl FnOnce() -> T) -> Result<T, TaskError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(TaskError::from_panic)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;
    use crate::name::TaskName;
    use crate::task::{BlockingRegistry, Registry};

    /// What ran, in order.
    type Steps = Arc<Mutex<Vec<String>>>;

    fn name() -> TaskName {
        TaskName::new("test").unwrap()
    }

    /// Runs the task, whose handler and layers never wait.
    fn run(registry: &Registry<u8>, args: &str) -> JobOutcome {
        let mut job = registry.run(&name(), 1, RawJson::parse(args).unwrap()).unwrap();
        match Pin::new(&mut job).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("the handler must not wait"),
        }
    }

    fn run_here(registry: &BlockingRegistry<u8>, args: &str) -> JobOutcome {
        registry.job(&name(), 1, RawJson::parse(args).unwrap()).unwrap()()
    }

    /// A registry whose handler doubles its argument, panics for 13, and fails for more.
    fn doubling(steps: &Steps) -> Registry<u8> {
        let steps = steps.clone();
        let mut registry = Registry::new();
        registry
            .register("test", move |n: u64| {
                steps.lock().unwrap().push(format!("handler {n}"));
                async move { double(n) }
            })
            .unwrap();
        registry
    }

    fn double(n: u64) -> Result<u64, TaskError> {
        assert!(n != 13, "out of cheese");
        if n < 13 { Ok(2 * n) } else { Err(TaskError::fatal("too large")) }
    }

    fn stepping(registry: &mut Registry<u8>, steps: &Steps, which: &'static str) {
        let steps = steps.clone();
        registry.layer(move |next, ctx| {
            let steps = steps.clone();
            async move {
                steps.lock().unwrap().push(format!("{which} begins"));
                let result = next.run(ctx).await;
                steps.lock().unwrap().push(format!("{which}: {result:?}"));
                result
            }
        });
    }

    #[test]
    fn the_first_layer_is_the_outermost() {
        let steps = Steps::default();
        let mut registry = doubling(&steps);
        stepping(&mut registry, &steps, "first");
        stepping(&mut registry, &steps, "second");
        assert!(matches!(run(&registry, "[2]"), JobOutcome::Done(value) if value.as_str() == "4"));
        let expected =
            ["first begins", "second begins", "handler 2", "second: Ok(Done)", "first: Ok(Done)"];
        assert_eq!(*steps.lock().unwrap(), expected);
    }

    #[test]
    fn a_refusal_keeps_its_consequence_and_runs_no_handler() {
        let steps = Steps::default();
        let mut registry = doubling(&steps);
        let delay = Duration::from_secs(3);
        registry.layer(move |_, _| async move { Err(TaskError::later(delay)) });
        match run(&registry, "[2]") {
            JobOutcome::Failed(error) => assert_eq!(error.postponed_by(), Some(delay)),
            other => panic!("{other:?}"),
        }
        assert!(steps.lock().unwrap().is_empty());
    }

    #[test]
    fn a_layer_that_returns_the_error_it_received_changes_no_outcome() {
        let steps = Steps::default();
        let mut registry = doubling(&steps);
        stepping(&mut registry, &steps, "layer");
        let outcome = run(&registry, "[14]");
        assert!(matches!(outcome, JobOutcome::Failed(error) if error.is_fatal()));
        let outcome = run(&registry, "[13]");
        assert!(matches!(outcome, JobOutcome::Panicked(message) if message == "out of cheese"));
        let outcome = run(&registry, "[]");
        assert!(matches!(outcome, JobOutcome::BadArgs(text) if text.contains("is missing")));
        let ends = steps.lock().unwrap().iter().filter(|step| step.contains("Err")).count();
        assert_eq!(ends, 3);
    }

    #[test]
    fn an_error_can_be_replaced() {
        let mut registry = doubling(&Steps::default());
        registry.layer(|next, ctx| async move {
            next.run(ctx).await.map_err(|error| TaskError::new(format!("seen: {error}")))
        });
        match run(&registry, "[13]") {
            JobOutcome::Failed(error) => {
                assert_eq!(error.message(), "seen: the handler panicked: out of cheese");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_of_a_layer_is_one_of_the_handler_and_seen_by_the_layers_around_it() {
        for before_its_future in [true, false] {
            let steps = Steps::default();
            let mut registry = doubling(&steps);
            stepping(&mut registry, &steps, "outer");
            registry.layer(move |next, ctx| {
                assert!(!before_its_future, "broken layer");
                async move {
                    let _ = next.run(ctx).await;
                    panic!("broken layer")
                }
            });
            let outcome = run(&registry, "[2]");
            assert!(matches!(outcome, JobOutcome::Panicked(message) if message == "broken layer"));
            let steps = steps.lock().unwrap();
            assert!(steps.last().unwrap().starts_with("outer: Err"), "{steps:?}");
        }
    }

    #[test]
    fn a_panic_of_the_only_layer_is_one_of_the_handler() {
        let mut registry = doubling(&Steps::default());
        registry.layer(|_, _| -> std::future::Ready<_> { panic!("broken layer") });
        let outcome = run(&registry, "[2]");
        assert!(matches!(outcome, JobOutcome::Panicked(message) if message == "broken layer"));
    }

    #[test]
    fn layers_surround_handlers_in_threads_too() {
        let steps = Steps::default();
        let mut registry = BlockingRegistry::new();
        registry.register("test", double).unwrap();
        for which in ["first", "second"] {
            let steps = steps.clone();
            registry.layer(move |next, ctx| {
                steps.lock().unwrap().push(format!("{which} begins"));
                let result = next.run(ctx);
                steps.lock().unwrap().push(format!("{which}: {result:?}"));
                result
            });
        }
        let outcome = run_here(&registry, "[2]");
        assert!(matches!(outcome, JobOutcome::Done(value) if value.as_str() == "4"));
        let expected = ["first begins", "second begins", "second: Ok(Done)", "first: Ok(Done)"];
        assert_eq!(*steps.lock().unwrap(), expected);
        let outcome = run_here(&registry, "[13]");
        assert!(matches!(outcome, JobOutcome::Panicked(message) if message == "out of cheese"));
        assert!(matches!(run_here(&registry, "[]"), JobOutcome::BadArgs(_)));
        assert!(steps.lock().unwrap().last().unwrap().starts_with("first: Err"));
    }

    #[test]
    fn a_layer_in_a_thread_may_refuse_or_panic() {
        let mut registry = BlockingRegistry::new();
        registry.register("test", double).unwrap();
        registry.layer(|next, ctx| match ctx {
            1 => Err(TaskError::fatal("not allowed")),
            2 => panic!("broken layer"),
            _ => next.run(ctx),
        });
        let mut outcomes = [1, 2, 3].map(|ctx| {
            let args = RawJson::parse("[2]").unwrap();
            registry.job(&name(), ctx, args).unwrap()()
        });
        assert!(matches!(&outcomes[0], JobOutcome::Failed(error) if error.is_fatal()));
        assert!(matches!(&outcomes[1], JobOutcome::Panicked(text) if text == "broken layer"));
        assert!(matches!(&mut outcomes[2], JobOutcome::Done(_)));
    }
}

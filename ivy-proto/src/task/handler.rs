//! Handlers: plain or async functions that run a task.

use super::TaskError;
use super::args::FromArgs;

/// A function that runs a task: an `async fn` or closure with one owned parameter per argument of
/// the task. If the first parameter is the worker's context, the handler receives it as well.
///
/// It returns `Result<Output, E>`, where `E` converts into a [`TaskError`]. Do not implement this
/// trait: functions of up to eight arguments already do. `Marker` distinguishes handlers with and
/// without context, and is inferred; a context type that can itself be deserialized would be
/// ambiguous.
///
/// ```
/// use ivy_proto::task::{Registry, Task};
///
/// const FACTORIAL: Task<(u64,), u64> = Task::new("testpackage.factorial");
///
/// async fn factorial(n: u64) -> Result<u64, String> {
///     (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| format!("{n}! is too large"))
/// }
///
/// let mut registry = Registry::<()>::new();
/// registry.register(&FACTORIAL, factorial)?;
/// registry.register("testpackage.greet", |name: String| async move {
///     Ok::<_, String>(format!("Hello {name}"))
/// })?;
/// # Ok::<(), ivy_proto::task::RegisterError>(())
/// ```
///
/// A function with other parameters is a compile error:
///
/// ```compile_fail
/// use ivy_proto::task::{Registry, Task};
///
/// const FACTORIAL: Task<(u64,), u64> = Task::new("testpackage.factorial");
///
/// async fn factorial(n: String) -> Result<u64, String> {
///     Ok(n.len() as u64)
/// }
///
/// Registry::<()>::new().register(&FACTORIAL, factorial);
/// ```
#[diagnostic::on_unimplemented(
    message = "this function cannot run the task: it must take `{Args}` as its parameters (and may take `{Ctx}` before them), and return a `Send` future of `Result<{Output}, E>`, where `E: Into<TaskError>`",
    label = "not a handler of this task",
    note = "parameters are owned values; a closure may need their types written down: `|n: u64| async move {{ .. }}`"
)]
pub trait Handler<Ctx, Args, Output, Marker>: Send + Sync + 'static {
    /// Runs the task once.
    fn call(&self, ctx: Ctx, args: Args) -> impl Future<Output = Result<Output, TaskError>> + Send;
}

/// A function that runs a task in a thread, for adapters without futures: like a [`Handler`], but a
/// plain `fn` or closure, which may block.
///
/// ```
/// use ivy_proto::task::{BlockingRegistry, Task};
///
/// const FACTORIAL: Task<(u64,), u64> = Task::new("testpackage.factorial");
///
/// fn factorial(n: u64) -> Result<u64, String> {
///     (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| format!("{n}! is too large"))
/// }
///
/// let mut registry = BlockingRegistry::<()>::new();
/// registry.register(&FACTORIAL, factorial)?;
/// registry.register("testpackage.greet", |name: String| Ok::<_, String>(format!("Hello {name}")))?;
/// # Ok::<(), ivy_proto::task::RegisterError>(())
/// ```
///
/// A function with other parameters is a compile error:
///
/// ```compile_fail
/// use ivy_proto::task::{BlockingRegistry, Task};
///
/// const FACTORIAL: Task<(u64,), u64> = Task::new("testpackage.factorial");
///
/// fn factorial(n: String) -> Result<u64, String> {
///     Ok(n.len() as u64)
/// }
///
/// BlockingRegistry::<()>::new().register(&FACTORIAL, factorial);
/// ```
#[diagnostic::on_unimplemented(
    message = "this function cannot run the task: it must take `{Args}` as its parameters (and may take `{Ctx}` before them), and return a `Result<{Output}, E>`, where `E: Into<TaskError>`",
    label = "not a handler of this task",
    note = "parameters are owned values; a closure may need their types written down: `|n: u64| ..`"
)]
pub trait BlockingHandler<Ctx, Args, Output, Marker>: Send + Sync + 'static {
    /// Runs the task once.
    ///
    /// # Errors
    /// The error of the function.
    fn call(&self, ctx: Ctx, args: Args) -> Result<Output, TaskError>;
}

/// Marks handlers that take only the task's arguments.
#[derive(Debug)]
pub enum WithoutCtx {}

/// Marks handlers that take the worker's context first.
#[derive(Debug)]
pub enum WithCtx {}

macro_rules! handlers {
    ($($argument:ident)*) => {
        impl<Ctx, Output, Function, Running, Error, $($argument),*>
            Handler<Ctx, ($($argument,)*), Output, WithoutCtx> for Function
        where
            Function: Fn($($argument),*) -> Running + Send + Sync + 'static,
            Running: Future<Output = Result<Output, Error>> + Send,
            Error: Into<TaskError>,
            ($($argument,)*): FromArgs,
        {
            #[allow(non_snake_case, reason = "the type parameters also name the values")]
            fn call(
                &self,
                _: Ctx,
                ($($argument,)*): ($($argument,)*),
            ) -> impl Future<Output = Result<Output, TaskError>> + Send {
                let running = self($($argument),*);
                async move { running.await.map_err(Into::into) }
            }
        }

        impl<Ctx, Output, Function, Running, Error, $($argument),*>
            Handler<Ctx, ($($argument,)*), Output, WithCtx> for Function
        where
            Function: Fn(Ctx, $($argument),*) -> Running + Send + Sync + 'static,
            Running: Future<Output = Result<Output, Error>> + Send,
            Error: Into<TaskError>,
            ($($argument,)*): FromArgs,
        {
            #[allow(non_snake_case, reason = "the type parameters also name the values")]
            fn call(
                &self,
                ctx: Ctx,
                ($($argument,)*): ($($argument,)*),
            ) -> impl Future<Output = Result<Output, TaskError>> + Send {
                let running = self(ctx, $($argument),*);
                async move { running.await.map_err(Into::into) }
            }
        }

        impl<Ctx, Output, Function, Error, $($argument),*>
            BlockingHandler<Ctx, ($($argument,)*), Output, WithoutCtx> for Function
        where
            Function: Fn($($argument),*) -> Result<Output, Error> + Send + Sync + 'static,
            Error: Into<TaskError>,
            ($($argument,)*): FromArgs,
        {
            #[allow(non_snake_case, reason = "the type parameters also name the values")]
            fn call(
                &self,
                _: Ctx,
                ($($argument,)*): ($($argument,)*),
            ) -> Result<Output, TaskError> {
                self($($argument),*).map_err(Into::into)
            }
        }

        impl<Ctx, Output, Function, Error, $($argument),*>
            BlockingHandler<Ctx, ($($argument,)*), Output, WithCtx> for Function
        where
            Function: Fn(Ctx, $($argument),*) -> Result<Output, Error> + Send + Sync + 'static,
            Error: Into<TaskError>,
            ($($argument,)*): FromArgs,
        {
            #[allow(non_snake_case, reason = "the type parameters also name the values")]
            fn call(
                &self,
                ctx: Ctx,
                ($($argument,)*): ($($argument,)*),
            ) -> Result<Output, TaskError> {
                self(ctx, $($argument),*).map_err(Into::into)
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D E);
handlers!(A B C D E F);
handlers!(A B C D E F G);
handlers!(A B C D E F G H);

//! Handlers: plain or async functions that run a task.

use std::fmt;
use std::marker::PhantomData;

use super::TaskError;
use super::args::FromArgs;
use super::state::{HandlerStates, State};

/// A function that runs a task: an `async fn` or closure with one owned parameter per argument of
/// the task. If it has a parameter before these whose type is the worker's context, the handler
/// receives it as well. Before the context, it may take up to four [`State`]s of the worker.
///
/// It returns `Result<Output, E>`, where `E` converts into a [`TaskError`]. Do not implement this
/// trait: functions of up to eight arguments already do. `Marker` distinguishes handlers with and
/// without context and states, and is inferred; a context type that can itself be deserialized
/// would be ambiguous. So is a closure that says neither by its annotations nor by what it does
/// whether its first parameter is the context or a state: write `|_: Ctx, n| ..`, or leave the
/// parameter out.
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
    message = "this function cannot run the task: it must take `{Args}` as its parameters (before them it may take `{Ctx}`, and before that up to four `State<..>`), and return a `Send` future of `Result<{Output}, E>`, where `E: Into<TaskError>`",
    label = "not a handler of this task",
    note = "parameters are owned values; a closure may need their types written down: `|n: u64| async move {{ .. }}`",
    note = "the `T` of a `State<T>` must be `Send + Sync + 'static`"
)]
pub trait Handler<Ctx, Args, Output, Marker>: Send + Sync + 'static {
    /// The states that it takes.
    type States: HandlerStates;

    /// Runs the task once.
    fn call(
        &self,
        states: Self::States,
        ctx: Ctx,
        args: Args,
    ) -> impl Future<Output = Result<Output, TaskError>> + Send;
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
    message = "this function cannot run the task: it must take `{Args}` as its parameters (before them it may take `{Ctx}`, and before that up to four `State<..>`), and return a `Result<{Output}, E>`, where `E: Into<TaskError>`",
    label = "not a handler of this task",
    note = "parameters are owned values; a closure may need their types written down: `|n: u64| ..`",
    note = "the `T` of a `State<T>` must be `Send + Sync + 'static`"
)]
pub trait BlockingHandler<Ctx, Args, Output, Marker>: Send + Sync + 'static {
    /// The states that it takes.
    type States: HandlerStates;

    /// Runs the task once.
    ///
    /// # Errors
    /// The error of the function.
    fn call(&self, states: Self::States, ctx: Ctx, args: Args) -> Result<Output, TaskError>;
}

/// Marks handlers that do not take the worker's context, with the states that they take.
pub struct WithoutCtx<States = ()>(PhantomData<fn() -> States>);

/// Marks handlers that take the worker's context, with the states that they take.
pub struct WithCtx<States = ()>(PhantomData<fn() -> States>);

impl<States> fmt::Debug for WithoutCtx<States> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithoutCtx")
    }
}

impl<States> fmt::Debug for WithCtx<States> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithCtx")
    }
}

/// Implements both traits for functions of these states and arguments, without a context and with
/// one.
macro_rules! handlers {
    ([$($state:ident)*] [$($argument:ident)*]) => {
        handlers!([$($state)*] [] [$($argument)*] WithoutCtx, _);
        handlers!([$($state)*] [ctx: Ctx] [$($argument)*] WithCtx, ctx);
    };
    (
        [$($state:ident)*] [$($ctx:ident: $Ctx:ident)?] [$($argument:ident)*]
        $Marker:ident, $context:pat
    ) => {
        impl<Ctx, Output, Function, Running, Error, $($state,)* $($argument),*>
            Handler<Ctx, ($($argument,)*), Output, $Marker<($(State<$state>,)*)>> for Function
        where
            Function: Fn($(State<$state>,)* $($Ctx,)? $($argument),*) -> Running
                + Send + Sync + 'static,
            Running: Future<Output = Result<Output, Error>> + Send,
            Error: Into<TaskError>,
            $($state: Send + Sync + 'static,)*
            ($($argument,)*): FromArgs,
        {
            type States = ($(State<$state>,)*);

            #[allow(non_snake_case, reason = "the type parameters also name the values")]
            fn call(
                &self,
                ($($state,)*): Self::States,
                $context: Ctx,
                ($($argument,)*): ($($argument,)*),
            ) -> impl Future<Output = Result<Output, TaskError>> + Send {
                let running = self($($state,)* $($ctx,)? $($argument),*);
                async move { running.await.map_err(Into::into) }
            }
        }

        impl<Ctx, Output, Function, Error, $($state,)* $($argument),*>
            BlockingHandler<Ctx, ($($argument,)*), Output, $Marker<($(State<$state>,)*)>>
            for Function
        where
            Function: Fn($(State<$state>,)* $($Ctx,)? $($argument),*) -> Result<Output, Error>
                + Send + Sync + 'static,
            Error: Into<TaskError>,
            $($state: Send + Sync + 'static,)*
            ($($argument,)*): FromArgs,
        {
            type States = ($(State<$state>,)*);

            #[allow(non_snake_case, reason = "the type parameters also name the values")]
            fn call(
                &self,
                ($($state,)*): Self::States,
                $context: Ctx,
                ($($argument,)*): ($($argument,)*),
            ) -> Result<Output, TaskError> {
                self($($state,)* $($ctx,)? $($argument),*).map_err(Into::into)
            }
        }
    };
}

macro_rules! arities {
    ($($states:tt)*) => {
        $(
            handlers!($states []);
            handlers!($states [A]);
            handlers!($states [A B]);
            handlers!($states [A B C]);
            handlers!($states [A B C D]);
            handlers!($states [A B C D E]);
            handlers!($states [A B C D E F]);
            handlers!($states [A B C D E F G]);
            handlers!($states [A B C D E F G H]);
        )*
    };
}

arities!([] [S] [S T] [S T U] [S T U V]);

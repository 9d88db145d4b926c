//! Many calls at once. They wait for room in the outbox, and their arguments are taken as it comes.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use ivy_proto::task::{CallOptions, Task, ToArgs};
use ivy_proto::{Cause, TaskId};

use crate::call_listener::CallListener;
use crate::call_progress::Until;
use crate::error::Error;
use crate::handle::Handle;
use crate::ivy::{Ivy, listen};
use crate::producer::CALLS_TOGETHER;
use crate::runtime::{AsyncRuntime, Runtime};
#[cfg(feature = "threads")]
use crate::{runtime::Clients, threads::Threads, threads::block_on};

/// How many calls of one batch may be passed to the producer and not yet be sent: enough for it to
/// fill all posts in flight while the next ones are made.
const MAX_UNSENT: usize = 2 * CALLS_TOGETHER;

/// The maximum number of results for which room is allocated in advance: an iterator may announce
/// any number.
const MAX_PREALLOCATED: usize = 10_000;

impl<R: AsyncRuntime> Ivy<R> {
    /// Calls a task once for each of these arguments. The calls are sent in batches, so this is
    /// much faster than one call after the other. The results are in the order of the arguments.
    ///
    /// However many there are, the calls wait for room, and arguments are taken from the iterator
    /// as it comes: at most 2,000 calls at a time wait to be sent. Each call fails as a
    /// [`call`](Ivy::call) does, except that it does not fail because too many calls wait to be sent.
    /// A [limit](CallOptions::within) counts for each call from when its arguments are taken.
    ///
    /// As the handles are returned together, at most 100,000 of these calls may wait for their
    /// results: calls beyond that are not sent and fail with [`Full`](crate::ErrorKind::Full).
    /// [`call_stream`](Ivy::call_stream) has no such limit.
    ///
    /// If the future is dropped before it completes, the tasks whose arguments were taken may or may
    /// not be sent; the others are not.
    pub async fn call_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<Handle<R, Output>, Error<R>>> {
        self.call_each(task, without_options(args.into_iter()), Until::Result, Handle::new).await
    }

    /// Calls a task as [`call_many`](Ivy::call_many) does, with options for each call.
    pub async fn call_many_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        calls: impl IntoIterator<Item = (Args, CallOptions)>,
    ) -> Vec<Result<Handle<R, Output>, Error<R>>> {
        self.call_each(task, calls, Until::Result, Handle::new).await
    }

    /// Sends a task once for each of these arguments, as [`send`](Ivy::send) does. The ids of the tasks
    /// are in the order of the arguments.
    ///
    /// The tasks wait for room as those of [`call_many`](Ivy::call_many) do; there is no limit to
    /// their number. If the future is dropped before it completes, the tasks whose arguments were
    /// taken may or may not be sent; the others are not.
    pub async fn send_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<TaskId, Error<R>>> {
        self.call_each(task, without_options(args.into_iter()), Until::Sent, |sent| sent.task().id)
            .await
    }

    /// Sends a task as [`send_many`](Ivy::send_many) does, with options for each.
    pub async fn send_many_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        calls: impl IntoIterator<Item = (Args, CallOptions)>,
    ) -> Vec<Result<TaskId, Error<R>>> {
        self.call_each(task, calls, Until::Sent, |sent| sent.task().id).await
    }
}

#[cfg(feature = "threads")]
#[allow(clippy::type_complexity, reason = "in an adapter it reads `Vec<Result<Handle<Output>>>`")]
impl<C: Clients> Ivy<Threads<C>> {
    /// Calls a task once for each of these arguments. The calls are sent in batches, so this is
    /// much faster than one call after the other. The results are in the order of the arguments.
    ///
    /// However many there are, the calls wait for room, and arguments are taken from the iterator
    /// as it comes: at most 2,000 calls at a time wait to be sent. Each call fails as a
    /// [`call`](Ivy::call) does, except that it does not fail because too many calls wait to be sent.
    /// A [limit](CallOptions::within) counts for each call from when its arguments are taken.
    ///
    /// As the handles are returned together, at most 100,000 of these calls may wait for their
    /// results: calls beyond that are not sent and fail with [`Full`](crate::ErrorKind::Full).
    /// [`call_stream`](Ivy::call_stream) has no such limit.
    pub fn call_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<Handle<Threads<C>, Output>, Error<Threads<C>>>> {
        block_on(self.call_each(
            task,
            without_options(args.into_iter()),
            Until::Result,
            Handle::new,
        ))
    }

    /// Calls a task as [`call_many`](Ivy::call_many) does, with options for each call.
    pub fn call_many_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        calls: impl IntoIterator<Item = (Args, CallOptions)>,
    ) -> Vec<Result<Handle<Threads<C>, Output>, Error<Threads<C>>>> {
        block_on(self.call_each(task, calls, Until::Result, Handle::new))
    }

    /// Sends a task once for each of these arguments, as [`send`](Ivy::send) does. The ids of the tasks
    /// are in the order of the arguments.
    ///
    /// The tasks wait for room as those of [`call_many`](Ivy::call_many) do; there is no limit to
    /// their number.
    pub fn send_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<TaskId, Error<Threads<C>>>> {
        block_on(
            self.call_each(task, without_options(args.into_iter()), Until::Sent, |sent| {
                sent.task().id
            }),
        )
    }

    /// Sends a task as [`send_many`](Ivy::send_many) does, with options for each.
    pub fn send_many_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        calls: impl IntoIterator<Item = (Args, CallOptions)>,
    ) -> Vec<Result<TaskId, Error<Threads<C>>>> {
        block_on(self.call_each(task, calls, Until::Sent, |sent| sent.task().id))
    }
}

/// Calls with these arguments that have no options.
pub(crate) fn without_options<Args, I: Iterator<Item = Args>>(
    args: I,
) -> impl Iterator<Item = (Args, CallOptions)> {
    args.map(|args| (args, CallOptions::new()))
}

impl<R: Runtime> Ivy<R> {
    /// Makes these calls as there is room for them, and returns what `sent` makes of each that was
    /// sent.
    async fn call_each<Args: ToArgs, Output, T>(
        &self,
        task: &Task<Args, Output>,
        calls: impl IntoIterator<Item = (Args, CallOptions)>,
        until: Until,
        sent: impl Fn(CallListener<R>) -> T,
    ) -> Vec<Result<T, Error<R>>> {
        let mut calls = calls.into_iter();
        let Ok(producer) = self.producer().map(Arc::clone) else {
            let why = || self.producer().err().unwrap_or(Cause::Stopped);
            return calls.map(|_| Err(Error::from(why()))).collect();
        };
        let waits = self.waits();
        let (mut span, context) = self.tracer().send_many(task.name());
        let mut results = Vec::with_capacity(calls.size_hint().0.min(MAX_PREALLOCATED));
        let mut unsent = VecDeque::new();
        loop {
            let mut passed = Vec::new();
            for (args, options) in calls.by_ref().take(MAX_UNSENT - unsent.len()) {
                let call = self.prepare(task, &args, &options, until);
                unsent.push_back(call.map(|mut call| {
                    span.add(&call);
                    if let Some(context) = &context {
                        call.add_trace(context);
                    }
                    let (listener, call) = listen(&producer, waits.clone(), call, until, None);
                    passed.push(call);
                    listener
                }));
                if passed.len() == CALLS_TOGETHER {
                    producer.post_waiting(mem::take(&mut passed));
                }
            }
            producer.post_waiting(passed);
            // If arguments are left, the producer is kept supplied.
            let has_ended = unsent.len() < MAX_UNSENT;
            let rest = if has_ended { 0 } else { MAX_UNSENT - CALLS_TOGETHER };
            while unsent.len() > rest
                && let Some(listener) = unsent.pop_front()
            {
                let result = match listener {
                    Ok(listener) => listener.sent().await.map(&sent),
                    Err(error) => Err(error),
                };
                if let Err(error) = &result {
                    span.failed(error.kind());
                }
                results.push(result);
            }
            if has_ended {
                return results;
            }
        }
    }
}

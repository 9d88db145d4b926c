//! The results of many calls in the order in which they arrive, with a limit to those outstanding.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::Stream;
use ivy_proto::producer::Call;
use ivy_proto::task::{CallOptions, Task, ToArgs};
use ivy_proto::{Cause, Moment, TaskId};
use serde::de::DeserializeOwned;

use crate::alarm::Alarm;
use crate::call_changes::{CallChanges, CallWatch};
use crate::call_listener::CallListener;
use crate::call_progress::{CallNews, Until};
use crate::error::Error;
use crate::handler_waits::HandlerWaits;
use crate::ivy::{Ivy, listen};
use crate::many::without_options;
use crate::producer::CALLS_TOGETHER;
use crate::runtime::{AsyncRuntime, Runtime};
#[cfg(feature = "threads")]
use crate::{runtime::Clients, threads::Threads, threads::block_on, timeout::timeout as limited};

/// How many calls are outstanding, unless the program sets another number.
const DEFAULT_WINDOW: usize = 1_000;

/// After this many results are taken, as many calls follow them: they fill a post.
const MAX_FREE: usize = 100;

impl<R: Runtime> Ivy<R> {
    /// Calls a task once for each of these arguments, and returns the results as a stream, in the
    /// order in which they arrive.
    ///
    /// At most [`window`](CallStream::window) calls are outstanding, 1,000 by default. Arguments are
    /// taken from the iterator as results are taken from the stream, so memory is bounded however
    /// many there are, and so are the messages in the queue. Nothing is called before the stream is
    /// first polled.
    ///
    /// Each result is waited for from when its call was sent, for `timeout` at most. The iterator must
    /// not block: results are returned only after as many arguments were taken as there is room
    /// for.
    pub fn call_stream<'a, Args: ToArgs + 'a, Output: 'a>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args, IntoIter: Send + 'a>,
        timeout: Duration,
    ) -> CallStream<'a, R, Output> {
        CallStream::new(self.clone(), *task, without_options(args.into_iter()), timeout)
    }

    /// Calls a task as [`call_stream`](Ivy::call_stream) does, with options for each call.
    pub fn call_stream_with<'a, Args: ToArgs + 'a, Output: 'a>(
        &self,
        task: &Task<Args, Output>,
        calls: impl IntoIterator<Item = (Args, CallOptions), IntoIter: Send + 'a>,
        timeout: Duration,
    ) -> CallStream<'a, R, Output> {
        CallStream::new(self.clone(), *task, calls.into_iter(), timeout)
    }
}

/// The results of many calls of one task, in the order in which they arrive. Created by
/// [`Ivy::call_stream`].
///
/// Each argument gets exactly one [`StreamedResult`]. A failure is one of them and does not end the
/// stream. The stream ends when all results are taken, or after [`stop`](CallStream::stop) those
/// that are outstanding.
///
/// To take a result is cancel safe: a wait that is dropped, for instance by a `timeout` or a `select!`
/// around it, loses none, and the next wait continues where it ended.
///
/// If the stream is dropped, no more arguments are taken. Calls whose arguments were taken before are
/// not withdrawn: their tasks run, unless sending them fails or the program ends first. Their
/// results are discarded.
///
/// In a handler, a wait for the stream ends once its worker drains: each outstanding result is
/// then a [`Draining`](crate::ErrorKind::Draining), and no more arguments are taken.
#[must_use = "nothing is called before results are taken"]
pub struct CallStream<'a, R: Runtime, Output> {
    ivy: Ivy<R>,
    /// Makes the next call. `None` if there are no more arguments, or none are to be taken.
    next_call: Option<Box<NextCall<'a, R>>>,
    timeout: Duration,
    window: usize,
    /// The calls whose results have not arrived, by the index of their arguments.
    awaited: BTreeMap<usize, CallListener<R>>,
    /// Until when to wait for results, in the order in which the calls were sent. Some may have
    /// arrived.
    deadlines: VecDeque<(Moment, usize)>,
    /// The results that were not taken yet.
    arrived: VecDeque<StreamedResult<R, Output>>,
    changes: Arc<CallChanges>,
    /// The numbers of changed calls, kept for its allocation.
    changed: Vec<usize>,
    alarm: Alarm<R>,
    /// The wait of the handler that takes the next result. Completes if it is interrupted.
    waiting: Option<BoxFuture<'static, ()>>,
    sent: usize,
    finished: usize,
}

type NextCall<'a, R> = dyn FnMut(&Ivy<R>) -> Option<Result<Call, Error<R>>> + Send + 'a;

/// The result of one call of a [`CallStream`].
#[non_exhaustive]
pub struct StreamedResult<R: Runtime, Output> {
    /// The index of its arguments in the iterator that they were taken from, from 0.
    pub index: usize,
    /// The task's id, which appears in the logs of producer and worker. `None` if the call could not
    /// be made at all.
    pub task_id: Option<TaskId>,
    /// The task's result, or why it was not sent or has none, as of [`call`](Ivy::call) and
    /// [`result`](crate::Handle::result).
    pub result: Result<Output, Error<R>>,
}

impl<'a, R: Runtime, Output> CallStream<'a, R, Output> {
    fn new<Args: ToArgs + 'a>(
        ivy: Ivy<R>,
        task: Task<Args, Output>,
        mut calls: impl Iterator<Item = (Args, CallOptions)> + Send + 'a,
        timeout: Duration,
    ) -> Self
    where
        Output: 'a,
    {
        let next_call = move |ivy: &Ivy<R>| {
            let (args, options) = calls.next()?;
            Some(ivy.prepare(&task, &args, &options, Until::Result))
        };
        let alarm = Alarm::new(ivy.clock());
        CallStream {
            ivy,
            next_call: Some(Box::new(next_call)),
            timeout,
            window: DEFAULT_WINDOW,
            awaited: BTreeMap::new(),
            deadlines: VecDeque::new(),
            arrived: VecDeque::new(),
            changes: Arc::default(),
            changed: Vec::new(),
            alarm,
            waiting: None,
            sent: 0,
            finished: 0,
        }
    }

    /// Sets how many calls may be outstanding at a time, at least one. A call is outstanding until
    /// its result is taken from the stream. Default: 1,000.
    ///
    /// They count among the 100,000 calls of an [`Ivy`] that may wait for results; a call beyond
    /// those is not sent and fails with [`Full`](crate::ErrorKind::Full).
    pub fn window(mut self, calls: usize) -> Self {
        self.window = calls.max(1);
        self
    }

    /// Takes no more arguments. The outstanding results still come, and then the stream ends.
    pub fn stop(&mut self) {
        self.next_call = None;
    }

    /// How many arguments were taken from the iterator so far. Those that follow were not called.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// How many results were taken from the stream so far.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// How many results are still to be taken of the arguments that were taken so far. At most as many
    /// as the [`window`](CallStream::window).
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.sent - self.finished
    }

    fn has_room(&self, calls: usize) -> bool {
        self.outstanding() + calls <= self.window
    }

    /// Makes as many calls as there is room for.
    fn call_next(&mut self) {
        let mut passed = Vec::new();
        let mut context = None;
        while self.has_room(1)
            && let Some(next_call) = &mut self.next_call
        {
            let Some(call) = next_call(&self.ivy) else {
                self.stop();
                break;
            };
            let index = self.sent;
            self.sent += 1;
            match call.and_then(|call| Ok((call, self.ivy.producer()?))) {
                Ok((mut call, producer)) => {
                    let context = context.get_or_insert_with(|| self.ivy.tracer().current());
                    if let Some(context) = context {
                        call.add_trace(context);
                    }
                    let watch = CallWatch { changes: Arc::clone(&self.changes), number: index };
                    let waits = self.ivy.waits();
                    let (listener, call) =
                        listen(producer, waits, call, Until::Result, Some(watch));
                    self.awaited.insert(index, listener);
                    passed.push(call);
                    if passed.len() == CALLS_TOGETHER {
                        producer.post_waiting(mem::take(&mut passed));
                    }
                }
                Err(error) => {
                    let task_id = error.task_id();
                    self.arrived.push_back(StreamedResult { index, task_id, result: Err(error) });
                }
            }
        }
        if !passed.is_empty()
            && let Ok(producer) = self.ivy.producer()
        {
            producer.post_waiting(passed);
        }
    }

    /// Ends the wait for this call, with this result.
    fn end(
        &mut self,
        index: usize,
        result: impl FnOnce(CallListener<R>) -> Result<Output, Error<R>>,
    ) {
        if let Some(listener) = self.awaited.remove(&index) {
            let task_id = Some(listener.task().id);
            self.arrived.push_back(StreamedResult { index, task_id, result: result(listener) });
        }
    }

    /// Ends the wait for this call without a result.
    fn fail(&mut self, index: usize, why: impl FnOnce(&CallListener<R>) -> Cause) {
        self.end(index, |listener| Err(Error::from(why(&listener)).about(listener.task())));
    }

    /// Ends the waits for all calls.
    fn fail_all(&mut self, why: impl Fn() -> Cause) {
        let indices: Vec<usize> = self.awaited.keys().copied().collect();
        for index in indices {
            self.fail(index, |_| why());
        }
    }

    /// Ends the waits that have lasted too long.
    fn fail_overdue(&mut self) {
        let (now, timeout) = (self.ivy.clock().now(), self.timeout);
        while let Some((deadline, index)) = self.deadlines.front().copied()
            && deadline <= now
        {
            self.deadlines.pop_front();
            self.fail(index, |listener| listener.timed_out(timeout));
        }
    }

    fn add_deadline(&mut self, deadline: Moment, index: usize) {
        self.deadlines.push_back((deadline, index));
        // While one result is awaited, those of any number of later calls may arrive.
        if self.deadlines.len() > 2 * self.window {
            self.deadlines.retain(|(_, index)| self.awaited.contains_key(index));
        }
    }

    /// When the wait for the next result ends.
    fn next_deadline(&mut self) -> Option<Moment> {
        while let Some((deadline, index)) = self.deadlines.front() {
            if self.awaited.contains_key(index) {
                return Some(*deadline);
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// Waits until the handler that waits for the stream is interrupted, if one does.
    fn poll_interrupted(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() {
            let waits = HandlerWaits::current().or_else(|| self.ivy.waits());
            let oldest = self.awaited.values().next();
            let waiting = waits.zip(oldest).and_then(|(waits, oldest)| waits.begin(oldest.task()));
            self.waiting = waiting.map(|waiting| waiting.into_interrupted().boxed());
        }
        match &mut self.waiting {
            Some(waiting) => waiting.poll_unpin(context),
            None => Poll::Pending,
        }
    }
}

impl<R: Runtime, Output: DeserializeOwned> CallStream<'_, R, Output> {
    /// Waits for the next result. `None` at the end of the stream.
    fn poll_result(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<StreamedResult<R, Output>>> {
        if self.has_room(MAX_FREE.min(self.window.div_ceil(4))) {
            self.call_next();
        }
        loop {
            if let Some(result) = self.arrived.pop_front() {
                self.waiting = None;
                self.finished += 1;
                return Poll::Ready(Some(result));
            }
            self.call_next();
            if !self.arrived.is_empty() {
                continue;
            }
            if self.awaited.is_empty() {
                return Poll::Ready(None);
            }
            ready!(self.poll_news(context));
        }
    }

    /// Waits until something happens to an outstanding call.
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.changes.poll_take(&mut self.changed, context).is_ready() {
            let changed = mem::take(&mut self.changed);
            for index in &changed {
                self.learn(*index);
            }
            self.changed = changed;
        } else if self.ivy.check_process().is_err() {
            self.fail_all(|| Cause::Forked);
        } else if self.poll_interrupted(context).is_ready() {
            self.stop();
            self.fail_all(|| Cause::Draining);
        } else {
            let deadline = self.next_deadline();
            ready!(self.alarm.poll(deadline, context));
            self.fail_overdue();
        }
        Poll::Ready(())
    }

    /// Takes what has become known of a call.
    fn learn(&mut self, index: usize) {
        let news = self.awaited.get(&index).and_then(|listener| listener.call.take_news());
        match news {
            None => {}
            Some(CallNews::Sent(at)) => self.add_deadline(at + self.timeout, index),
            Some(CallNews::Stopped) => self.fail(index, |_| Cause::Stopped),
            Some(CallNews::NotSent(error)) => {
                self.end(index, |listener| Err(listener.not_sent(error)));
            }
            Some(CallNews::Ended(outcome)) => self.end(index, |listener| {
                outcome.value().map_err(|why| Error::from(why).about(listener.task()))
            }),
        }
    }
}

impl<R: AsyncRuntime, Output: DeserializeOwned> CallStream<'_, R, Output> {
    /// Waits for the next result; `None` at the end of the stream.
    ///
    /// This is cancel safe: a `timeout` around it that passes loses no result and no argument, and
    /// the next wait continues.
    pub async fn next(&mut self) -> Option<StreamedResult<R, Output>> {
        poll_fn(|context| self.poll_result(context)).await
    }
}

impl<R: AsyncRuntime, Output: DeserializeOwned> Stream for CallStream<'_, R, Output> {
    type Item = StreamedResult<R, Output>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_result(context)
    }
}

// Nothing in it is pinned.
impl<R: Runtime, Output> Unpin for CallStream<'_, R, Output> {}

/// Waits for the next result; ends at the end of the stream.
#[cfg(feature = "threads")]
impl<C: Clients, Output: DeserializeOwned> Iterator for CallStream<'_, Threads<C>, Output> {
    type Item = StreamedResult<Threads<C>, Output>;

    fn next(&mut self) -> Option<Self::Item> {
        block_on(poll_fn(|context| self.poll_result(context)))
    }
}

#[cfg(feature = "threads")]
impl<C: Clients, Output: DeserializeOwned> CallStream<'_, Threads<C>, Output> {
    /// Waits for the next result, for `timeout` at most; `None` at the end of the stream. Until a
    /// result is taken, the stream continues: a program can look at something else and wait again.
    ///
    /// # Errors
    /// [`NothingYet`] if no result has arrived in this time. Nothing is lost by it.
    pub fn next_within(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<StreamedResult<Threads<C>, Output>>, NothingYet> {
        let next = poll_fn(|context| self.poll_result(context));
        block_on(limited::<Threads<C>, _>(timeout, next)).ok_or(NothingYet)
    }
}

/// No result has arrived within the limit of [`CallStream::next_within`]. Those that are outstanding
/// are still to come.
#[cfg(feature = "threads")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no result of the stream has arrived within the limit; wait again")]
pub struct NothingYet;

impl<R: Runtime, Output: fmt::Debug> fmt::Debug for StreamedResult<R, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedResult")
            .field("index", &self.index)
            .field("task_id", &self.task_id)
            .field("result", &self.result)
            .finish()
    }
}

impl<R: Runtime, Output> fmt::Debug for CallStream<'_, R, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream")
            .field("window", &self.window)
            .field("sent", &self.sent)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

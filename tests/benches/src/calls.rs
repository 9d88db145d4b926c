//! A program of each adapter that calls a task, runs it itself, and waits for the results.

use std::future::Future;
use std::hint::black_box;
use std::time::Duration;

use ivy_driver::{AsyncRuntime, Ivy, WorkerBuilder};
use ivy_proto::task::{Task, TaskError};

use crate::runtime;
use crate::wire::{QUEUE, TASK};

/// The task that is called.
const DOUBLE: Task<(u64,), u64> = Task::new(TASK).queue(QUEUE);
const PATIENCE: Duration = Duration::from_secs(60);

/// The queue and notifier of calls and results.
#[derive(Clone, Copy)]
pub(crate) struct Urls<'a> {
    pub(crate) queue: &'a str,
    pub(crate) notifier: Option<&'a str>,
}

/// Everything in memory.
pub(crate) const MEMORY: Urls<'static> = Urls { queue: "memory://", notifier: None };

/// Calls this many tasks at the same time, and waits for all results.
pub(crate) type Calls = Box<dyn FnMut(u64)>;

/// How the results of calls are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Results {
    /// By the handles of `call_many`.
    Handles,
    /// By a `call_stream`.
    Stream,
}

/// A program on this adapter, whose worker has this many slots and serves `double`.
pub(crate) fn program(
    adapter: &str,
    urls: Urls<'_>,
    concurrency: usize,
    double: impl Fn(u64) -> u64 + Clone + Send + Sync + 'static,
) -> Option<Calls> {
    program_with(Results::Handles, adapter, urls, concurrency, double)
}

/// The same, with the results waited for in this way.
pub(crate) fn program_with(
    results: Results,
    adapter: &str,
    urls: Urls<'_>,
    concurrency: usize,
    double: impl Fn(u64) -> u64 + Clone + Send + Sync + 'static,
) -> Option<Calls> {
    match adapter {
        "tokio" => {
            let builder = ivy_tokio::Ivy::builder();
            Some(of_futures(results, runtime(), builder, urls, double, |worker| {
                worker.concurrency(concurrency)
            }))
        }
        "async-std" => {
            let builder = ivy_async_std::Ivy::builder();
            Some(of_futures(results, AsyncStd, builder, urls, double, |worker| {
                worker.concurrency(concurrency)
            }))
        }
        "blocking" => Some(of_threads(results, urls, concurrency, double)),
        _ => None,
    }
}

/// A program on tokio, whose worker has a layer that does nothing.
pub(crate) fn layered_program(
    urls: Urls<'_>,
    concurrency: usize,
    double: impl Fn(u64) -> u64 + Clone + Send + Sync + 'static,
) -> Calls {
    of_futures(Results::Handles, runtime(), ivy_tokio::Ivy::builder(), urls, double, |worker| {
        worker.concurrency(concurrency).layer(|next, ctx| async move { next.run(ctx).await })
    })
}

/// Waits for futures.
pub(crate) trait Executor: 'static {
    /// Runs a future, and what it has spawned, until it ends.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T;

    /// Runs a future concurrently with others.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);
}

impl Executor for tokio::runtime::Runtime {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Runtime::block_on(self, future)
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::runtime::Runtime::spawn(self, future);
    }
}

/// The executor of async-std, of which there is one per process.
pub(crate) struct AsyncStd;

impl Executor for AsyncStd {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        async_std::task::block_on(future)
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        async_std::task::spawn(future);
    }
}

fn of_futures<R: AsyncRuntime>(
    results: Results,
    executor: impl Executor,
    builder: ivy_driver::IvyBuilder<R>,
    urls: Urls<'_>,
    double: impl Fn(u64) -> u64 + Clone + Send + Sync + 'static,
    configure: impl FnOnce(WorkerBuilder<R>) -> WorkerBuilder<R>,
) -> Calls {
    let handler = move |n: u64| {
        let result = double(n);
        async move { Ok::<u64, TaskError>(result) }
    };
    let (ivy, worker) = executor.block_on(async {
        let ivy = build(builder, urls);
        let worker = configure(ivy.worker().register(&DOUBLE, handler));
        let worker = worker.start().await.expect("a valid worker");
        (ivy, worker)
    });
    Box::new(move |calls| {
        let _ = &worker;
        let arguments = (0..calls).map(|n| (n,));
        executor.block_on(async {
            match results {
                Results::Handles => {
                    for handle in ivy.call_many(&DOUBLE, arguments).await {
                        let handle = handle.expect("the call is accepted");
                        black_box(handle.result(PATIENCE).await.expect("a result"));
                    }
                }
                Results::Stream => {
                    let mut stream = ivy.call_stream(&DOUBLE, arguments, PATIENCE);
                    while let Some(next) = stream.next().await {
                        black_box(next.result.expect("a result"));
                    }
                }
            }
        });
    })
}

fn of_threads(
    results: Results,
    urls: Urls<'_>,
    concurrency: usize,
    double: impl Fn(u64) -> u64 + Clone + Send + Sync + 'static,
) -> Calls {
    let ivy = build(ivy_blocking::Ivy::builder(), urls);
    let handler = move |n: u64| -> Result<u64, TaskError> { Ok(double(n)) };
    let worker = ivy.worker().register(&DOUBLE, handler).concurrency(concurrency);
    let worker = worker.start().expect("a valid worker");
    Box::new(move |calls| {
        let _ = &worker;
        let arguments = (0..calls).map(|n| (n,));
        match results {
            Results::Handles => {
                for handle in ivy.call_many(&DOUBLE, arguments) {
                    let handle = handle.expect("the call is accepted");
                    black_box(handle.result(PATIENCE).expect("a result"));
                }
            }
            Results::Stream => {
                for next in ivy.call_stream(&DOUBLE, arguments, PATIENCE) {
                    black_box(next.result.expect("a result"));
                }
            }
        }
    })
}

fn build<R: ivy_driver::Runtime>(builder: ivy_driver::IvyBuilder<R>, urls: Urls<'_>) -> Ivy<R> {
    let builder = builder.queue_url(urls.queue);
    let builder = match urls.notifier {
        Some(url) => builder.notifier_url(url),
        None => builder,
    };
    builder.build().expect("valid addresses")
}

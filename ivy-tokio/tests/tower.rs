//! Layers of tower around handlers, in virtual time.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::future::pending;
use std::task::{Context, Poll};
use std::time::Duration;

use ivy_tokio::tower::{Request, layer};
use ivy_tokio::{Done, Error, Ivy, Task, TaskError};
use tokio::time::{Instant, sleep};
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use tower::{Service, ServiceBuilder};

const WORK: Task<(u64,), u64> = Task::new("test.work").queue("test").max_retries(0);
const SOON: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Works for this many seconds.
async fn work(seconds: u64) -> Result<u64, TaskError> {
    sleep(SECOND * u32::try_from(seconds).unwrap()).await;
    Ok(seconds)
}

fn ivy() -> Ivy {
    Ivy::connect("memory://").unwrap()
}

/// Calls the task and waits for its result.
async fn call(ivy: &Ivy, seconds: u64) -> Result<u64, Error> {
    ivy.call(&WORK, (seconds,)).await?.result(SOON).await
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_is_shared_by_all_tasks() {
    let ivy = ivy();
    let worker = ivy.worker().register(&WORK, work);
    let worker = worker.layer(layer(ConcurrencyLimitLayer::new(2)));
    let _worker = worker.start().await.unwrap();
    let begun = Instant::now();
    for handle in ivy.call_many(&WORK, [(3,); 4]).await {
        assert_eq!(handle.unwrap().result(SOON).await.unwrap(), 3);
    }
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_layer_is_a_failed_attempt() {
    let ivy = ivy();
    let stuck = |_: u64| pending::<Result<u64, TaskError>>();
    let worker = ivy.worker().register(&WORK, stuck).layer(layer(TimeoutLayer::new(SECOND)));
    let _worker = worker.start().await.unwrap();
    let begun = Instant::now();
    let error = call(&ivy, 1).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 1);
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("RetriesExhausted", 1));
    assert!(failure.message.contains("timed out"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_handler_stays_as_it_is() {
    let ivy = ivy();
    let fails = |_: u64| async { Err::<u64, _>(TaskError::fatal("no")) };
    let limits = ServiceBuilder::new().concurrency_limit(1).timeout(SECOND);
    let worker = ivy.worker().register(&WORK, fails).layer(layer(limits));
    let _worker = worker.start().await.unwrap();
    let error = call(&ivy, 1).await.unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("Fatal", "no"));
}

/// Asserts that the task is the one that was called.
#[derive(Clone)]
struct Checked<S>(S);

impl<S: Service<Request, Response = Done, Error = TaskError>> Service<Request> for Checked<S> {
    type Response = Done;
    type Error = TaskError;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TaskError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> S::Future {
        assert_eq!(request.ctx().task_name().as_str(), "test.work");
        self.0.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_sees_the_context_of_the_task() {
    let ivy = ivy();
    let checked = tower::layer::layer_fn(Checked);
    let worker = ivy.worker().register(&WORK, work).layer(layer(checked));
    let _worker = worker.start().await.unwrap();
    assert_eq!(call(&ivy, 1).await.unwrap(), 1);
}

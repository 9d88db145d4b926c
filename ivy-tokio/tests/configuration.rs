//! What cannot work is told when it is made, and shows no secret.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use ivy_tokio::{
    Admin, CallOptions, CancellationToken, Ctx, Error, ErrorKind, Events, Handle, Ivy, IvyBuilder,
    Task, TaskError, Worker, WorkerBuilder,
};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");

async fn double(n: u64) -> Result<u64, TaskError> {
    Ok(2 * n)
}

fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

fn assert_config<T>(result: Result<T, Error>) {
    let error = result.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn what_is_shared_between_threads_can_be() {
    fn sendable<T: Send + 'static>() {}
    fn shareable<T: Send + Sync + 'static>() {}
    shareable::<Ivy>();
    shareable::<Worker>();
    shareable::<Admin>();
    shareable::<CancellationToken>();
    shareable::<Ctx>();
    shareable::<Error>();
    shareable::<CallOptions>();
    shareable::<Handle<std::rc::Rc<u8>>>();
    sendable::<IvyBuilder>();
    sendable::<WorkerBuilder>();
    sendable::<Events>();
}

#[test]
fn futures_can_be_sent_between_threads() {
    fn sendable<T: Send>(_: T) {}
    let ivy = ivy();
    sendable(ivy.call_many(&DOUBLE, (0..3).map(|n| (n,))));
    sendable(async {
        let handle = ivy.call(&DOUBLE, (1,)).await?;
        handle.result(Duration::ZERO).await
    });
}

#[test]
fn addresses_that_are_not_understood_are_refused_without_showing_secrets() {
    for url in
        ["", "hunter2", "ironmq://hunter2@", "redis://x:hunter2@y", "ironmq://hunter2@h/p?x=y"]
    {
        assert_config(Ivy::connect(url));
    }
    for url in ["", "http://x:hunter2@y", "redis://:hunter2@"] {
        assert_config(Ivy::builder().queue_url("memory://").notifier_url(url).build());
    }
    assert_config(Ivy::builder().queue_url("memory://").encryption_key(" ").build());
    assert_config(Ivy::builder().queue_url("memory://").channel("").build());
    assert_config(Ivy::builder().queue_url("memory://").root_certificates(b"x").build());
}

#[tokio::test]
async fn a_worker_that_makes_no_sense_does_not_start() {
    let ivy = ivy();
    let good = || ivy.worker().register(&DOUBLE, double);
    assert!(good().start().await.is_ok());
    assert_config(ivy.worker().start().await);
    assert_config(ivy.worker().register("test.double", double).start().await);
    assert_config(good().register(&DOUBLE, double).start().await);
    assert_config(good().concurrency(0).start().await);
    assert_config(good().lease(Duration::ZERO).start().await);
    assert_config(good().route("").start().await);
    assert_config(good().priorities([10]).start().await);
    assert_config(good().weight("test", 0).start().await);
    assert_config(good().reserve_time("\n", Duration::from_secs(60)).start().await);
}

#[tokio::test]
async fn options_that_are_out_of_range_are_refused() {
    let ivy = ivy();
    for options in [
        CallOptions::new().priority(10),
        CallOptions::new().max_retries(101),
        CallOptions::new().route(""),
    ] {
        assert_config(ivy.call_with(&DOUBLE, (1,), options).await);
    }
    assert_config(ivy.call(&Task::<(), ()>::new("toString"), ()).await);
}

//! Invalid configurations are refused when a value is built, without showing secrets.

use std::time::Duration;

use crate::adapter::{
    Admin, CallOptions, CancellationToken, Ctx, Error, ErrorKind, Events, Handle, Ivy, IvyBuilder,
    Task, TaskError, Worker, WorkerBuilder, handler, wait,
};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");

fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

fn assert_config<T>(result: Result<T, Error>) {
    let error = result.err().expect("the configuration is refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn shared_types_are_send_and_sync() {
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
fn invalid_addresses_are_refused_without_showing_secrets() {
    for url in
        ["", "hunter2", "ironmq://hunter2@", "redis://x:hunter2@y/z", "ironmq://hunter2@h/p?x=y"]
    {
        assert_config(Ivy::connect(url));
    }
    for url in ["", "http://x:hunter2@y", "redis://:hunter2@"] {
        assert_config(Ivy::builder().queue_url("memory://").notifier_url(url).build());
    }
    assert_config(Ivy::builder().queue_url("memory://").encryption_password(" ").build());
    assert_config(Ivy::builder().queue_url("memory://").channel("").build());
}

/// Only a build with TLS has certificates.
#[cfg(any(
    feature = "ironmq",
    feature = "redis",
    feature = "ring",
    feature = "aws-lc-rs",
    feature = "platform-verifier"
))]
#[test]
fn data_that_is_not_a_certificate_is_refused() {
    assert_config(Ivy::builder().queue_url("memory://").root_certificates(b"x").build());
}

#[test]
fn a_worker_with_invalid_settings_does_not_start() {
    let ivy = ivy();
    let double = || handler!(|n: u64| Ok::<u64, TaskError>(2 * n));
    let good = || ivy.worker().register(&DOUBLE, double());
    assert!(wait(good().start()).is_ok());
    assert_config(wait(ivy.worker().start()));
    assert_config(wait(ivy.worker().register("test.double", double()).start()));
    assert_config(wait(good().register(&DOUBLE, double()).start()));
    assert_config(wait(good().concurrency(0).start()));
    assert_config(wait(good().lease(Duration::ZERO).start()));
    assert_config(wait(good().route("").start()));
    assert_config(wait(good().priorities([10]).start()));
    assert_config(wait(good().weight("test", 0).start()));
    assert_config(wait(good().reserve_time("\n", Duration::from_secs(60)).start()));
}

#[test]
fn options_that_are_out_of_range_are_refused() {
    let ivy = ivy();
    for options in [
        CallOptions::new().priority(10),
        CallOptions::new().max_retries(101),
        CallOptions::new().route(""),
    ] {
        assert_config(wait(ivy.call_with(&DOUBLE, (1,), options)));
    }
    assert_config(wait(ivy.call(&Task::<(), ()>::new("toString"), ())));
}

//! Features that a backend needs, and backends that panic.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ivy_proto::backend::{
    BackendUrl, BoxFuture, Exchange, Input, Output, QueueBackend, Session, Step,
};
use ivy_proto::config::{ConfigError, Environment};
use ivy_proto::queue::{
    Capabilities, Fault, FaultKind, NameRule, QueueOp, QueueReply, ResponseDeviation,
};
use ivy_proto::{ErrorKind, Moment, QueueName, Task, TaskError};

use super::*;
use crate::testing::Tokio;

#[derive(Debug)]
struct OverHttp {
    is_secure: bool,
}

impl Exchange for OverHttp {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker()
    }

    fn is_secure(&self) -> bool {
        self.is_secure
    }

    fn start(&self, _: &QueueOp, _: Duration) -> Step {
        unreachable!("nothing is sent")
    }

    fn read(
        &self,
        _: &QueueOp,
        _: u8,
        _: Response<Bytes>,
        _: Duration,
        _: &mut dyn FnMut(ResponseDeviation),
    ) -> Step {
        unreachable!("nothing is sent")
    }
}

fn over_http(url: &BackendUrl, _: &Environment<'_>) -> Result<QueueBackend, ConfigError> {
    Ok(QueueBackend::exchange(OverHttp { is_secure: url.scheme() == "secure" }))
}

/// The error of a queue with this URL, if it is refused.
fn refused(url: &str) -> Option<String> {
    let plug = Plug::new("own", &["plain", "secure"]).with_queue("plain://HOST", over_http);
    let builder = Ivy::<Tokio>::builder().backend(plug).queue_url(url).notifier_url("memory://");
    builder.build().err().map(|error| error.to_string())
}

/// A queue that panics when it reports its capabilities, or when it checks a name.
#[derive(Debug)]
enum Panicking {
    Started,
    WithAName,
}

impl Queue for Panicking {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::broker();
        capabilities.names = match self {
            Panicking::Started => panic!("out of cheese"),
            Panicking::WithAName => Some(NameRule::new(|_| panic!("out of cheese"))),
        };
        capabilities
    }

    fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        unreachable!("nothing is requested")
    }
}

fn using(queue: impl Queue) -> Result<Ivy<Tokio>, Error<Tokio>> {
    Ivy::builder().queue(queue).notifier_url("memory://").build()
}

#[track_caller]
fn assert_panicked<T: fmt::Debug>(result: Result<T, Error<Tokio>>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("backend panicked"), "{error}");
    assert!(!error.to_string().contains("cheese"), "{error}");
}

#[test]
fn a_queue_that_panics_while_reporting_capabilities_is_refused() {
    assert_panicked(using(Panicking::Started));
}

#[test]
fn a_backend_that_panics_while_parsing_its_url_is_refused() {
    let plug = Plug::new("own", &["own"]).with_queue("own://HOST", |_, _| panic!("out of cheese"));
    let builder = Ivy::<Tokio>::builder().backend(plug).queue_url("own://host");
    assert_panicked(builder.notifier_url("memory://").build());
}

#[tokio::test]
async fn a_queue_that_panics_while_checking_a_name_refuses_calls_and_workers() {
    let task = Task::<(), ()>::new("test.nothing").queue("test");
    let ivy = using(Panicking::WithAName).unwrap();
    assert_panicked(ivy.call(&task, ()).await);
    assert_panicked(
        ivy.worker().register(&task, || async { Ok::<_, TaskError>(()) }).start().await,
    );
    // The producer continues.
    assert_panicked(ivy.call(&task, ()).await);
}

/// A session that never replies.
#[derive(Debug)]
struct Silent;

impl Session for Silent {
    fn handle_input(&mut self, _: Input<'_>, _: Moment) {}

    fn poll_output(&mut self) -> Output {
        Output::Wait(None)
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_of_a_queue_that_is_a_session_ends_in_time() {
    let silent = |_: &BackendUrl, _: &Environment<'_>| {
        Ok(QueueBackend::session(Capabilities::broker(), false, |_| Silent))
    };
    let plug = Plug::new("own", &["own"]).with_queue("own://HOST", silent);
    let builder = Ivy::<Tokio>::builder().backend(plug).queue_url("own://host");
    let queue = builder.notifier_url("memory://").build().unwrap().queue();
    let op = QueueOp::Clear { queue: QueueName::new("mail").unwrap() };
    let limit = op.time_limit() + Duration::from_secs(1);
    let fault = tokio::time::timeout(limit, queue.execute(op)).await.unwrap().unwrap_err();
    assert_eq!(fault.kind(), FaultKind::ReplyLost);
}

/// What is compiled in.
const HTTP: bool = cfg!(feature = "http");
const CRYPTOGRAPHY: bool = cfg!(any(feature = "ring", feature = "aws-lc-rs"));

/// Whether a queue with this URL is refused because this feature is missing.
fn lacks(feature: &str, url: &str) -> bool {
    refused(url).is_some_and(|error| error.contains(&format!("feature `{feature}`")))
}

#[test]
fn a_queue_over_http_without_a_client_is_refused_and_names_the_feature() {
    assert_eq!(refused("plain://host").is_none(), HTTP);
    assert_eq!(lacks("http", "plain://host"), !HTTP);
}

#[test]
fn a_server_with_tls_without_cryptography_is_refused_and_names_the_feature() {
    assert_eq!(refused("secure://host").is_none(), HTTP && CRYPTOGRAPHY);
    assert_eq!(lacks("ring", "secure://host"), !CRYPTOGRAPHY);
    let is_named = refused("secure://host").is_some_and(|error| error.contains("secure://..."));
    assert_eq!(is_named, !CRYPTOGRAPHY);
}

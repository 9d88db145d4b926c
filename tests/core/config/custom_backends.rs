//! Custom backends, selected by the schemes of their URLs.

use std::io;

use ivy_proto::ChannelName;
use ivy_proto::backend::{
    BackendUrl, BoxFuture, BoxStream, Notifier, NotifierBackend, NotifierImpl, Plug, Queue,
    QueueBackend, QueueImpl, SubscriptionEvent, UrlProblem,
};
use ivy_proto::config::{Config, ConfigError, Environment, NotifierConfig, QueueConfig, Warning};
use ivy_proto::notify::{NotifyFault, Publication};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};

use crate::support::*;

/// A shelf, which only records its name.
#[derive(Debug)]
struct TestBackend(#[expect(dead_code, reason = "its Debug shows it")] String);

impl Queue for TestBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker()
    }

    fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        unimplemented!("no test calls it")
    }
}

impl Notifier for TestBackend {
    fn publish(&self, _: Publication) -> BoxFuture<Result<u64, NotifyFault>> {
        unimplemented!("no test calls it")
    }

    fn subscribe(&self, _: Vec<ChannelName>) -> BoxStream<SubscriptionEvent> {
        unimplemented!("no test calls it")
    }
}

fn name(place: &BackendUrl) -> Result<TestBackend, ConfigError> {
    let host = place.host().ok_or_else(|| place.refuse(UrlProblem::NoHost))?;
    Ok(TestBackend(format!("{host} {:?}", place.query("depth"))))
}

fn queue(place: &BackendUrl, _: &Environment<'_>) -> Result<QueueBackend, ConfigError> {
    Ok(QueueBackend::queue(name(place)?).with_warning("the shelf is old"))
}

fn notifier(place: &BackendUrl, _: &Environment<'_>) -> Result<NotifierBackend, ConfigError> {
    Ok(NotifierBackend::notifier(name(place)?))
}

fn found(environment: &Environment<'_>) -> Result<Option<QueueBackend>, ConfigError> {
    Ok(environment.variable("SHELF").map(|name| QueueBackend::queue(TestBackend(name))))
}

const TEST_BACKEND: Plug = Plug::new("shelf", &["shelf"])
    .with_query(&["depth"])
    .with_queue("shelf://NAME", queue)
    .with_queue_without_url("set SHELF", found);

fn shown(config: &Config) -> String {
    match &config.queue {
        Some(QueueConfig::Backend(backend)) => match backend.implementation() {
            QueueImpl::Queue(queue) => format!("{queue:?}"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_queue_is_created_by_the_backend_of_its_urls_scheme() {
    let config = Config::builder().backend(TEST_BACKEND).queue_url("shelf://Tall?depth=3");
    let config = environment().resolve(config).unwrap();
    assert_eq!(shown(&config), r#"TestBackend("tall Some(\"3\")")"#);
    assert_eq!(config.notifier, None);
    assert_eq!(config.warnings, [Warning::Backend("the shelf is old".to_owned())]);
}

#[test]
fn a_queue_is_found_without_a_url_and_the_error_names_where_to_set_it() {
    let plugs = || Config::builder().backend(TEST_BACKEND);
    let config = environment().with("SHELF", "low").resolve(plugs()).unwrap();
    assert_eq!(shown(&config), r#"TestBackend("low")"#);
    let error = environment().resolve(plugs()).unwrap_err().to_string();
    assert_eq!(
        error,
        "no queue is configured: set IVY_QUEUE_URL to shelf://NAME or to memory://, or set SHELF"
    );
}

#[test]
fn only_the_keys_that_a_backend_declares_reach_it() {
    let error = |url: &str| {
        problem(
            &environment()
                .resolve(Config::builder().backend(TEST_BACKEND).queue_url(url))
                .unwrap_err(),
        )
    };
    let known = || "depth".to_owned();
    assert_eq!(error("shelf://a?width=1"), UrlProblem::UnknownKey { known: known() });
    assert_eq!(error("shelf://a?depth=1&"), UrlProblem::UnknownKey { known: known() });
    assert_eq!(error("shelf://?depth=1"), UrlProblem::NoHost);
}

#[test]
fn the_server_of_the_queue_is_the_notifier_if_it_can_be_one() {
    let both = TEST_BACKEND.with_notifier("shelf://NAME", notifier);
    let builder = || {
        let builder = Config::builder().backend(both).backend(ivy_redis::plug());
        builder.queue_url("shelf://a")
    };
    let redis = environment().with("REDIS_URL", "redis://h");
    let Some(NotifierConfig::Backend(own)) = redis.resolve(builder()).unwrap().notifier else {
        panic!("no notifier")
    };
    assert!(matches!(own.implementation(), NotifierImpl::Notifier(_)), "{own:?}");
    let given = redis.resolve(builder().notifier_url("redis://other")).unwrap();
    assert_eq!(redis_of(given).host, "other");
}

#[test]
fn the_last_of_two_backends_with_the_same_scheme_is_used() {
    let mine = Plug::new("mine", &["ironmq"]).with_queue("ironmq://NAME", queue);
    let config = environment().resolve(builder().backend(mine).queue_url("ironmq://tall")).unwrap();
    assert!(shown(&config).contains("tall"));
}

#[test]
fn the_error_about_a_scheme_that_is_not_compiled_in_names_its_feature_and_the_others() {
    let features = &[("shelf", "furniture")];
    let builder = || Config::builder().features(features);
    let queue = environment().resolve(builder().queue_url("shelf://u:SECRET@a")).unwrap_err();
    assert_eq!(
        queue.to_string(),
        "the given queue URL: the URL shelf://... is invalid: its scheme needs the feature \
         `furniture`, which is not compiled in; turn it on, or begin with one of memory://"
    );
    let notifier = builder().queue_url("memory://").notifier_url("shelf://a");
    let notifier = environment().resolve(notifier).unwrap_err();
    assert!(notifier.to_string().contains("`furniture`"), "{notifier}");
}

#[test]
fn a_backend_of_the_wrong_kind_is_refused_and_the_error_names_the_right_ones() {
    let bell = Plug::new("Bell", &["bell"])
        .with_notifier("bell://HOST", |place, _| Err(place.refuse(UrlProblem::NoHost)));
    let queue = builder().backend(bell).queue_url("bell://:SECRET@a");
    let queue = environment().resolve(queue).unwrap_err();
    assert_eq!(
        queue.to_string(),
        "the given queue URL: the URL bell://... is invalid: its backend can only be a notifier, not a \
         queue; the URL of a queue must begin with one of ironmq://, ironmq+http://, redis://, \
         rediss://, memory://"
    );
    let notifier = builder().queue_url("memory://").notifier_url("ironmq://SECRET@a/p");
    let notifier = environment().resolve(notifier).unwrap_err();
    assert_eq!(
        notifier.to_string(),
        "the given notifier URL: the URL ironmq://... is invalid: its backend can only be a \
         queue, not a notifier; the URL of a notifier must begin with one of redis://, rediss://, \
         memory://"
    );
}

#[test]
fn a_backend_with_an_invalid_scheme_is_refused() {
    let refused = |schemes: &'static [&'static str]| {
        let plug = Plug::new("shelf", schemes).with_queue("shelf://NAME", queue);
        environment().resolve(builder().backend(plug).queue_url("memory://")).err()
    };
    for scheme in
        [&[""], &["Shelf"], &["shelf:"], &["my shelf"], &["1shelf"], &["\u{f6}"], &["memory"]]
    {
        let error = refused(scheme).unwrap();
        let expected = ConfigError::BadScheme { backend: "shelf", scheme: scheme[0] };
        assert_eq!(error, expected, "{scheme:?}");
        assert!(
            error.to_string().starts_with("the backend shelf cannot use the scheme"),
            "{error}"
        );
    }
    assert_eq!(refused(&["shelf", "shelf+http", "s.3-a"]), None);
}

#[test]
fn the_error_about_a_tls_url_without_tls_says_what_to_do() {
    let refused = |queue: &str, notifier: &str| {
        let why = io::Error::other("turn on the feature `ring`");
        let builder = builder().without_tls(why).queue_url(queue).notifier_url(notifier);
        environment().resolve(builder).err().map(|error| error.to_string())
    };
    assert_eq!(
        refused("ironmq://SECRET@a/p", "memory://").unwrap(),
        "the given queue URL: the URL ironmq://... is invalid: turn on the feature `ring`"
    );
    assert_eq!(
        refused("memory://", "rediss://:SECRET@a").unwrap(),
        "the given notifier URL: the URL rediss://... is invalid: turn on the feature `ring`"
    );
    assert_eq!(refused("ironmq+http://SECRET@a/p", "redis://a"), None);
}

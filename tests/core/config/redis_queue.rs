//! Redis as a queue: its URL alone names the notifier too.

use ivy_proto::backend::{NotifierImpl, QueueImpl, UrlProblem};
use ivy_proto::config::{Config, NotifierConfig, QueueConfig};
use ivy_redis::BadPrefix;

use crate::support::{FakeEnvironment, builder, environment, problem, redis_of};

fn on_redis(url: &str) -> FakeEnvironment {
    environment().with("IVY_QUEUE_URL", url)
}

/// Whether queue and notifier are the same sessions, which share their connections.
fn are_shared(config: &Config) -> bool {
    let (Some(QueueConfig::Backend(queue)), Some(NotifierConfig::Backend(notifier))) =
        (&config.queue, &config.notifier)
    else {
        panic!("{config:?}")
    };
    let (QueueImpl::Session(of_queue, _), NotifierImpl::Session(of_notifier)) =
        (queue.implementation(), notifier.implementation())
    else {
        panic!("{config:?}")
    };
    of_queue == of_notifier
}

#[test]
fn the_url_of_the_queue_alone_names_queue_and_notifier_which_share_their_connections() {
    let config = on_redis("redis://host/2?prefix=shop").config().unwrap();
    assert!(are_shared(&config));
    let address = redis_of(config);
    assert_eq!((address.host.as_str(), address.database), ("host", Some(2)));
}

#[test]
fn a_notifier_that_is_named_has_connections_of_its_own() {
    let environment = on_redis("redis://host").with("IVY_NOTIFIER_URL", "redis://other");
    let config = environment.config().unwrap();
    assert!(!are_shared(&config));
    assert_eq!(redis_of(config).host, "other");
}

#[test]
fn the_queue_says_whether_its_connections_are_encrypted() {
    for (url, is_encrypted) in [("redis://host", false), ("rediss://host", true)] {
        let config = on_redis(url).config().unwrap();
        let Some(QueueConfig::Backend(backend)) = &config.queue else { panic!("{config:?}") };
        let QueueImpl::Session(sessions, capabilities) = backend.implementation() else {
            panic!("{url}")
        };
        assert_eq!(sessions.is_secure(), is_encrypted);
        assert_eq!(capabilities.check(), Ok(()));
    }
}

#[test]
fn a_prefix_that_keys_cannot_begin_with_is_refused() {
    for prefix in ["", "{", "a%20b"] {
        let url = format!("redis://host?prefix={prefix}");
        let error = environment().resolve(builder().queue_url(url)).unwrap_err();
        assert_eq!(problem(&error), UrlProblem::backend(BadPrefix), "{prefix}");
    }
}

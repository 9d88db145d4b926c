//! Where servers are, as people are shown it.

use ivy_proto::config::{NotifierConfig, QueueConfig};

use crate::support::environment;

#[test]
fn an_address_is_the_url_without_credentials() {
    let redis = "redis://h:6380/3?prefix=shop";
    for (url, queue, notifier) in [
        ("memory://", "memory://", Some("memory://")),
        ("memory://App", "memory://app", Some("memory://app")),
        ("redis://ada:pw@h:6380/3?prefix=shop", redis, Some(redis)),
        ("rediss://:pw@h", "rediss://h", Some("rediss://h")),
        ("ironmq://t@h/p", "ironmq://h/p", None),
        ("ironmq+http://t@[::1]:8080/a%2F/p", "ironmq+http://[::1]:8080/a%2F/p", None),
    ] {
        let config = environment().with("IVY_QUEUE_URL", url).config().unwrap();
        assert_eq!(config.queue.as_ref().and_then(QueueConfig::address), Some(queue));
        assert_eq!(config.notifier.as_ref().and_then(NotifierConfig::address), notifier);
    }
}

#[test]
fn the_address_of_a_notifier_of_its_own_is_shown() {
    let environment = environment()
        .with("IVY_QUEUE_URL", "ironmq://t@h/p")
        .with("IVY_NOTIFIER_URL", "redis://:pw@other")
        .with("REDIS_DATABASE", "2");
    let notifier = environment.config().unwrap().notifier;
    assert_eq!(notifier.as_ref().and_then(NotifierConfig::address), Some("redis://other/2"));
}

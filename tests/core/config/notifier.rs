//! Notifiers: their URLs, and where they are looked up.

use ivy_core_tests::check_seeds;
use ivy_proto::backend::UrlProblem;
use ivy_proto::config::{ConfigError, NotifierConfig, Origin};
use ivy_proto::{InvalidName, Secret};
use ivy_redis::{BadCredentials, NotADatabase, RedisAddress};

use crate::support::*;

fn redis(url: &str) -> RedisAddress {
    RedisAddress::of(&place(url)).unwrap()
}

fn on_ironmq() -> FakeEnvironment {
    environment().with("IVY_QUEUE_URL", "ironmq://t@h/p")
}

#[test]
fn a_redis_url_names_server_user_and_database() {
    let expected = RedisAddress {
        tls: true,
        host: "redis.example".to_owned(),
        port: 6380,
        user: Some("ada".to_owned()),
        password: Some(Secret::new("pw")),
        database: Some(3),
    };
    assert_eq!(redis("rediss://ada:pw@redis.example:6380/3"), expected);
    let least = redis("redis://localhost");
    assert_eq!((least.tls, least.port, least.database), (false, 6379, None));
    assert_eq!((least.user, least.password), (None, None));
    assert_eq!(redis("redis://[::1]:1/").host, "[::1]");
}

const PASSWORDS: &[(&str, &str)] = &[
    ("redis://:p%40ss:w@host", "p@ss:w"),
    ("redis://:p@ss@host", "p@ss"),
    ("redis://u:%23%2F%3F%25@host", "#/?%"),
    ("redis://u::@host", ":"),
    ("redis://u:p\u{e4}ss@host", "p\u{e4}ss"),
];

const ACCEPTED: &str = "redis://, rediss://, memory://";

fn rows() -> Vec<(&'static str, UrlProblem)> {
    vec![
        ("redis://:p/ss@host", UrlProblem::MisplacedAt),
        ("redis://:p?ss@host", UrlProblem::MisplacedAt),
        ("redis://:p#ss@host", UrlProblem::MisplacedAt),
        ("redis://:100%@host", UrlProblem::Escape),
        ("redis://:@host", UrlProblem::backend(BadCredentials)),
        ("redis://user:@host", UrlProblem::backend(BadCredentials)),
        ("redis://secret@host", UrlProblem::backend(BadCredentials)),
        ("redis://@host", UrlProblem::backend(BadCredentials)),
        ("", UrlProblem::Empty),
        ("localhost:6379", UrlProblem::NoScheme { accepted: ACCEPTED.to_owned() }),
        ("redis:localhost", UrlProblem::NoScheme { accepted: ACCEPTED.to_owned() }),
        ("file:///tmp/redis.sock", UrlProblem::UnknownScheme { accepted: ACCEPTED.to_owned() }),
        ("ironmq://t@h/p", UrlProblem::NotANotifier { accepted: ACCEPTED.to_owned() }),
        ("redis://", UrlProblem::NoHost),
        ("redis:///0", UrlProblem::NoHost),
        ("redis://h:0", UrlProblem::Port),
        ("redis://h:70000", UrlProblem::Port),
        ("redis://h h", UrlProblem::Space),
        ("redis://h/one", UrlProblem::backend(NotADatabase)),
        ("redis://h/-1", UrlProblem::backend(NotADatabase)),
        ("redis://h/+1", UrlProblem::backend(NotADatabase)),
        ("redis://h/0/1", UrlProblem::backend(NotADatabase)),
        ("redis://h/0/", UrlProblem::backend(NotADatabase)),
        ("redis://h/99999999999", UrlProblem::backend(NotADatabase)),
        ("redis://h?db=1", UrlProblem::UnknownKey { known: "prefix".to_owned() }),
        ("redis://h#1", UrlProblem::Fragment),
        ("memory://x/", UrlProblem::NotAMemoryName),
    ]
}

#[test]
fn passwords_are_parsed_correctly_or_refused() {
    for (url, password) in PASSWORDS {
        assert_eq!(redis(url).password.unwrap().expose(), *password, "{url}");
        assert_eq!(redis(url).host, "host", "{url}");
    }
}

#[test]
fn an_invalid_notifier_url_is_refused() {
    for (url, expected) in rows() {
        let error = on_ironmq().resolve(builder().notifier_url(url)).unwrap_err();
        assert_eq!(problem(&error), expected, "{url:?}");
    }
}

#[test]
fn all_these_urls_are_seeds_of_the_fuzz_target() {
    let refused = rows().into_iter().map(|(url, _)| url);
    let urls = PASSWORDS.iter().map(|(url, _)| *url).chain(refused);
    let rows = (0..).zip(urls).map(|(n, url): (u32, _)| (format!("notifier-{n}"), url.into()));
    check_seeds("config_url", rows);
}

#[test]
fn the_notifier_is_looked_up_in_order() {
    let notifier = |environment: &FakeEnvironment| environment.config().unwrap().notifier;
    let host = |environment: &FakeEnvironment| redis_of(environment.config().unwrap()).host;
    assert_eq!(notifier(&on_ironmq()), None);
    let in_memory = environment().with("IVY_QUEUE_URL", "memory://");
    assert_eq!(notifier(&in_memory), Some(NotifierConfig::Memory));
    let original = on_ironmq().with("REDIS_URL", "redis://original");
    assert_eq!(host(&original), "original");
    // Sources that are stronger than a variable of Redis's own clients.
    let beside = in_memory.with("REDIS_URL", "redis://original");
    assert_eq!(notifier(&beside), Some(NotifierConfig::Memory));
    let ours = original.with("IVY_NOTIFIER_URL", "redis://ours");
    assert_eq!(host(&ours), "ours");
    let given = ours.resolve(builder().notifier_url("memory://")).unwrap();
    assert_eq!(given.notifier, Some(NotifierConfig::Memory));
    let given = ours.resolve(builder().notifier(NotifierConfig::Memory)).unwrap();
    assert_eq!(given.notifier, Some(NotifierConfig::Memory));
}

#[test]
fn an_invalid_url_is_not_ignored() {
    let environment = on_ironmq().with("IVY_NOTIFIER_URL", "").with("REDIS_URL", "redis://h");
    let ConfigError::BadUrl { origin, error } = environment.error() else {
        panic!("another error")
    };
    assert_eq!(
        (origin, error.problem()),
        (Origin::Variable("IVY_NOTIFIER_URL"), &UrlProblem::Empty)
    );
}

#[test]
fn the_database_variable_of_the_node_package_applies_if_the_url_names_none() {
    let database = |url: &str| {
        let environment = on_ironmq().with("REDIS_URL", url).with("REDIS_DATABASE", "2");
        redis_of(environment.config().unwrap()).database
    };
    assert_eq!(database("redis://h"), Some(2));
    assert_eq!(database("redis://h/1"), Some(1));
}

#[test]
fn the_channel_is_the_node_packages_unless_another_is_named() {
    let channel =
        |environment: &FakeEnvironment| environment.config().unwrap().channel.as_str().to_owned();
    assert_eq!(channel(&on_ironmq()), "ivy-notifier");
    let named = on_ironmq().with("IVY_NOTIFICATION_CHANNEL_NAME", "mine");
    assert_eq!(channel(&named), "mine");
    let config = named.resolve(builder().channel("given")).unwrap();
    assert_eq!(config.channel.as_str(), "given");
    let error = named.resolve(builder().channel("")).unwrap_err();
    let origin = Origin::Argument("notification channel");
    assert_eq!(error, ConfigError::BadChannel { origin, error: InvalidName::Empty });
    let error = on_ironmq().with("IVY_NOTIFICATION_CHANNEL_NAME", "").error();
    let origin = Origin::Variable("IVY_NOTIFICATION_CHANNEL_NAME");
    assert_eq!(error, ConfigError::BadChannel { origin, error: InvalidName::Empty });
    for name in ["a\0b", "a\r\nb"] {
        assert!(on_ironmq().with("IVY_NOTIFICATION_CHANNEL_NAME", name).config().is_err());
    }
}

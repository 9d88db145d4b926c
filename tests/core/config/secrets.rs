//! No token and no password appears in printed text.

use std::fmt::{Debug, Display};

use ivy_ironmq::{IronMq, IronMqUrl, Token};
use ivy_proto::Secret;
use ivy_proto::config::ConfigError;
use ivy_redis::RedisAddress;

use crate::support::*;

const MARKER: &str = "MarkerSecret9Xq";

fn assert_hidden(shown: &str) {
    assert!(!shown.contains("MarkerSecret"), "{shown}");
}

fn hidden<T: Debug>(value: &T) {
    assert_hidden(&format!("{value:?} {value:#?}"));
}

/// Neither the error nor its sources.
fn hidden_error<E: std::error::Error + Display>(error: &E) {
    hidden(error);
    assert_hidden(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        assert_hidden(&format!("{error} {error:?}"));
        cause = error.source();
    }
}

/// The errors about a URL as a queue and as a notifier.
fn errors(url: &str) -> Vec<ConfigError> {
    let queue = environment().resolve(builder().queue_url(url));
    let notifier = environment().resolve(builder().queue_url("memory://").notifier_url(url));
    [queue, notifier].into_iter().filter_map(Result::err).collect()
}

#[test]
fn a_configuration_hides_its_secrets() {
    let builder = builder()
        .queue_url(format!("ironmq+http://{MARKER}@mq.example/p"))
        .notifier_url(format!("redis://u:{MARKER}@redis.example/0"))
        .encryption_password(Secret::new(MARKER));
    hidden(&builder);
    let config = environment().resolve(builder).unwrap();
    hidden(&config);
    for warning in &config.warnings {
        assert_hidden(&warning.to_string());
    }
    let (address, token) = ironmq(config);
    assert_hidden(&format!("{address} {address:?}"));
    hidden(&IronMq::new(&address, token));
}

#[test]
fn parsed_urls_hide_their_secrets_unless_they_are_exposed() {
    let queue = format!("ironmq://{MARKER}@mq.example/p");
    hidden(&place(&queue));
    assert_eq!(place(&queue).expose(), queue);
    let url = IronMqUrl::of(&place(&queue)).unwrap();
    hidden(&url);
    assert_eq!(url.expose(), queue);
    let notifier = format!("rediss://u:{MARKER}@redis.example/1");
    hidden(&place(&notifier));
    let address = RedisAddress::of(&place(&notifier)).unwrap();
    hidden(&address);
    assert_eq!(address.expose(), notifier);
}

#[test]
fn errors_about_bad_urls_hide_the_secrets_in_them() {
    for before in ["", "u:", "u:a@", ":"] {
        for after in [
            "@h:0/p", "@h/p?x", "@h/p#x", "@h h", "/x@h", "?x@h", "#x@h", "%zz@h", "@[::1", "@",
            " @h/p", "\n@h/p",
        ] {
            for scheme in ["ironmq://", "redis://", "rediss://", "memory://", "nonsense://", ""] {
                let url = format!("{scheme}{before}{MARKER}{after}");
                errors(&url).iter().for_each(hidden_error);
            }
        }
    }
    for url in [
        format!("redis://h?password={MARKER}"),
        format!("ironmq://h/p#{MARKER}"),
        format!("redis://user:{MARKER}"),
        format!("redis://u:p@h/{MARKER}"),
        format!("redis://:{MARKER}"),
        MARKER.to_owned(),
    ] {
        let errors = errors(&url);
        assert_eq!(errors.len(), 2, "{url}");
        errors.iter().for_each(hidden_error);
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_in_no_error() {
    for url in [
        "ironmq://SECRET",
        "ironmq+http://SECRET",
        "ironmq://SECRET:x",
        "ironmq://p@SECRET:x/p",
        "ironmq://SECRET/",
        "ironmq://p@h/SECRET/",
        "ironmq://SECRET?p",
        "redis://SECRET/x",
        "redis://h/SECRET",
        "redis://u:a@SECRET/b@",
        "memory://SECRET",
        "https://SECRET@h/p",
        "https://SECRET",
        "SECRET://h",
        "SECRET",
    ] {
        let url = url.replace("SECRET", MARKER);
        for name in ["IVY_QUEUE_URL", "IVY_NOTIFIER_URL", "REDIS_URL"] {
            let environment =
                environment().with(name, &url).with("IVY_QUEUE_URL", "ironmq://t@h/p");
            if let Err(error) = environment.config() {
                hidden_error(&error);
            }
        }
    }
    for name in [
        "IVY_KEYSET",
        "IVY_NOTIFICATION_CHANNEL_NAME",
        "MESSAGES_ENCRYPTION_KEY",
        "REDIS_DATABASE",
        "IRON_MQ_HOST",
        "IRON_MQ_PORT",
        "IRON_MQ_SCHEME",
        "IRON_MQ_PROJECT_ID",
        "IRON_MQ_TOKEN",
    ] {
        for value in ["SECRET", "SECRET/x", "/x/SECRET==", " SECRET\n", "SECRET\u{1}", "{SECRET"] {
            let environment = environment()
                .with("IVY_QUEUE_URL", "ironmq://")
                .with("REDIS_URL", "redis://h")
                .with(name, &value.replace("SECRET", MARKER));
            if let Err(error) = environment.config() {
                hidden_error(&error);
            }
        }
    }
}

#[test]
fn errors_about_bad_values_hide_them() {
    let bad = format!("{MARKER} with a space");
    hidden_error(&Token::new(&bad).unwrap_err());
    let both = || environment().with("IRON_TOKEN", "t").with("IRON_PROJECT_ID", "p");
    for environment in [
        both().with("IRON_MQ_TOKEN", &bad),
        both().with("IRON_MQ_HOST", &bad),
        both().with("IRON_MQ_PORT", &bad),
        both().with("IRON_MQ_SCHEME", &bad),
        both().with("IRON_MQ_PROJECT_ID", &format!("{MARKER}\n")),
        both().with("REDIS_URL", &bad),
        both().with("REDIS_URL", "redis://h").with("REDIS_DATABASE", &bad),
        both().with("IVY_NOTIFICATION_CHANNEL_NAME", &format!("{MARKER}\n")),
        both().with_file("./iron.json", &format!(r#"{{"token":"{MARKER}""#)),
        environment().with_file("./iron.json", &format!(r#"{{"token":["{MARKER}"]}}"#)),
        environment().with_file("./iron.json", &format!(r#"{{"iron_mq":"{MARKER}"}}"#)),
        environment().with_file("./iron.json", &format!(r#"{{"token":"{MARKER} x"}}"#)),
        environment().with("IRON_MQ_TOKEN", MARKER),
        environment().with("IVY_QUEUE_URL", &format!("ironmq://{MARKER}@h")),
    ] {
        hidden_error(&environment.error());
    }
}

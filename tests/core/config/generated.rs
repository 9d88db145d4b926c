//! Arbitrary URLs and variables.

use ivy_core_tests::fuzz::config_url;
use ivy_ironmq::{IronMqUrl, Scheme, Token};
use ivy_proto::Secret;
use ivy_proto::config::Environment;
use ivy_redis::RedisAddress;
use proptest::option;
use proptest::prelude::*;

use crate::support::{builder, place};

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?(\\.example)?",
        Just("127.0.0.1".to_owned()),
        Just("[::1]".to_owned())
    ]
}

/// Texts that need escaping, without control characters.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof!["[!-~]{1,20}", "[\u{20}-\u{7e}\u{e4}\u{4efb}]{1,20}"]
}

fn queue_url() -> impl Strategy<Value = IronMqUrl> {
    let scheme = prop_oneof![Just(Scheme::Http), Just(Scheme::Https)];
    let token = option::of("[!-~]{1,40}".prop_map(|text| Token::new(&text).unwrap()));
    let server = option::of((host(), 1..=u16::MAX));
    let project = option::of((prop::collection::vec(segment(), 0..3), segment()));
    (scheme, token, server, project).prop_map(|(scheme, token, server, project)| IronMqUrl {
        scheme,
        token,
        server,
        project,
    })
}

fn notifier() -> impl Strategy<Value = RedisAddress> {
    let user = "[^:]{1,10}";
    let credentials = option::of((option::of(user), "\\PC{1,20}"));
    let parts = (any::<bool>(), host(), 1..=u16::MAX, credentials, option::of(any::<u32>()));
    parts.prop_map(|(tls, host, port, credentials, database)| {
        let (user, password) = match credentials {
            Some((user, password)) => (user, Some(Secret::new(password))),
            None => (None, None),
        };
        RedisAddress { tls, host, port, user, password, database }
    })
}

/// Texts that resemble URLs.
fn nearly_url() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(ironmq|ironmq\\+http|redis|rediss|memory)://[a-z:@/?#%&=0-9\\[\\]. ]{0,30}",
        "(ironmq|redis)://(:?[a-z%]{0,4}@)?[a-z\"]{0,5}(:[0-9]{0,6})?(/[a-z0-9%]{0,4}){0,3}",
    ]
}

proptest! {
    #[test]
    fn a_queue_url_round_trips(url in queue_url()) {
        prop_assert_eq!(IronMqUrl::of(&place(&url.expose())), Ok(url));
    }

    #[test]
    fn a_notifier_url_round_trips(notifier in notifier()) {
        prop_assert_eq!(RedisAddress::of(&place(&notifier.expose())), Ok(notifier));
    }

    #[test]
    fn no_text_breaks_a_law(text in nearly_url()) {
        config_url(text.as_bytes());
    }

    #[test]
    fn no_environment_causes_a_panic(values in prop::collection::vec(nearly_url(), 8), file in any::<Vec<u8>>()) {
        // The assignment of texts to variables is arbitrary but fixed.
        let variable = |name: &str| {
            let index = name.bytes().map(usize::from).sum::<usize>() % 12;
            values.get(index).cloned()
        };
        let file = |_: &str| Some(file.clone());
        let _ = builder().resolve(&Environment::new(&variable, &file));
        let given = builder().queue_url(values[0].clone());
        let _ = given.resolve(&Environment::new(&variable, &|_| None));
    }
}

//! The project, in the places where IronMQ's clients look for it.

use ivy_ironmq::{Address, BadConfig, BadToken, InvalidAddress, Scheme};
use ivy_proto::config::{ConfigError, Origin};

use crate::support::*;

fn both() -> FakeEnvironment {
    environment().with("IRON_TOKEN", "t").with("IRON_PROJECT_ID", "p")
}

#[test]
fn token_and_project_are_enough() {
    let (address, token) = both().project();
    let expected = Address::new(Scheme::Https, "mq-aws-us-east-1-1.iron.io", "p").unwrap();
    assert_eq!((address, token.expose()), (expected, "t"));
}

/// Sets each variable in turn, with all weaker ones and a file present: the strongest must be used.
fn assert_order(names: &[&str], read: impl Fn(&FakeEnvironment) -> String) {
    for first in 0..names.len() {
        let file = r#"{"token":"file","project_id":"file"}"#;
        let mut environment = environment().with_file("./iron.json", file);
        for name in &names[first..] {
            environment = environment.with(name, name);
        }
        assert_eq!(read(&environment), names[first]);
    }
}

#[test]
fn each_variable_yields_to_the_ones_before_it() {
    assert_order(&["IRON_MQ_TOKEN", "IRON_TOKEN", "IRONMQ_TOKEN"], |environment| {
        environment.project().1.expose().to_owned()
    });
    let projects = ["IRON_MQ_PROJECT_ID", "IRON_PROJECT_ID", "IRONMQ_PROJECT_ID", "IRONMQ_PROJECT"];
    assert_order(&projects, |environment| environment.project().0.project().to_owned());
}

#[test]
fn variables_win_over_files_and_the_nearer_file_wins() {
    let in_current_folder = r#"{"token":"near"}"#;
    let in_home_folder = r#"{"token":"far","project_id":"far"}"#;
    let environment = environment()
        .with("HOME", "/home/ada")
        .with_file("/home/ada/.iron.json", in_home_folder)
        .with_file("./iron.json", in_current_folder);
    let (address, token) = environment.project();
    assert_eq!((address.project(), token.expose()), ("far", "near"));
    let (_, token) = environment.with("IRONMQ_TOKEN", "variable").project();
    assert_eq!(token.expose(), "variable");
}

#[test]
fn without_a_home_directory_no_file_is_read_from_it() {
    for home in [None, Some("")] {
        let mut environment =
            environment().with_file("/.iron.json", r#"{"token":"t","project_id":"p"}"#);
        if let Some(home) = home {
            environment = environment.with("HOME", home);
        }
        assert!(matches!(environment.error(), ConfigError::NoQueue { .. }));
    }
}

#[test]
fn the_section_iron_mq_of_a_file_wins_over_its_root() {
    let file = r#"{
        "token": "root", "project_id": "root", "host": "root.example",
        "iron_mq": { "token": "mq", "port": 8080, "unknown": [{}] },
        "iron_worker": { "token": "worker" }
    }"#;
    let (address, token) = environment().with_file("./iron.json", file).project();
    assert_eq!(token.expose(), "mq");
    let expected = Address::new(Scheme::Https, "root.example", "root").unwrap();
    assert_eq!(address, expected.with_port(8080).unwrap());
}

#[test]
fn the_scheme_may_be_called_protocol_and_the_port_may_be_a_string() {
    for file in [
        r#"{"token":"t","project_id":"p","scheme":"HTTP","port":"8080"}"#,
        r#"{"token":"t","project_id":"p","protocol":"http","port":8080}"#,
    ] {
        let (address, _) = environment().with_file("./iron.json", file).project();
        assert_eq!((address.scheme(), address.port()), (Scheme::Http, 8080), "{file}");
    }
    for name in ["IRON_MQ_SCHEME", "IRON_MQ_PROTOCOL", "IRON_SCHEME", "IRON_PROTOCOL"] {
        let (address, _) = both().with(name, "http").project();
        assert_eq!((address.scheme(), address.port()), (Scheme::Http, 80), "{name}");
    }
}

#[test]
fn host_and_port_can_be_set() {
    let environment = both().with("IRON_HOST", "localhost").with("IRON_MQ_PORT", "8080");
    let (address, _) = environment.project();
    assert_eq!(address.to_string(), "https://localhost:8080/3/projects/p");
}

#[test]
fn missing_parts_of_a_url_are_looked_up() {
    let environment = both()
        .with("IRON_MQ_HOST", "env.example")
        .with("IRON_MQ_PORT", "1234")
        .with("IRON_MQ_SCHEME", "http");
    for (url, expected_token, expected) in [
        ("ironmq://", "t", "http://env.example:1234/3/projects/p"),
        ("ironmq:///mine", "t", "http://env.example:1234/3/projects/mine"),
        ("ironmq://mine@", "mine", "http://env.example:1234/3/projects/p"),
        ("ironmq+http://", "t", "http://env.example:1234/3/projects/p"),
        // A named server brings its own scheme and port.
        ("ironmq://mine.example", "t", "https://mine.example/3/projects/p"),
        ("ironmq://mine.example:99/a/b", "t", "https://mine.example:99/a/3/projects/b"),
    ] {
        let (address, token) = ironmq(environment.resolve(builder().queue_url(url)).unwrap());
        assert_eq!(
            (address.to_string().as_str(), token.expose()),
            (expected, expected_token),
            "{url}"
        );
    }
}

#[test]
fn a_token_without_a_project_or_a_project_without_a_token_is_an_error() {
    for (environment, expected) in [
        (environment().with("IRON_MQ_TOKEN", "t"), BadConfig::NoProject),
        (environment().with("IRONMQ_PROJECT", "p"), BadConfig::NoToken),
        (environment().with("IVY_QUEUE_URL", "ironmq://"), BadConfig::NoToken),
        (environment().with("IVY_QUEUE_URL", "ironmq://h/p"), BadConfig::NoToken),
        (environment().with("IVY_QUEUE_URL", "ironmq://t@h"), BadConfig::NoProject),
    ] {
        assert_eq!(bad(&environment.error()), expected, "{environment:?}");
        assert!(expected.to_string().contains("IRON_MQ_"), "{expected}");
    }
}

#[test]
fn a_token_may_end_in_one_line_break_and_contain_nothing_invisible() {
    let token = |text: &str| both().with("IRON_MQ_TOKEN", text);
    for text in ["abc", "abc\n", "abc\r\n"] {
        assert_eq!(token(text).project().1.expose(), "abc");
    }
    let long = "x".repeat(10 * 1024);
    for text in ["", " ", "a b", "a\r\nX-Evil: 1", "a\n\n", "t\u{f6}ken", "a\0", long.as_str()] {
        let origin = Origin::Variable("IRON_MQ_TOKEN");
        let error = BadToken { len: text.len() };
        assert_eq!(bad(&token(text).error()), BadConfig::Token { origin, error }, "{text:?}");
    }
}

#[test]
fn an_invalid_part_is_an_error_that_names_its_place() {
    let in_file = |key| Origin::File { path: "./iron.json", key };
    let host = InvalidAddress::Host;
    let cases = [
        (
            both().with("IRON_MQ_HOST", ""),
            ConfigError::backend(BadConfig::Address {
                origin: Origin::Variable("IRON_MQ_HOST"),
                error: host,
            }),
        ),
        (
            both().with("IRON_HOST", "https://mq.example"),
            ConfigError::backend(BadConfig::Address {
                origin: Origin::Variable("IRON_HOST"),
                error: host,
            }),
        ),
        (
            both().with("IRON_MQ_PROJECT_ID", ""),
            ConfigError::backend(BadConfig::Address {
                origin: Origin::Variable("IRON_MQ_PROJECT_ID"),
                error: InvalidAddress::Project,
            }),
        ),
        (
            both().with("IRON_MQ_SCHEME", "ftp"),
            ConfigError::BadValue {
                origin: Origin::Variable("IRON_MQ_SCHEME"),
                expected: "http or https",
            },
        ),
        (
            environment().with_file("./iron.json", r#"{"token":["t"]}"#),
            ConfigError::BadValue { origin: in_file("token"), expected: "a string or number" },
        ),
        (
            environment().with_file("./iron.json", r#"{"iron_mq":{"token":"a b"}}"#),
            ConfigError::backend(BadConfig::Token {
                origin: in_file("token"),
                error: BadToken { len: 3 },
            }),
        ),
        (
            both().with_file("./iron.json", r#"{"port":80.5}"#),
            ConfigError::BadValue { origin: in_file("port"), expected: "a port, 1 to 65535" },
        ),
    ];
    for (environment, expected) in cases {
        assert_eq!(environment.error(), expected, "{environment:?}");
    }
    let error = both().with_file("./iron.json", r#"{"port":0}"#).error();
    assert_eq!(error.to_string(), "\"port\" in ./iron.json: it must be a port, 1 to 65535");
}

#[test]
fn the_error_about_a_file_that_is_no_json_object_contains_its_path() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for content in ["", "null", "[]", "token: t", "{\"token\":\"t\"", "\u{feff}{}", &deep] {
        let error = both().with_file("./iron.json", content).error();
        assert!(error.to_string().starts_with("./iron.json: "), "{error}");
    }
    let error = environment()
        .with("HOME", "/root")
        .with_file("/root/.iron.json", r#"{"iron_mq":1}"#)
        .error();
    assert!(error.to_string().starts_with("~/.iron.json: "), "{error}");
}

#[test]
fn a_complete_url_needs_no_file() {
    let environment = environment().with_file("./iron.json", "broken");
    assert!(environment.resolve(builder().queue_url("ironmq://t@h/p")).is_ok());
}

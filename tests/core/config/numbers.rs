//! Numbers in variables: digits only, so that a typing error cannot become another number.

use ivy_proto::config::{ConfigError, Origin};

use crate::support::*;

const NO_NUMBERS: &[&str] = &[
    "",
    " ",
    "abc",
    "-1",
    "+1",
    "1e3",
    "0x10",
    "10s",
    " 10",
    "10 ",
    "1.5",
    "1_000",
    "\u{0661}",
    "99999999999999999999",
    "NaN",
];

fn refused(name: &'static str, environment: &FakeEnvironment) {
    match environment.error() {
        ConfigError::BadValue { origin, .. } => assert_eq!(origin, Origin::Variable(name)),
        other => panic!("{environment:?}: {other:?}"),
    }
}

#[test]
fn a_port_is_a_number_in_digits() {
    let environment = || environment().with("IRON_TOKEN", "t").with("IRON_PROJECT_ID", "p");
    for name in ["IRON_MQ_PORT", "IRON_PORT"] {
        for text in NO_NUMBERS.iter().chain(&["0", "65536"]) {
            refused(name, &environment().with(name, text));
        }
        assert_eq!(environment().with(name, "65535").project().0.port(), 65535);
    }
}

#[test]
fn a_database_is_a_number_in_digits() {
    let environment =
        || environment().with("IVY_QUEUE_URL", "memory://").with("IVY_NOTIFIER_URL", "redis://h");
    for text in NO_NUMBERS {
        refused("REDIS_DATABASE", &environment().with("REDIS_DATABASE", text));
    }
    assert!(environment().with("REDIS_DATABASE", "0").config().is_ok());
}

//! The encryption password.

use ivy_proto::config::{Config, ConfigError, Origin, Warning};
use ivy_proto::wire::crypto::BodyForm;
use ivy_proto::{QueueName, Secret};

use crate::support::*;

const NAME: &str = "MESSAGES_ENCRYPTION_KEY";

fn on_ironmq() -> FakeEnvironment {
    environment().with("IVY_QUEUE_URL", "ironmq://t@h/p")
}

fn password(config: &Config) -> Option<&str> {
    config.encryption.password().map(Secret::expose)
}

#[test]
fn a_given_password_wins_over_the_variable() {
    assert_eq!(password(&on_ironmq().config().unwrap()), None);
    let environment = on_ironmq().with(NAME, "variable");
    assert_eq!(password(&environment.config().unwrap()), Some("variable"));
    let builder = builder().encryption_password(Secret::new("given"));
    let config = environment.resolve(builder).unwrap();
    assert_eq!(password(&config), Some("given"));
}

#[test]
fn messages_are_encrypted_if_there_is_a_password() {
    let mail = QueueName::new("mail").unwrap();
    let sends =
        |environment: &FakeEnvironment| environment.config().unwrap().codec().unwrap().sends(&mail);
    assert_eq!(sends(&on_ironmq()), BodyForm::Plain);
    assert_eq!(sends(&on_ironmq().with(NAME, "variable")), BodyForm::Legacy);
}

#[test]
fn a_password_is_used_as_it_is_written() {
    for text in [" x ", "x\n", "\u{e4}"] {
        let config = on_ironmq().with(NAME, text).config().unwrap();
        assert_eq!(password(&config), Some(text));
        assert_eq!(config.warnings, []);
    }
}

#[test]
fn a_blank_password_does_not_silently_send_unencrypted() {
    for text in ["", " ", "\n", "\t \r\n", "\u{a0}"] {
        let origin = Origin::Variable(NAME);
        assert_eq!(on_ironmq().with(NAME, text).error(), ConfigError::BlankPassword { origin });
        let given = builder().encryption_password(Secret::new(text));
        let origin = Origin::Argument("encryption password");
        let error = on_ironmq().resolve(given).unwrap_err();
        assert_eq!(error, ConfigError::BlankPassword { origin });
    }
}

#[test]
fn dubious_uses_of_a_password_are_warned_about() {
    let config = on_ironmq().with(NAME, "\u{17e}").config().unwrap();
    assert_eq!(config.warnings, [Warning::LossyPassword]);
    let config = environment().with("IVY_QUEUE_URL", "memory://").with(NAME, "x").config().unwrap();
    assert_eq!(config.warnings, [Warning::NeedlessEncryption]);
}

//! The keyset.

use ivy_proto::QueueName;
use ivy_proto::config::{Config, ConfigError, Origin};
use ivy_proto::wire::crypto::{
    BadKeyset, BodyForm, Encryption, InvalidEncryption, Keyring, Keyset, Policy,
};

use crate::support::*;

const NAME: &str = "IVY_KEYSET";
const PATH: &str = "/etc/ivy/keys.json";

fn json(primary: &str) -> String {
    format!(
        r#"{{"primary":"{primary}","keys":[{{"kid":"a","status":"enabled","secret":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}},{{"kid":"b","status":"enabled","secret":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}}]}}"#
    )
}

fn on_ironmq() -> FakeEnvironment {
    environment().with("IVY_QUEUE_URL", "ironmq://t@h/p")
}

fn primary(config: &Config) -> String {
    config.encryption.keyring().unwrap().current().primary().to_string()
}

fn sends(environment: &FakeEnvironment) -> BodyForm {
    let codec = environment.config().unwrap().codec().unwrap();
    codec.sends(&QueueName::new("mail").unwrap())
}

/// The error about the file at this path, or about the variable itself.
fn bad(path: Option<&str>, error: BadKeyset) -> ConfigError {
    let path = path.map(str::to_owned);
    ConfigError::BadKeyset { origin: Origin::Variable(NAME), path, error }
}

#[test]
fn a_keyset_is_a_file_or_the_json_itself() {
    let in_file = on_ironmq().with(NAME, PATH).with_file(PATH, &json("a"));
    assert_eq!(primary(&in_file.config().unwrap()), "a");
    let itself = on_ironmq().with(NAME, &format!(" {}", json("b")));
    assert_eq!(primary(&itself.config().unwrap()), "b");
    assert_eq!(itself.config().unwrap().keyset_file, None);
}

#[test]
fn a_given_keyring_wins_over_the_variable() {
    let keyring = Keyring::new(Keyset::parse(&json("b")).unwrap());
    let builder = builder().encryption(Encryption::new().with_keyring(keyring));
    let environment = on_ironmq().with(NAME, "not looked at");
    assert_eq!(primary(&environment.resolve(builder).unwrap()), "b");
}

#[test]
fn the_keys_decide_what_is_sent_unless_there_is_a_policy() {
    let keyset = on_ironmq().with(NAME, &json("a"));
    let both = keyset.clone().with("MESSAGES_ENCRYPTION_KEY", "pass");
    assert_eq!(sends(&keyset), BodyForm::V2);
    assert_eq!(sends(&both), BodyForm::Bridge);
    let builder = builder().encryption(Encryption::new().with_policy(Policy::v2()));
    let error = on_ironmq().resolve(builder).unwrap_err();
    let none = InvalidEncryption::NoKeyset { queue: None };
    assert_eq!(error, ConfigError::BadEncryption { error: none });
}

#[test]
fn a_keyset_that_cannot_be_used_is_an_error() {
    let file = |content: &str| on_ironmq().with(NAME, PATH).with_file(PATH, content);
    assert_eq!(on_ironmq().with(NAME, PATH).error(), bad(Some(PATH), BadKeyset::Unreadable));
    assert_eq!(on_ironmq().with(NAME, "").error(), bad(None, BadKeyset::Unreadable));
    assert_eq!(file("{\"keys\":[]}").error(), bad(Some(PATH), BadKeyset::NoPrimary));
    let itself = on_ironmq().with(NAME, "{\"keys\":[]}");
    assert_eq!(itself.error(), bad(None, BadKeyset::NoPrimary));
    let exposed = file(&json("a")).with_mode(PATH, 0o100_644);
    assert_eq!(exposed.error(), bad(Some(PATH), BadKeyset::Exposed { mode: 0o644 }));
    let folder = on_ironmq().with(NAME, PATH).with_mode(PATH, 0o040_755);
    assert_eq!(folder.error(), bad(Some(PATH), BadKeyset::Folder));
    let device = file(&json("a")).with_mode(PATH, 0o020_600);
    assert_eq!(device.error(), bad(Some(PATH), BadKeyset::NotAFile));
    let closed = file(&json("a")).with_mode(PATH, 0o100_600);
    assert_eq!(primary(&closed.config().unwrap()), "a");
}

#[test]
fn an_unknown_field_is_refused_and_the_error_names_its_place() {
    for (misspelt, right) in [("\"primarykey\":", "\"primary\":"), ("\"secrets\":", "\"secret\":")]
    {
        let json = json("a").replacen(right, misspelt, 1);
        let error = on_ironmq().with(NAME, &json).error();
        assert!(matches!(&error, ConfigError::BadKeyset { error: BadKeyset::UnknownField(_), .. }));
        assert!(error.to_string().contains("is it misspelt?"), "{error}");
    }
}

#[test]
fn an_error_names_the_file() {
    for (environment, said) in [
        (on_ironmq().with(NAME, PATH), "cannot be read"),
        (on_ironmq().with(NAME, PATH).with_mode(PATH, 0o040_755), "is a folder"),
        (on_ironmq().with(NAME, PATH).with_file(PATH, "{\"keys\":[]}"), "names no primary key"),
        (on_ironmq().with(NAME, PATH).with_file(PATH, "{"), "must be"),
    ] {
        let text = environment.error().to_string();
        assert!(text.starts_with(&format!("{NAME}: {PATH}: ")) && text.contains(said), "{text}");
    }
}

#[test]
fn a_secret_that_was_set_instead_of_a_path_is_not_shown() {
    for secret in [
        "correct horse",
        "correct/horse",
        "/gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
        "/gICAgICAgICAgICAgICAgIC",
    ] {
        let error = on_ironmq().with(NAME, secret).error();
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}

#[test]
fn a_reload_keeps_the_old_keys_if_the_file_cannot_be_used() {
    let environment = |content: &str| on_ironmq().with(NAME, PATH).with_file(PATH, content);
    let config = environment(&json("a")).config().unwrap();
    let file = config.keyset_file.clone().unwrap();
    let reload =
        |environment: &FakeEnvironment| environment.look_up(|environment| file.reload(environment));
    for broken in [environment("{}"), on_ironmq(), environment(&json("b")).with_mode(PATH, 0o666)] {
        assert!(reload(&broken).is_err());
        assert_eq!(primary(&config), "a");
    }
    reload(&environment(&json("b"))).unwrap();
    assert_eq!(primary(&config), "b");
}

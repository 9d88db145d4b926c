//! What a file may add to a token or a server of a stronger source, and what it may not.

use ivy_ironmq::{BadConfig, Scheme};
use ivy_proto::config::{ConfigError, Origin};

use crate::support::*;

const CURRENT_FOLDER: &str = "./iron.json";
const HOME_FOLDER: &str = "~/.iron.json";
const TOKEN: Origin = Origin::Variable("IRON_MQ_TOKEN");
const HOST: Origin = Origin::Variable("IRON_MQ_HOST");
const ARGUMENT: Origin = Origin::Argument("queue URL");

/// Token and project in the environment, and this file in the current directory.
fn token_beside(file: &str) -> FakeEnvironment {
    environment()
        .with("IRON_MQ_TOKEN", "t")
        .with("IRON_MQ_PROJECT_ID", "p")
        .with_file(CURRENT_FOLDER, file)
}

fn with_home_file(environment: FakeEnvironment, file: &str) -> FakeEnvironment {
    environment.with("HOME", "/home/ada").with_file("/home/ada/.iron.json", file)
}

fn refused(
    path: &'static str,
    key: &'static str,
    (what, stronger): (&'static str, Origin),
    variable: &'static str,
) -> ConfigError {
    let origin = Origin::File { path, key };
    ConfigError::backend(BadConfig::WeakerSource { origin, what, stronger, variable })
}

/// Which server receives the token of a program that gives this URL.
fn server(environment: &FakeEnvironment, url: &str) -> Result<String, ConfigError> {
    let config = environment.resolve(builder().queue_url(url))?;
    Ok(ironmq(config).0.to_string())
}

#[test]
fn a_file_does_not_decide_where_a_token_of_the_environment_goes() {
    let token = ("token", TOKEN);
    for (file, expected) in [
        (r#"{"host":"evil.example"}"#, refused(CURRENT_FOLDER, "host", token, "IRON_MQ_HOST")),
        (
            r#"{"iron_mq":{"host":"evil.example"}}"#,
            refused(CURRENT_FOLDER, "host", token, "IRON_MQ_HOST"),
        ),
        (r#"{"port":8080}"#, refused(CURRENT_FOLDER, "port", token, "IRON_MQ_PORT")),
        (r#"{"scheme":"http"}"#, refused(CURRENT_FOLDER, "scheme", token, "IRON_MQ_SCHEME")),
        (r#"{"protocol":"HTTP"}"#, refused(CURRENT_FOLDER, "protocol", token, "IRON_MQ_SCHEME")),
        // A token in the same file does not count: it is not the one that is sent.
        (
            r#"{"token":"other","project_id":"p","host":"evil.example"}"#,
            refused(CURRENT_FOLDER, "host", token, "IRON_MQ_HOST"),
        ),
    ] {
        assert_eq!(token_beside(file).error(), expected, "{file}");
        let variable = environment()
            .with("IVY_QUEUE_URL", "ironmq://t@/p")
            .with_file(CURRENT_FOLDER, file)
            .error();
        let BadConfig::WeakerSource { stronger, .. } = bad(&variable) else { panic!("{variable}") };
        assert_eq!(stronger, Origin::Variable("IVY_QUEUE_URL"), "{file}");
        let given =
            server(&environment().with_file(CURRENT_FOLDER, file), "ironmq://t@/p").unwrap_err();
        let BadConfig::WeakerSource { stronger, .. } = bad(&given) else { panic!("{given}") };
        assert_eq!(stronger, ARGUMENT, "{file}");
    }
}

#[test]
fn the_error_names_the_ignored_part_and_says_what_to_do() {
    let text = token_beside(r#"{"host":"evil.example"}"#).error().to_string();
    for part in ["\"host\" in ./iron.json", "token of IRON_MQ_TOKEN", "set IRON_MQ_HOST"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("evil"), "{text}");
}

#[test]
fn a_file_in_the_home_directory_does_not_decide_where_a_token_of_the_current_directory_goes() {
    let in_current_folder = r#"{"token":"near","project_id":"p"}"#;
    let environment = with_home_file(
        environment().with_file(CURRENT_FOLDER, in_current_folder),
        r#"{"host":"h.example"}"#,
    );
    let token = ("token", Origin::File { path: CURRENT_FOLDER, key: "token" });
    assert_eq!(environment.error(), refused(HOME_FOLDER, "host", token, "IRON_MQ_HOST"));
}

#[test]
fn a_server_may_have_a_token_of_the_same_or_a_weaker_source() {
    let whole = r#"{"token":"t","project_id":"p","host":"h.example","port":8080,"scheme":"http"}"#;
    let expected = "http://h.example:8080/3/projects/p";
    for environment in [
        environment().with_file(CURRENT_FOLDER, whole),
        with_home_file(environment(), whole),
        with_home_file(
            environment()
                .with_file(CURRENT_FOLDER, r#"{"host":"h.example","port":8080,"scheme":"http"}"#),
            r#"{"token":"t","project_id":"p"}"#,
        ),
        environment()
            .with("IRON_MQ_HOST", "h.example")
            .with("IRON_MQ_PORT", "8080")
            .with("IRON_MQ_SCHEME", "http")
            .with_file(CURRENT_FOLDER, r#"{"token":"t","project_id":"p"}"#),
    ] {
        let (address, token) = environment.project();
        assert_eq!(
            (address.to_string().as_str(), token.expose()),
            (expected, "t"),
            "{environment:?}"
        );
    }
    let (environment, url) =
        (environment().with_file(CURRENT_FOLDER, r#"{"token":"t"}"#), "ironmq+http://h.example/p");
    assert_eq!(server(&environment, url).unwrap(), "http://h.example/3/projects/p");
}

#[test]
fn a_project_may_come_from_a_weaker_source_than_the_token() {
    let environment =
        environment().with("IRON_MQ_TOKEN", "t").with_file(CURRENT_FOLDER, r#"{"project_id":"p"}"#);
    assert_eq!(environment.project().0.project(), "p");
}

#[test]
fn a_file_that_repeats_the_effective_value_is_no_error() {
    let file = r#"{"host":"mq-aws-us-east-1-1.iron.io","port":443,"scheme":"https"}"#;
    let (address, _) = token_beside(file).project();
    assert_eq!(address.to_string(), "https://mq-aws-us-east-1-1.iron.io/3/projects/p");
}

#[test]
fn no_weaker_source_turns_tls_off() {
    let whole = r#"{"token":"t","project_id":"p","host":"h.example","scheme":"http"}"#;
    let environment = environment().with_file(CURRENT_FOLDER, whole);
    let expected = refused(CURRENT_FOLDER, "scheme", ("scheme", ARGUMENT), "IRON_MQ_SCHEME");
    assert_eq!(server(&environment, "ironmq://"), Err(expected));
    assert_eq!(server(&environment, "ironmq+http://").unwrap(), "http://h.example/3/projects/p");
}

#[test]
fn a_host_is_not_combined_with_the_port_and_scheme_of_a_weaker_source() {
    let at_host = || environment().with("IRON_MQ_HOST", "h.example");
    let file = |rest: &str| format!(r#"{{"token":"t","project_id":"p",{rest}}}"#);
    for (rest, key, variable) in [
        (r#""scheme":"http""#, "scheme", "IRON_MQ_SCHEME"),
        (r#""port":8080"#, "port", "IRON_MQ_PORT"),
        (r#""host":"H.example","port":8080"#, "port", "IRON_MQ_PORT"),
    ] {
        let error = at_host().with_file(CURRENT_FOLDER, &file(rest)).error();
        assert_eq!(error, refused(CURRENT_FOLDER, key, ("host", HOST), variable), "{rest}");
    }
}

#[test]
fn port_and_scheme_of_a_file_apply_only_to_the_host_that_it_names() {
    let file = r#"{"token":"t","project_id":"p","host":"localhost","port":8080,"scheme":"http"}"#;
    let (address, _) =
        environment().with("IRON_MQ_HOST", "h.example").with_file(CURRENT_FOLDER, file).project();
    assert_eq!((address.scheme(), address.host().as_str()), (Scheme::Https, "h.example"));
    assert_eq!(address.port(), 443);
}

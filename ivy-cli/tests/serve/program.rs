//! The program: its output and its options.

use std::net::TcpListener;

use crate::server::{PROJECT, Server, TOKEN, ivy};

#[test]
fn it_prints_the_environment_of_a_client() {
    let mut server = Server::start();
    let lines = server.read_until("Ctrl-C stops the server and discards its queues.");
    let exported: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("export ")).collect();
    let port = server.port;
    assert_eq!(
        exported,
        [
            format!("IVY_QUEUE_URL=ironmq+http://{TOKEN}@127.0.0.1:{port}/{PROJECT}"),
            format!("IRON_MQ_TOKEN={TOKEN}"),
            format!("IRON_MQ_PROJECT_ID={PROJECT}"),
            "IRON_MQ_HOST=127.0.0.1".to_owned(),
            format!("IRON_MQ_PORT={port}"),
            "IRON_MQ_SCHEME=http".to_owned(),
            "IRON_MQ_PROTOCOL=http".to_owned(),
        ]
    );
}

/// The output for clients if the token is given in this way.
fn exported(options: &[&str], variable: Option<&str>) -> (Server, Vec<String>) {
    let mut server = Server::start_by(|ivy| {
        ivy.args(options);
        if let Some(token) = variable {
            ivy.env("IVY_SERVE_TOKEN", token);
        }
    });
    let lines = server.read_until("Ctrl-C stops the server and discards its queues.");
    let exported = lines.iter().filter_map(|line| line.strip_prefix("export "));
    let exported = exported.map(str::to_owned).collect();
    (server, exported)
}

#[test]
fn a_token_from_the_environment_or_a_file_is_not_printed() {
    let file = std::env::temp_dir().join(format!("ivy token's {}", std::process::id()));
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let path = file.to_str().unwrap();
    let cat = format!("$(cat '{}')", path.replace('\'', r"'\''"));
    for (options, variable, in_shell) in [
        (&[][..], Some(TOKEN), "$IVY_SERVE_TOKEN"),
        (&["--token-file", path], None, cat.as_str()),
        (&["--token-file", path], Some("weaker"), cat.as_str()),
        (&["--token", TOKEN], Some("weaker"), TOKEN),
    ] {
        let (server, exported) = exported(options, variable);
        assert_eq!(server.get("queues").status(), 200, "{options:?}");
        assert_eq!(exported[1], format!("IRON_MQ_TOKEN={in_shell}"));
        assert!(exported[0].starts_with(&format!("IVY_QUEUE_URL=ironmq+http://{in_shell}@")));
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn the_error_about_an_invalid_token_does_not_show_it() {
    let file = std::env::temp_dir().join(format!("ivy-bad-token-{}", std::process::id()));
    std::fs::write(&file, "secret with spaces").unwrap();
    let path = file.to_str().unwrap();
    let large = std::env::temp_dir().join(format!("ivy-large-token-{}", std::process::id()));
    std::fs::write(&large, "x".repeat(5000)).unwrap();
    for (options, variable, expected) in [
        (&["--token", "secret with spaces"][..], "", "--token"),
        (&["--token-file", path], "", path),
        (&["--token-file", "/nowhere/secret"], "", "cannot read the token in /nowhere/secret"),
        (&["--token-file", large.to_str().unwrap()], "", "too large"),
        (&[], "secret with spaces", "IVY_SERVE_TOKEN"),
        (&[], "", "the token in IVY_SERVE_TOKEN cannot be used: it must not be empty"),
    ] {
        let output =
            ivy().arg("serve").args(options).env("IVY_SERVE_TOKEN", variable).output().unwrap();
        assert!(!output.status.success(), "{options:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected) && !error.contains("with spaces"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&large).unwrap();
}

#[test]
fn its_help_says_who_can_read_the_token() {
    let output = ivy().args(["serve", "--help"]).env("IVY_SERVE_TOKEN", "secret").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("list of processes") && help.contains("IVY_SERVE_TOKEN"), "{help}");
    assert!(
        help.contains("take precedence over the variable") && help.contains("other terminal"),
        "{help}"
    );
    assert!(!help.contains("secret"), "{help}");
}

#[test]
fn the_error_about_a_port_in_use_contains_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = ivy().args(["serve", "--port", &port.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("ivy: cannot listen on 127.0.0.1:{port}: ")), "{error}");
}

#[test]
fn invalid_options_are_refused_with_the_reason() {
    for (option, value, reason) in [
        ("--port", "70000", "70000"),
        ("--project", "a b", "letters, digits"),
        ("--token", "", "must not be empty"),
        ("--bind", "localhost", "IP address"),
        ("--fault", "explode", "drop-reply"),
        ("--fault", "status=503,chance=2", "from 0 to 1"),
    ] {
        let output = ivy().args(["serve", option, value]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{option} {value}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(reason), "{option} {value}: {error}");
    }
}

#[test]
fn its_help_explains_every_fault() {
    let output = ivy().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for fault in [
        "status=CODE",
        "drop-reply",
        "partial-reply",
        "empty-reply",
        "null-messages",
        "slow,delay=D",
    ] {
        assert!(help.contains(fault), "{fault}");
    }
}

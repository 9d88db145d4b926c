//! The program: what it prints, and what it refuses.

use std::net::TcpListener;

use crate::server::{PROJECT, Server, TOKEN, ivy};

#[test]
fn it_prints_what_a_client_needs_in_its_environment() {
    let mut server = Server::start();
    let lines = server.read_until("Ctrl-C ends the server, and all its queues with it.");
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

#[test]
fn a_port_that_is_taken_is_an_error_with_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = ivy().args(["serve", "--port", &port.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("ivy: cannot listen on 127.0.0.1:{port}: ")), "{error}");
}

#[test]
fn options_that_make_no_sense_are_refused_with_the_reason() {
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

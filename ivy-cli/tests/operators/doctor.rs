//! `doctor`: the checks of a configuration.

use ivy_test_kit::ClosedPort;
use ivy_test_kit::secrets::{ENCRYPTION_PASSWORD, QUEUE_TOKEN};
use serde_json::Value;

use crate::backend::{Ended, lines, on_each, program, task};

/// The state of each check.
fn states(lines: &[Value]) -> Vec<(&str, &str)> {
    lines
        .iter()
        .map(|line| (line["check"].as_str().unwrap(), line["state"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_configuration_passes_all_checks() {
    on_each(async |backend| {
        backend.post("mail", &[&task("mail.send", "")]).await;
        let mut command = backend.command(&["doctor", "--write", "--json"]);
        command.env("MESSAGES_ENCRYPTION_KEY", ENCRYPTION_PASSWORD.text());
        let ended = Ended::of(command);
        let lines = lines(&ended.stdout);
        let expected = [
            ("queue_setting", "ok"),
            ("notifier_setting", "ok"),
            ("channel_setting", "ok"),
            ("keys", "ok"),
            ("queue_server", "ok"),
            ("queue", "ok"),
            ("server_clock", "ok"),
            ("queue_settings", "ok"),
            ("contents", "warning"),
            // The server of these tests stores nothing.
            ("server_settings", if backend.name == "redis" { "warning" } else { "ok" }),
            ("writing", "ok"),
            ("notifier", "ok"),
            ("workers", "not_checked"),
        ];
        assert_eq!((ended.code, states(&lines)), (0, expected.to_vec()), "{}", ended.stdout);
        assert!(ended.stdout.contains("IVY_QUEUE_URL") && ended.stdout.contains("a password"));
        let setting = |line: &Value| line["text"].as_str().unwrap().to_owned();
        let scheme = if backend.name == "redis" { "redis" } else { "ironmq+http" };
        assert!(setting(&lines[0]).starts_with(&format!("{scheme}://127.0.0.1:")), "{lines:?}");
        assert!(setting(&lines[1]).starts_with("redis://127.0.0.1:"), "{lines:?}");
        backend.refused(&["queue", "show", "ivy.doctor"], 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_unless_it_is_requested() {
    on_each(async |backend| {
        assert!(states(&backend.json(&["doctor"])).contains(&("writing", "not_checked")));
        assert_eq!(backend.json(&["ls"]).len(), 0);
        assert!(backend.done(&["doctor"]).contains("give --write to check it"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_that_were_not_read_are_not_ok() {
    on_each(async |backend| {
        backend.post("mail", &[&task("mail.send", "")]).await;
        backend.reserve("mail", 1).await;
        let lines = backend.json(&["doctor", "mail"]);
        assert!(states(&lines).contains(&("contents", "not_checked")), "{lines:?}");
        let printed = backend.done(&["doctor", "mail"]);
        assert!(printed.contains("none of the 1 messages is ready"), "{printed}");
        backend.done(&["clear", "mail", "--yes"]);
        assert!(backend.done(&["doctor", "mail"]).contains("queue mail is empty"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_does_not_exist_is_not_found() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        let ended = backend.run(&["doctor", "mial"]);
        assert_eq!(ended.code, 3, "{ended:?}");
        assert!(ended.stdout.contains("no queue mial; did you mean mail?"), "{ended:?}");
        assert!(backend.done(&["doctor"]).contains("mail has 1 message\n"));
    })
    .await;
}

#[test]
fn servers_that_are_down_are_wrong() {
    let port = ClosedPort::take();
    let url = format!("redis://:{}@127.0.0.1:{}", QUEUE_TOKEN.text(), port.number());
    let ended = Ended::of(program(&["doctor", "--queue-url", &url, "--json"]));
    let lines = lines(&ended.stdout);
    let states = states(&lines);
    assert!(states.contains(&("queue_server", "wrong")), "{states:?}");
    assert!(states.contains(&("notifier", "wrong")), "{states:?}");
    assert_eq!(ended.code, 1);
}

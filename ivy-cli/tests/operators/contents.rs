//! `peek`, `show`, `dead show` and `explain`: what is shown of messages, and what is not.

use ivy_proto::text::is_plain;
use ivy_proto::wire::DeadLetterReason::Fatal;
use ivy_test_kit::secrets::{ARGUMENT, KEYSET_SECRET};
use serde_json::json;

use crate::backend::{Backend, Ended, lines, on_each, task};

/// The output of a command that shows arguments.
fn shown(backend: &Backend, args: &[&str]) -> String {
    let ended = Ended::with_arguments_shown(&backend.command(args).output().unwrap());
    assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    ended.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_shown_without_their_arguments() {
    on_each(async |backend| {
        let ids = backend.post("mail", &[&task("mail.send", r#","attempt":2,"due":5"#)]).await;
        backend.golden("peek", &["peek", "mail"]);
        backend.golden("show", &["show", "mail", ids[0].as_str()]);
        let table = backend.done(&["peek", "mail"]);
        assert!(table.contains("mail.send") && table.contains("2 values, 80 bytes"), "{table}");
        let page = backend.done(&["show", "mail", ids[0].as_str()]);
        assert!(page.contains("attempt    2 of 4\n"), "{page}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_shown_on_request_and_masked() {
    on_each(async |backend| {
        let ids = backend.post("mail", &[&task("mail.send", "")]).await;
        let args = ["peek", "mail", "--show-args", "--json"];
        let expected = json!([ARGUMENT.text(), { "password": ARGUMENT.text() }]);
        assert_eq!(lines(&shown(backend, &args))[0]["task"]["args"], expected);

        let args =
            ["show", "mail", ids[0].as_str(), "--full", "--redact", "token,password", "--json"];
        let expected = json!([ARGUMENT.text(), { "password": "***" }]);
        assert_eq!(lines(&shown(backend, &args))[0]["task"]["args"], expected);

        let args = ["show", "mail", ids[0].as_str(), "--raw", "--json"];
        let body = &lines(&shown(backend, &args))[0]["body"];
        assert_eq!(body.as_str().unwrap(), task("mail.send", ""));
        // A mask hides nothing if no arguments are requested.
        backend.done(&["peek", "mail", "--redact", "password"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_arguments_are_truncated_unless_all_are_requested() {
    on_each(async |backend| {
        let body = format!(r#"{{"name":"t","options":{{}},"args":["{}"]}}"#, "x".repeat(200_000));
        backend.post("mail", &[&body]).await;
        let short = lines(&shown(backend, &["peek", "mail", "--show-args", "--json"]));
        assert_eq!(short[0]["task"]["args_beginning"].as_str().unwrap().len(), 2048);
        let full = lines(&shown(backend, &["peek", "mail", "--full", "--json"]));
        assert_eq!(full[0]["task"]["args"][0].as_str().unwrap().len(), 200_000);
        assert_eq!(backend.json(&["peek", "mail"])[0]["task"]["args_bytes"], 200_004);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_shown_safely() {
    let deep = format!(
        r#"{{"name":"t","options":{{}},"args":[{}1{}]}}"#,
        "[".repeat(128),
        "]".repeat(128)
    );
    let control = "{\"name\":\"t\",\"options\":{},\"args\":[\"\u{9b}31m\u{202e}\u{1b}[2J\"]}";
    let bodies = [
        "\u{1b}[31mred\u{7}\u{9b}",
        control,
        &deep,
        r#"{"name":"t","options":{"ivy":{"v":2,"id":"x"}},"args":[]}"#,
        "$mp1$kw",
        "$ivy3$k1$AAAA",
        r#"{"name":"t\u001b[2J","options":{},"args":[]}"#,
        &"x".repeat(256 * 1024),
        "[1]",
    ];
    on_each(async |backend| {
        let ids = backend.post("mail", &bodies[..7]).await;
        backend.post("mail", &bodies[7..]).await;
        let reasons: Vec<_> = backend
            .json(&["peek", "mail", "-n", "100"])
            .iter()
            .map(|line| line["unreadable"]["reason"].as_str().map(str::to_owned))
            .collect();
        let expected = [
            Some("BadJson"),
            Some("BadJson"),
            Some("TooDeep"),
            Some("UnsupportedVersion"),
            Some("UnsupportedFormat"),
            Some("UnsupportedVersion"),
            Some("BadName"),
            Some("BadJson"),
            Some("NotAnObject"),
        ];
        assert_eq!(reasons, expected.map(|reason| reason.map(str::to_owned)), "{}", backend.name);
        for args in [
            &["peek", "mail", "-n", "100"][..],
            &["peek", "mail", "-n", "100", "--raw"],
            &["peek", "mail", "-n", "100", "--raw", "--json"],
            &["show", "mail", ids[0].as_str(), "--raw"],
            &["explain", "mail", ids[2].as_str()],
        ] {
            let printed = backend.done(args);
            let is_safe = |character: char| character == '\n' || is_plain(character);
            assert!(printed.chars().all(is_safe), "{args:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_messages_are_opened_with_the_keyset_and_else_name_their_key() {
    let folder = std::env::temp_dir().join(format!("ivy-operators-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    on_each(async |backend| {
        let file = folder.join(format!("{}.json", backend.name));
        let file = file.to_str().unwrap();
        backend.done(&["keys", "new", file, "--kid", "k1"]);
        let sent = backend.json(&["send", "mail.send", "[1]", "--queue", "mail", "--keyset", file]);
        let message = sent[0]["message"].as_str().unwrap();

        backend.golden("show-sealed", &["show", "mail", message]);
        assert!(backend.done(&["peek", "mail"]).contains("encrypted with k1"));
        let opened = backend.json(&["peek", "mail", "--keyset", file]);
        assert_eq!(opened[0]["task"]["name"], "mail.send");
        assert_eq!((&opened[0]["form"], &opened[0]["key"]), (&json!("v2"), &json!("k1")));
        let explained = backend.done(&["explain", "mail", message]);
        assert!(explained.contains("with a keyset that contains the key k1"), "{explained}");
    })
    .await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_given_as_json_is_not_shown() {
    on_each(async |backend| {
        let mut command = backend.command(&["peek", "mail"]);
        command.env("IVY_KEYSET", KEYSET_SECRET.text());
        let ended = Ended::of(command);
        assert_eq!(ended.code, 2, "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_shown_with_its_error() {
    on_each(async |backend| {
        let ids = backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
        let id = ids[0].as_str();
        backend.golden("dead-show", &["dead", "show", "mail", id]);
        let page = backend.done(&["dead", "show", "mail.dead", id]);
        assert!(page.contains(r"out of\nluck") && page.contains("reason      Fatal\n"), "{page}");
        let list = backend.json(&["dead", "ls", "mail", "--list", "--no-errors"]);
        assert_eq!(list[0]["dead_letter"]["error"], json!(null));
        let list = backend.json(&["dead", "ls", "mail", "--list"]);
        assert_eq!(list[0]["dead_letter"]["error"], "out of\nluck");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_explained_by_where_it_is() {
    on_each(async |backend| {
        let ids = backend.post("mail", &[&task("mail.send", ""), &task("mail.send", "")]).await;
        let id = ids[1].as_str();
        backend.golden_with_id("explain-ready", &["explain", "mail", id], id);

        let sent = backend.json(&["send", "mail.send", "[1]", "--queue", "mail", "--delay", "1h"]);
        let delayed = backend.done(&["explain", "mail", sent[0]["message"].as_str().unwrap()]);
        assert!(delayed.contains("probably it is delayed"), "{delayed}");

        let letters = backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
        let dead = backend.done(&["explain", "mail.dead", letters[0].as_str()]);
        assert!(
            dead.contains("next: when the cause is fixed: ivy dead requeue mail.dead"),
            "{dead}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_its_task() {
    on_each(async |backend| {
        let sent = backend.json(&["send", "mail.send", "[1]", "--queue", "mail"]);
        let task = sent[0]["task_id"].as_str().unwrap();
        let explained = backend.done(&["explain", "mail", "--task", task]);
        assert!(explained.contains(task) && explained.contains("it is ready: number 1"));
        let unknown = "AAAAAAAAAAAAAAAAAAAAAA";
        let error = backend.refused(&["explain", "mail", "--task", unknown], 3);
        let expected = "is not among the first 1 ready of 1 message of queue mail, and not among";
        assert!(error.contains(expected), "{error}");
    })
    .await;
}

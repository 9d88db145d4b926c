//! Refusals, and what is said about them.

use ivy_test_kit::ClosedPort;
use ivy_test_kit::secrets::QUEUE_TOKEN;
use serde_json::json;

use crate::backend::{Ended, lines, on_each, program, task};

#[test]
fn a_keyset_in_place_of_its_file_is_refused_and_not_shown() {
    let keyset = r#" {"primary":"k1","keys":[{"kid":"k1","secret":"Unseen"}]}"#;
    let ended = Ended::of(program(&["ls", "--keyset", keyset]));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("IVY_KEYSET") && !ended.stderr.contains("Unseen"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_does_not_exist_is_answered_with_the_nearest_name() {
    on_each(async |backend| {
        backend.post("reports", &[&task("t", "")]).await;
        for args in [
            &["peek", "report"][..],
            &["show", "report", "1"],
            &["explain", "report", "1"],
            &["stats", "report"],
            &["clear", "report", "--yes"],
            &["queue", "show", "report"],
            &["queue", "delete", "report", "--yes"],
            &["dead", "ls", "report"],
        ] {
            let error = backend.refused(args, 3);
            let expected = "there is no queue report; did you mean reports?";
            assert!(error.contains(expected), "{args:?} on {}: {error}", backend.name);
        }
        let error = backend.refused(&["peek", "reports.dead.dead"], 3);
        let expected = "reports.dead is a dead-letter queue, which has none of its own";
        assert!(error.contains(expected), "{error}");
        let error = backend.refused(&["ls", "report"], 3);
        assert!(error.contains("no queue matches report"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_does_not_exist_is_not_found() {
    on_each(async |backend| {
        backend.post("mail", &[&task("t", "")]).await;
        for args in [&["show", "mail", "12345"][..], &["explain", "mail", "12345"]] {
            let error = backend.refused(args, 3);
            let expected =
                "the message is not in queue mail: it was done or deleted, or is in another";
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        backend.refused(&["dead", "show", "mail", "12345"], 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_json_lines_on_request() {
    on_each(async |backend| {
        let ended = backend.run(&["show", "mail", "1", "--json"]);
        let error = &lines(&ended.stderr)[0];
        assert_eq!((&error["v"], &error["error"]["kind"]), (&json!(1), &json!("nothing_found")));
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    })
    .await;
}

#[test]
fn usage_errors_have_an_exit_code_of_their_own() {
    for args in [
        &["peek"][..],
        &["peek", "mail", "-n", "0"],
        &["peek", "mail", "-n", "101"],
        &["peek", ""],
        &["send", "t", "{}", "--queue-url", "redis://127.0.0.1:1"],
        &["send", "ivy.t", "[]", "--queue-url", "redis://127.0.0.1:1"],
        &["send", "t", "[]", "--delay", "5", "--queue-url", "redis://127.0.0.1:1"],
        &["send", "t", "--args-file", "/does/not/exist", "--queue-url", "redis://127.0.0.1:1"],
        &["dead", "import", "/does/not/exist", "--queue-url", "redis://127.0.0.1:1"],
        &["dead", "requeue", "mail", "--rate", "5", "--queue-url", "redis://127.0.0.1:1"],
        &["dead", "ls", "--follow", "--all", "--queue-url", "redis://127.0.0.1:1"],
        &["ls", "--sort", "age", "--queue-url", "redis://127.0.0.1:1"],
        &["ls", "--sort", "beauty"],
        &["ls", "--queue-url", "nonsense"],
        &["ls"],
        &["ls", "--watch=soon", "--queue-url", "redis://127.0.0.1:1"],
    ] {
        let ended = Ended::of(program(args));
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_wrong_argument_is_repeated_without_its_control_characters() {
    let ended = Ended::of(program(&["peek", "mail", "--nonsense\u{1b}[2J\u{202e}"]));
    assert_eq!(ended.code, 2);
    let is_safe = |character: char| character == '\n' || ivy_proto::text::is_plain(character);
    assert!(ended.stderr.contains("--nonsense") && ended.stderr.chars().all(is_safe), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_dead_letters_is_not_confused_with_another_one() {
    on_each(async |backend| {
        backend.post("c", &["1"]).await;
        backend.post("d.dead", &["1"]).await;
        let error = backend.refused(&["dead", "requeue", "c", "--yes"], 3);
        assert!(error.contains("queue c has no dead letters"), "{error}");
        let error = backend.refused(&["dead", "requeue", "e", "--yes"], 3);
        assert!(error.contains("no queue e") && !error.contains("did you mean"), "{error}");
    })
    .await;
}

#[test]
fn a_queue_in_memory_is_refused() {
    let mut command = program(&["ls"]);
    command.env("IVY_QUEUE_URL", "memory://");
    let ended = Ended::of(command);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("private to the process"), "{ended:?}");
    assert_eq!(Ended::of(program(&["ls", "--queue-url", "memory://"])).code, 2);
}

#[test]
fn a_server_that_is_down_is_reported_without_its_token() {
    let port = ClosedPort::take();
    let port = port.number();
    let token = QUEUE_TOKEN.text();
    for url in [
        format!("ironmq+http://{token}@127.0.0.1:{port}/5f0c2a8e9b1d4c7e8a6f0b3d"),
        format!("redis://:{token}@127.0.0.1:{port}"),
    ] {
        for args in [
            &["ls"][..],
            &["stats"],
            &["peek", "mail"],
            &["show", "mail", "123456789012345678"],
            &["explain", "mail", "123456789012345678"],
            &["dead", "ls"],
            &["clear", "mail", "--yes"],
            &["queue", "create", "mail"],
        ] {
            let ended = Ended::of(program(&[args, &["--queue-url", &url]].concat()));
            assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{args:?}: {ended:?}");
            let address = format!("127.0.0.1:{port}");
            assert!(ended.stderr.contains(&address), "{args:?}: {ended:?}");
        }
    }
}

#[test]
fn a_wrong_url_is_refused_without_repeating_its_secret() {
    let url = format!("ironmq://{}@", QUEUE_TOKEN.text());
    let ended = Ended::of(program(&["ls", "--queue-url", &url, "--json"]));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_eq!(lines(&ended.stderr)[0]["error"]["kind"], "wrong_call");
}

//! What is said about dead letters: counts, copies, what was not looked at, and what cannot be read.

use ivy_proto::queue::Body;
use ivy_proto::wire::DeadLetter;
use ivy_proto::wire::DeadLetterReason::{BadJson, Fatal, RetriesExhausted};
use ivy_proto::{MessageId, QueueName};
use ivy_test_kit::{FaultyProxy, ProxyFault, RequestKind};

use crate::backend::{Backend, Ended, lines, on_each, task};

const SEALED: &str = "$ivy2$k1$AAAA";

/// A file of the temporary folder.
fn file(name: &str) -> String {
    let path = std::env::temp_dir().join(format!("ivy-letters-{name}-{}", std::process::id()));
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_the_letters_of_a_file_that_was_imported_twice() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal); 10]).await;
        let file = file("twice");
        backend.done(&["dead", "export", "mail", &file]);
        backend.done(&["dead", "import", &file]);
        std::fs::remove_file(&file).unwrap();
        let exported = backend.run(&["dead", "export", "mail", "-"]);
        assert_eq!(lines(&exported.stdout).len(), 10, "{exported:?}");
        let text = "10 letters were not written, because they are copies of ones that were: 1 of ";
        assert!(exported.stderr.contains(text), "{exported:?}");
        backend.dead_letter(&[(task("mail.check", "").as_str(), Fatal); 5]).await;

        let delete = ["dead", "delete", "mail", "--task", "mail.send"];
        let plan = backend.done(&[&delete[..], &["--dry-run"]].concat());
        assert!(plan.starts_with("delete 20 of 25 messages of mail.dead\n"), "{plan}");
        assert!(plan.contains("10 of them are copies of the same 10\n"), "{plan}");
        assert!(plan.contains("20 of task mail.send\n"), "{plan}");
        let requeue = ["dead", "requeue", "mail", "--task", "mail.send", "--dry-run"];
        let plan = backend.done(&requeue);
        assert!(plan.contains("10 of them are copies: 10 are posted, and all copies"), "{plan}");
        let record = &backend.json(&requeue)[0]["plan"];
        assert_eq!(
            (&record["processed"], &record["processed_with_copies"]),
            (&10.into(), &20.into())
        );

        let report = &backend.json(&[&delete[..], &["--yes"]].concat())[1]["report"];
        assert_eq!(report["deleted"], 20);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_why_letters_were_dead_lettered_and_why_some_stay() {
    on_each(async |backend| {
        let send = task("mail.send", "");
        let letters =
            [(send.as_str(), Fatal), (&send, RetriesExhausted), ("<html>", BadJson), ("", BadJson)];
        backend.dead_letter(&letters).await;
        let plan = backend.done(&["dead", "delete", "mail", "--task", "mail.*", "--dry-run"]);
        assert!(plan.contains("  1 for the reason RetriesExhausted\n"), "{plan}");
        let ended = backend.run(&["dead", "requeue", "mail", "--dry-run"]);
        let expected = "1 stay in the queue, each because its body cannot be read here (BadJson)";
        assert!(ended.stdout.contains(expected), "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_move_from_a_live_queue_says_that_nothing_was_looked_at() {
    on_each(async |backend| {
        backend.post("live", &[&task("mail.send", "")]).await;
        for args in [
            &["move", "live", "other", "--dry-run"][..],
            &["move", "live", "other", "--dry-run", "--yes"],
        ] {
            let plan = backend.done(args);
            assert!(plan.contains("so none was looked at\n"), "{plan}");
        }
        assert_eq!(backend.json(&["ls", "live"])[0]["size"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_cannot_be_read_are_not_hidden_by_a_filter() {
    on_each(async |backend| {
        backend.post("mail.dead", &[SEALED, SEALED]).await;
        let expected = "2 of 2 messages of mail.dead could not be read, so were not compared";
        for filter in
            [["--task", "x"], ["--reason", "Fatal"], ["--since", "1h"], ["--attempts", "3"]]
        {
            let shown = backend.done(&[&["dead", "ls", "mail"][..], &filter].concat());
            assert!(shown.starts_with("no dead letter matches, of 2 dead letters"), "{shown}");
            assert!(shown.contains(expected), "{filter:?}: {shown}");
            for command in ["requeue", "delete"] {
                let args = [&["dead", command, "mail", "--yes"][..], &filter].concat();
                let error = backend.refused(&args, 3);
                assert!(error.contains(expected), "{args:?}: {error}");
                let ended = backend.run(&[&args[..], &["--json"]].concat());
                let obstacles = lines(&ended.stdout)[0]["plan"]["obstacles"].clone();
                let count: Vec<_> = obstacles.as_object().unwrap().values().collect();
                assert_eq!(count, [2], "{obstacles}");
            }
            let args = [&["dead", "export", "mail", "-"][..], &filter].concat();
            let error = backend.refused(&args, 3);
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        let groups = backend.json(&["dead", "ls", "mail"]);
        assert_eq!((&groups[0]["key"], &groups[0]["count"]), (&"k1".into(), &2.into()));
        assert!(backend.done(&["dead", "ls", "mail"]).contains("(encrypted with k1)"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_dead_letters_only_if_there_are_none() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal); 7]).await;
        let shown = backend.done(&["dead", "ls", "mail", "--task", "other"]);
        assert_eq!(shown, "no dead letter matches, of 7 dead letters that were looked at\n");
        let shown = backend.done(&["dead", "ls", "mail", "--task", "other", "--limit", "5"]);
        assert!(shown.starts_with("no dead letter matches, of 5 dead letters"), "{shown}");
        assert!(shown.contains("5 of 7 messages of mail.dead were looked at, as --limit says"));
        let error = backend.refused(&["dead", "requeue", "mail", "--task", "other", "--yes"], 3);
        assert!(error.contains("no message matches, of 7 messages of mail.dead"), "{error}");

        backend.reserve("mail.dead", 7).await;
        for (args, code) in
            [(&["dead", "ls", "mail"][..], 0), (&["dead", "ls", "mail", "--all"], 8)]
        {
            let ended = backend.run(args);
            assert_eq!(ended.code, code, "{args:?}: {ended:?}");
            assert!(ended.stdout.starts_with("no dead letter was looked at\n7 "), "{ended:?}");
        }
        let ended = backend.run(&["dead", "ls", "mail", "--all"]);
        assert!(ended.stdout.contains("return at most two minutes after its end"), "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_when_letters_were_dead_lettered_and_a_pattern_selects_queues() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
        backend.post("sms.dead", &["x"]).await;
        let list = backend.done(&["dead", "ls", "mail", "--list"]);
        assert!(list.contains("DEAD SINCE") && list.contains("2023-11-14 22:13:20"), "{list}");
        for pattern in ["mail*", "mail.d?ad", "m*"] {
            let groups = backend.json(&["dead", "ls", pattern]);
            assert_eq!((groups.len(), &groups[0]["queue"]), (1, &"mail.dead".into()), "{pattern}");
        }
        let error = backend.refused(&["dead", "ls", "x*"], 3);
        assert!(error.contains("no dead-letter queue matches"), "{error}");
        let error = backend.refused(&["dead", "ls", "--reason", "fatal"], 2);
        assert!(error.contains("the reasons are EmptyBody, BadJson"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_behind_a_bad_queue_are_shown() {
    let backend = Backend::redis().await;
    backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
    backend.post("bad.dead", &["x"]).await;
    backend.redis_of_others().overwrite("bad.dead").await;
    for args in [&["dead", "ls"][..], &["dead", "ls", "--all"]] {
        let ended = backend.run(args);
        assert_eq!(ended.code, 8, "{args:?}: {ended:?}");
        assert!(ended.stdout.contains("mail.dead  mail.send"), "{args:?}: {ended:?}");
        assert!(ended.stdout.contains("bad.dead"), "{args:?}: {ended:?}");
    }
}

/// The letter of a task of `mail` with this id.
fn letter(number: u8) -> String {
    let id = ivy_proto::TaskId::from_random([number; 16]);
    format!(r#"{{"name":"mail.send","options":{{"ivy":{{"v":1,"id":"{id}"}}}},"args":[]}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_may_have_been_requeued_are_found_by_their_tasks() {
    let backend = Backend::ironmq().await;
    let bodies = [letter(1), letter(2), letter(3)];
    backend.dead_letter(&bodies.each_ref().map(|body| (body.as_str(), Fatal))).await;
    let proxy = FaultyProxy::start(backend.ironmq_server().port()).await;
    proxy.inject(RequestKind::Post, 1, ProxyFault::LoseResponse);
    let url = backend.ironmq_server().url_at(proxy.port());
    let ended = backend.run(&["dead", "requeue", "mail", "--yes", "--queue-url", &url]);
    assert_eq!(ended.code, 8, "{ended:?}");
    // One line says what happened and what to do; then come the letters.
    assert_eq!(ended.stdout.matches("may have been requeued").count(), 1, "{ended:?}");
    assert!(ended.stdout.contains("ivy explain mail --task=ID"), "{ended:?}");
    let id = ivy_proto::TaskId::from_random([2; 16]).to_string();
    assert!(ended.stdout.contains(&format!(", task mail.send, task id {id}\n")), "{ended:?}");
    assert!(ended.stdout.contains("queue mail.dead: done in part: "), "{ended:?}");

    // It was posted.
    let task = format!("--task={id}");
    let explained = backend.done(&["explain", "mail", &task]);
    assert!(explained.starts_with("message ") && explained.contains("it is ready"), "{explained}");
    assert!(explained.contains("of mail.dead as well: it was requeued"), "{explained}");
    assert!(explained.contains("to discard the letter: ivy dead delete mail --id "), "{explained}");

    // It was not.
    backend.reserve("mail", 3).await;
    let explained = backend.done(&["explain", "mail", &task]);
    assert!(explained.contains("it is a dead letter"), "{explained}");
    assert!(explained.contains("it is not among the first 0 ready of 3 messages of queue mail"));
    assert!(explained.contains("next: before you requeue it"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_larger_than_redis_returns_are_released_and_reported() {
    let backend = Backend::redis().await;
    backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
    let large = ["large-message-0000", "0100", &"x".repeat(1 << 20)].concat();
    backend.redis_of_others().push("mail.dead", large.as_bytes()).await;
    backend.redis_of_others().push("mail.dead", &vec![b'x'; (1 << 20) + 1]).await;
    let expected = "2 of 3 messages of mail.dead are larger than 1 MiB";
    let in_part = |args: &[&str]| {
        let ended = backend.run(args);
        assert_eq!(ended.code, 8, "{args:?}: {ended:?}");
        ended
    };
    for _ in 0..2 {
        let shown = in_part(&["dead", "ls", "mail", "--all"]).stdout;
        assert!(shown.contains("mail.send") && shown.contains(expected), "{shown}");
        assert!(shown.contains("ivy dead delete mail.dead --too-large"), "{shown}");
    }
    let file = file("large");
    let ended = in_part(&["dead", "export", "mail", &file]);
    assert!(ended.stderr.contains(expected), "{ended:?}");
    std::fs::remove_file(&file).unwrap();
    let planned = backend.done(&["dead", "delete", "mail", "--too-large", "--dry-run"]);
    assert!(planned.starts_with("delete 2 of 3 messages of mail.dead\n"), "{planned}");
    let done = backend.done(&["dead", "delete", "mail", "--too-large", "--yes"]);
    assert!(done.contains("2 deleted"), "{done}");
    assert_eq!(backend.redis_of_others().size("mail.dead").await, 1);
    assert!(backend.done(&["dead", "ls", "mail", "--all"]).contains("mail.send"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_leaves_letters_that_are_too_large() {
    let backend = Backend::redis().await;
    backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
    backend.redis_of_others().push("mail.dead", &vec![b'x'; (1 << 20) + 1]).await;
    let done = backend.done(&["dead", "requeue", "mail", "--yes"]);
    assert!(done.contains("1 of 2 messages of mail.dead are larger than 1 MiB"), "{done}");
    assert!(done.contains("1 posted, 1 deleted"), "{done}");
    assert_eq!(backend.redis_of_others().size("mail.dead").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_letter_is_moved_only_with_its_key() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
        backend.post("mail.dead", &[SEALED]).await;
        let ended = backend.run(&["move", "mail.dead", "kept.dead", "--yes"]);
        assert_eq!(ended.code, 8, "{ended:?}");
        assert!(ended.stdout.contains("it is sealed for its queue"), "{ended:?}");
        assert!(ended.stdout.contains("(--keyset)"), "{ended:?}");
        assert!(!ended.stdout.contains("it is not a dead letter"), "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_dead_letter_queue_is_cleared_its_contents_are_shown() {
    on_each(async |backend| {
        let send = task("mail.send", "");
        backend.dead_letter(&[(send.as_str(), Fatal), (&send, Fatal)]).await;
        backend.post("mail.dead", &[SEALED, "<html>"]).await;
        backend.reserve("mail.dead", 1).await;
        for args in [
            &["clear", "mail.dead", "--dry-run"][..],
            &["dead", "delete", "mail", "--dry-run"],
            &["queue", "delete", "mail.dead", "--dry-run"],
        ] {
            let plan = backend.done(args);
            for line in [
                "  1 of task mail.send, for the reason Fatal\n",
                "  1 sealed with k1, and not readable without that key\n",
                "  1 not readable here (BadJson)\n",
                "  1 more was not looked at: reserved",
            ] {
                assert!(plan.contains(line), "{args:?}: {plan}");
            }
            let record = &backend.json(args)[0];
            let groups = record["contents"].as_array().unwrap().len();
            assert_eq!((groups, &record["not_looked_at"]), (3, &1.into()), "{record}");
        }
        let ended = backend.on_terminal(&["clear", "mail.dead"], "no\n");
        assert!(ended.stdout.contains("  1 sealed with k1"), "{ended:?}");
        assert_eq!(ended.code, 5, "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_cannot_be_read_are_selected_by_that_reason() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
        backend.post("mail.dead", &["<html>", "{"]).await;
        let list = backend.json(&["dead", "ls", "mail", "--list", "--reason", "BadJson"]);
        assert_eq!(list.len(), 2, "{list:?}");
        let fatal = backend.done(&["dead", "ls", "mail", "--reason", "Fatal"]);
        assert!(!fatal.contains("not compared"), "{fatal}");
        let done = backend.done(&["dead", "delete", "mail", "--reason", "BadJson", "--yes"]);
        assert!(done.contains("2 deleted"), "{done}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_lists_the_first_letters_of_each_reason() {
    on_each(async |backend| {
        backend.post("mail.dead", &["<html>"; 50]).await;
        let ended = backend.run(&["dead", "requeue", "mail", "--yes"]);
        assert_eq!(ended.code, 8, "{ended:?}");
        assert_eq!(ended.stdout.matches("\n  message ").count(), 20, "{ended:?}");
        assert!(ended.stdout.contains("30 more: not requeued: "), "{ended:?}");
        let all = lines(&backend.run(&["dead", "requeue", "mail", "--yes", "--json"]).stdout);
        assert_eq!(all.iter().filter(|line| line["problem"].is_object()).count(), 50);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_without_a_unit_is_refused() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
        for time in ["2", "1796003621"] {
            let error = backend.refused(&["dead", "delete", "mail", "--since", time, "--yes"], 2);
            assert!(error.contains("a unit is missing, as in 2h"), "{error}");
        }
        // As tables print it.
        let shown = ["dead", "ls", "mail", "--list", "--since", "2023-11-14 22:13:20 UTC"];
        assert_eq!(backend.json(&shown).len(), 1);
        let later = ["dead", "ls", "mail", "--list", "--since", "2023-11-14T22:13:21Z"];
        assert_eq!(backend.json(&later).len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_not_texts_are_exported_and_imported_byte_by_byte() {
    let backend = Backend::redis().await;
    let element = [b"bytes-message-0000", &b"0000"[..], b"\xff\x00\xfe"].concat();
    backend.redis_of_others().push("mail.dead", &element).await;
    backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
    let exported = Ended::of(backend.command(&[
        "dead",
        "export",
        "mail",
        "/dev/stdout",
        "--id",
        "bytes-message-0000",
    ]));
    assert_eq!((exported.code, exported.stderr.as_str()), (0, ""), "{exported:?}");
    assert_eq!(lines(&exported.stdout)[0]["body_base64"], "/wD+", "{exported:?}");
    let file = file("bytes");
    backend.done(&["dead", "export", "mail", &file]);
    backend.done(&["clear", "mail.dead", "--yes"]);
    backend.done(&["dead", "import", &file]);
    let again = format!("{file}-again");
    backend.done(&["dead", "export", "mail", &again]);
    let bodies = |path: &str| -> Vec<_> {
        let lines = lines(&std::fs::read_to_string(path).unwrap());
        lines.iter().map(|line| (line["body"].clone(), line["body_base64"].clone())).collect()
    };
    assert_eq!(bodies(&file), bodies(&again));

    let ironmq = Backend::ironmq().await;
    let error = ironmq.refused(&["dead", "import", &file], 1);
    assert!(error.contains("line 1: its body is not a text"), "{error}");
    for file in [file, again] {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsealed_envelope_does_not_look_sealed() {
    on_each(async |backend| {
        let keys = file(&format!("keys-{}", backend.name));
        backend.done(&["keys", "new", &keys, "--kid", "k1"]);
        backend.done(&["send", "mail.send", "[1]", "--queue", "mail", "--keyset", &keys]);
        let frame =
            backend.json(&["peek", "mail", "--raw"])[0]["body"].as_str().unwrap().to_owned();
        let forged = DeadLetter {
            queue: QueueName::new("mail").unwrap(),
            id: MessageId::new("1"),
            reason: Fatal,
            error: None,
            attempts: 99,
            deliveries: 1,
            at: 0,
            body: Body::new(frame),
        };
        let ids = backend.post("mail.dead", &[forged.to_body().as_str()]).await;
        let page = backend.done(&["dead", "show", "mail", ids[0].as_str(), "--keyset", &keys]);
        assert!(page.contains("form           plain") && !page.contains("sealed as"), "{page}");
        assert!(
            page.contains("not authentic  the envelope is not sealed, unlike the task"),
            "{page}"
        );
        let record =
            &backend.json(&["dead", "show", "mail", ids[0].as_str(), "--keyset", &keys])[0];
        assert_eq!(record["dead_letter"]["is_authentic"], false);
        std::fs::remove_file(&keys).unwrap();
    })
    .await;
}

/// As after a requeue with `--raw` and without its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_letter_in_a_queue_of_tasks_is_returned_to_its_dead_letter_queue() {
    on_each(async |backend| {
        backend.post("mail", &[SEALED]).await;
        backend.refused(&["move", "mail", "other.dead", "--raw", "--yes"], 2);
        backend.refused(&["move", "mail", "mail.dead", "--yes"], 2);
        backend.done(&["move", "mail", "mail.dead", "--raw", "--yes"]);
        let letter = &backend.json(&["peek", "mail.dead", "--raw"])[0];
        assert_eq!(letter["body"], SEALED);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_export_contains_no_errors() {
    on_each(async |backend| {
        backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
        let args = ["dead", "export", "mail", "-", "--redact", "password"];
        let output = backend.command(&args).output().unwrap();
        let exported = Ended::with_arguments_shown(&output);
        let letter = &lines(&exported.stdout)[0]["dead_letter"];
        assert_eq!((&letter["reason"], &letter["error"]), (&"Fatal".into(), &().into()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_of_a_dead_letter_is_not_said_to_wait() {
    on_each(async |backend| {
        let body = task("mail.send", r#","reply":"c.r.x""#);
        let ids = backend.dead_letter(&[(&body, Fatal)]).await;
        let page = backend.done(&["dead", "show", "mail", ids[0].as_str()]);
        assert!(page.contains("was to get the result") && !page.contains("waits for"), "{page}");
    })
    .await;
}

//! `dead requeue`, `delete`, `export`, `import` and `move`.

use ivy_proto::wire::DeadLetterReason::{BadJson, Fatal, RetriesExhausted};

use crate::backend::{Backend, on_each, task};

/// Three letters of `mail.send`, one of `mail.check` and one that cannot be read.
async fn dead_letters(backend: &Backend) {
    let (send, check) = (task("mail.send", r#","attempt":4"#), task("mail.check", ""));
    let letters = [
        (send.as_str(), Fatal),
        (&send, Fatal),
        (&send, RetriesExhausted),
        (&check, Fatal),
        ("<html>", BadJson),
    ];
    backend.dead_letter(&letters).await;
}

fn size(backend: &Backend, queue: &str) -> u64 {
    let lines = backend.json(&["ls", queue, "--all"]);
    lines.first().and_then(|line| line["size"].as_u64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_requeued_by_filter_with_all_their_attempts() {
    on_each(async |backend| {
        dead_letters(backend).await;
        let filter = ["dead", "requeue", "mail", "--task", "mail.*", "--reason", "Fatal"];
        let error = backend.refused(&filter, 5);
        assert!(error.contains("--yes"), "{error}");
        backend.golden("requeue-planned", &[&filter[..], &["--dry-run"]].concat());
        assert_eq!(size(backend, "mail.dead"), 5);

        backend.golden("requeue", &[&filter[..], &["--yes"]].concat());
        assert_eq!(size(backend, "mail.dead"), 2);
        let requeued = backend.json(&["peek", "mail"]);
        assert_eq!(requeued.len(), 3);
        for message in &requeued {
            assert_eq!(
                (&message["task"]["attempt"], &message["task"]["requeued"]),
                (&1.into(), &1.into())
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_requeued_is_reported() {
    on_each(async |backend| {
        dead_letters(backend).await;
        let ended = backend.run(&["dead", "requeue", "mail", "--yes"]);
        assert_eq!(ended.code, 8, "{ended:?}");
        assert!(ended.stdout.contains("its body cannot be read here (BadJson)"), "{ended:?}");
        assert_eq!(size(backend, "mail.dead"), 1);
        backend.done(&["dead", "requeue", "mail", "--raw", "--yes"]);
        assert_eq!(size(backend, "mail"), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_of_letters_that_are_all_refused_is_not_done() {
    on_each(async |backend| {
        let passed = task("mail.send", r#","deadline":1700000000000"#);
        backend.dead_letter(&[(passed.as_str(), Fatal)]).await;
        let ended = backend.run(&["dead", "requeue", "mail", "--yes"]);
        assert_eq!(ended.code, 8, "{ended:?}");
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!(lines[0], "requeue 0 of 1 message of mail.dead", "{ended:?}");
        assert!(ended.stdout.contains("1 refused"), "{ended:?}");
        assert!(ended.stdout.contains("deadline to requeue it (--drop-deadline)"), "{ended:?}");
        backend.done(&["dead", "requeue", "mail", "--yes", "--drop-deadline"]);
        assert_eq!(size(backend, "mail"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_matches_nothing_finds_nothing() {
    on_each(async |backend| {
        dead_letters(backend).await;
        backend.refused(&["dead", "requeue", "mail", "--task", "other", "--yes"], 3);
        backend.refused(&["dead", "delete", "mail", "--id", "other", "--yes"], 3);
        assert_eq!(size(backend, "mail.dead"), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_deleted_by_filter_or_all_at_once() {
    on_each(async |backend| {
        dead_letters(backend).await;
        backend.golden("dead-delete", &["dead", "delete", "mail", "--task", "mail.send", "--yes"]);
        assert_eq!(size(backend, "mail.dead"), 2);
        backend.refused(&["dead", "delete", "mail"], 5);
        backend.done(&["dead", "delete", "mail", "--yes"]);
        assert_eq!(size(backend, "mail.dead"), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_letters_are_imported_unchanged() {
    on_each(async |backend| {
        dead_letters(backend).await;
        let file = std::env::temp_dir().join(format!("ivy-letters-{}", std::process::id()));
        let path = file.to_str().unwrap();
        let printed = backend.done(&["dead", "export", "mail", path]);
        assert!(printed.contains("5 letters written"), "{printed}");
        assert_eq!(size(backend, "mail.dead"), 5);
        backend.refused(&["dead", "export", "mail", path], 1);

        backend.done(&["dead", "delete", "mail", "--yes"]);
        assert!(backend.done(&["dead", "import", path]).contains("5 letters posted"));
        assert_eq!(size(backend, "mail.dead"), 5);
        let groups = backend.json(&["dead", "ls", "mail"]);
        assert_eq!(groups.len(), 4, "{groups:?}");
        std::fs::remove_file(&file).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_moved_between_queues() {
    on_each(async |backend| {
        backend.post("mail", &[&task("mail.send", ""), &task("mail.send", "")]).await;
        backend.golden("move", &["move", "mail", "other", "--yes"]);
        assert_eq!((size(backend, "mail"), size(backend, "other")), (0, 2));
        backend.refused(&["move", "other", "other", "--yes"], 2);
        backend.refused(&["move", "nowhere", "other", "--yes"], 3);
        backend.refused(&["move", "other", "mail", "--reason", "Fatal", "--yes"], 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_a_filter_that_matches_everything_asks_once_more() {
    on_each(async |backend| {
        backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
        let requeue = ["dead", "requeue", "mail"];
        for (typed, code, left) in [("n\n", 5, 1), ("y\nn\n", 5, 1), ("y\ny\n", 0, 0)] {
            let ended = backend.on_terminal(&requeue, typed);
            assert_eq!(ended.code, code, "{typed:?}: {ended:?}");
            assert_eq!(size(backend, "mail.dead"), left, "{typed:?}");
        }
    })
    .await;
}

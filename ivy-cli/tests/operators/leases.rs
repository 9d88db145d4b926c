//! What commands that look through dead letters reserve, and that nothing stays reserved.

use ivy_proto::wire::DeadLetterReason::Fatal;

use crate::backend::{Backend, on_each, task};

/// More than fit into a few requests.
const LETTERS: usize = 250;

async fn letters(backend: &Backend) {
    let body = task("mail.send", "");
    for _ in 0..LETTERS / 50 {
        backend.dead_letter(&[(body.as_str(), Fatal); 50]).await;
    }
}

/// The ids of the first letters, in order.
fn first_ids(backend: &Backend) -> Vec<String> {
    let lines = backend.json(&["peek", "mail.dead", "-n", "100"]);
    lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_changes_nothing_leaves_all_letters_ready_and_in_order() {
    on_each(async |backend| {
        letters(backend).await;
        let before = first_ids(backend);
        let file = std::env::temp_dir().join(format!("ivy-looked-{}", std::process::id()));
        let path = file.to_str().unwrap();
        for (args, code) in [
            (&["dead", "ls", "--all"][..], 0),
            (&["dead", "ls", "--contains", "nonsense"], 0),
            (&["dead", "export", "mail", path], 0),
            (&["dead", "requeue", "mail", "--dry-run"], 0),
            (&["dead", "requeue", "mail"], 5),
            (&["dead", "requeue", "mail", "--task", "other", "--yes"], 3),
            (&["dead", "delete", "mail", "--task", "mail.*", "--dry-run"], 0),
        ] {
            let ended = backend.run(args);
            assert_eq!(ended.code, code, "{args:?} on {}: {ended:?}", backend.name);
            assert_eq!(first_ids(backend), before, "{args:?} on {}", backend.name);
        }
        std::fs::remove_file(&file).unwrap();
        let ended = backend.on_terminal(&["dead", "requeue", "mail"], "n\n");
        assert_eq!(ended.code, 5, "{ended:?}");
        // The next command sees all of them.
        let report = &backend.json(&["dead", "requeue", "mail", "--yes"])[1]["report"];
        assert_eq!((&report["deleted"], &report["not_looked_at"]), (&LETTERS.into(), &0.into()));
        // Each request concerns a hundred of them.
        assert!(report["requests"].as_u64().unwrap() <= 12, "{report}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_another_operator_holds_are_reported() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal); 5]).await;
        backend.reserve("mail.dead", 3).await;

        for args in [
            &["dead", "requeue", "mail", "--dry-run"][..],
            &["dead", "ls", "--all"],
            &["dead", "requeue", "mail", "--yes"],
        ] {
            let ended = backend.run(args);
            assert_eq!(ended.code, 8, "{args:?} on {}: {ended:?}", backend.name);
            let expected = " of mail.dead are reserved or delayed, and were not looked at";
            assert!(ended.stdout.contains(expected), "{args:?}: {ended:?}");
        }
        // As many as requested were looked at.
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal)]).await;
        backend.done(&["dead", "requeue", "mail", "--yes", "--limit", "1"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_was_not_requested_makes_a_command_partial() {
    on_each(async |backend| {
        let send = task("mail.send", "");
        for _ in 0..11 {
            backend.post("mail", &vec![send.as_str(); 100]).await;
        }
        // At most a thousand messages of a queue that workers serve are looked at.
        let ended = backend.run(&["move", "mail", "other", "--yes"]);
        assert_eq!(ended.code, 8, "{ended:?}");
        let expected = "100 of 1100 messages of mail were not looked at: the limit of messages";
        assert!(ended.stdout.contains(expected), "{ended:?}");
        assert!(ended.stdout.contains("of mail that match to other"), "{ended:?}");
        backend.done(&["move", "mail", "other", "--yes", "--limit", "50"]);
    })
    .await;
}

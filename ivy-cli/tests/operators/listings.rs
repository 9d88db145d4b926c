//! `ls`, `stats`, `queue show` and `dead ls`.

use ivy_proto::wire::DeadLetterReason::{BadJson, Fatal, RetriesExhausted};

use crate::backend::{Backend, on_each, task};

async fn filled(backend: &Backend) {
    backend.post("mail", &[&task("mail.send", r#","due":1700000000000"#), "<html>"]).await;
    backend.post("mail.p1", &[&task("mail.send", "")]).await;
    backend.post("reports", &[&task("reports.write", "")]).await;
    let send = task("mail.send", "");
    let letters =
        [(send.as_str(), Fatal), (&send, Fatal), (&send, RetriesExhausted), ("x", BadJson)];
    backend.dead_letter(&letters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_listed_with_their_sizes_and_dead_letters() {
    on_each(async |backend| {
        filled(backend).await;
        backend.golden("ls", &["ls"]);
        backend.golden("ls-all", &["ls", "mail*", "--all", "--age"]);
        let table = backend.done(&["ls", "--sort", "dead"]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "QUEUE    SIZE  DEAD", "{table}");
        assert_eq!(lines[1], "mail        2     4", "{table}");
        assert_eq!(lines.len(), 4, "{table}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_queue_is_listed_by_its_name() {
    on_each(async |backend| {
        filled(backend).await;
        for args in [
            &["ls", "mail.dead"][..],
            &["ls", "mail.dead", "--all"],
            &["ls", "*.dead"],
            &["ls", "*.dead", "--all"],
        ] {
            let lines = backend.json(args);
            assert_eq!((&lines[0]["queue"], lines.len()), (&"mail.dead".into(), 1), "{args:?}");
            assert_eq!(lines[0]["size"], 4, "{args:?}");
        }
        let folded = backend.json(&["ls", "mail"]);
        assert_eq!((&folded[0]["dead"], folded.len()), (&4.into(), 1), "{folded:?}");
        assert_eq!(backend.json(&["stats", "mail.dead"])[0]["messages"], 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_queue_is_its_first_ready_message() {
    on_each(async |backend| {
        let task = task("mail.send", r#","due":1700000000000"#);
        backend.post("dated", &[&task]).await;
        backend.post("undated", &[r#"{"name":"mail.send","options":{},"args":[]}"#]).await;
        backend.json(&["send", "mail.send", "[]", "--queue", "delayed", "--delay", "1h"]);
        backend.json(&["send", "mail.send", "[]", "--queue", "empty"]);
        backend.done(&["clear", "empty", "--yes"]);

        let lines = backend.json(&["ls", "--age"]);
        let ready = |queue: &str| {
            let line = lines.iter().find(|line| line["queue"] == queue).unwrap();
            (line["ready"].as_bool().unwrap(), line["head_age"].is_f64())
        };
        assert_eq!((ready("dated"), ready("undated")), ((true, true), (true, false)), "{lines:?}");
        assert_eq!((ready("delayed"), ready("empty")), ((false, false), (false, false)));
        assert_eq!(backend.json(&["stats"])[0]["none_ready"], 1);

        let table = backend.done(&["ls", "--age"]);
        let age = |queue: &str| {
            let line = table.lines().find(|line| line.starts_with(queue)).unwrap();
            line.split("  ").last().unwrap().trim().to_owned()
        };
        assert_eq!(age("undated"), "unknown", "{table}");
        assert_eq!((age("delayed"), age("empty")), ("none ready".to_owned(), "-".to_owned()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_listing_is_reported() {
    on_each(async |backend| {
        filled(backend).await;
        let lines = backend.json(&["ls", "--limit", "1"]);
        assert_eq!(lines[0]["queue"], "mail");
        assert_eq!((&lines[1]["truncated"], lines.len()), (&true.into(), 2), "{lines:?}");
        assert!(lines[1]["note"].as_str().unwrap().starts_with("2 more queues"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_are_those_of_all_queues_or_of_one_with_its_priorities() {
    on_each(async |backend| {
        filled(backend).await;
        backend.golden("stats", &["stats"]);
        let lines = backend.json(&["stats", "mail"]);
        assert_eq!((&lines[0]["messages"], &lines[0]["dead"]), (&3.into(), &4.into()));
        assert!(backend.done(&["stats"]).contains("dead letters            4"));
        let physical: Vec<_> = lines[0]["physical_queues"]
            .as_array()
            .unwrap()
            .iter()
            .map(|queue| (queue["queue"].as_str().unwrap(), queue["size"].as_u64()))
            .collect();
        assert_eq!(physical, [("mail", Some(2)), ("mail.p1", Some(1))]);
        let table = backend.done(&["stats", "mail"]);
        // The width of the last column depends on the age.
        assert!(table.contains("\nQUEUE    SIZE  DEAD  "), "{table}");
        assert!(table.contains("\nmail        2     4  "), "{table}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_by_task_and_reason() {
    on_each(async |backend| {
        filled(backend).await;
        backend.golden("dead-ls", &["dead", "ls"]);
        assert_eq!(
            backend.json(&["dead", "ls", "mail"]),
            backend.json(&["dead", "ls", "mail.dead"])
        );
        assert_eq!(backend.json(&["dead", "ls", "reports"]).len(), 0);
        let table = backend.done(&["dead", "ls", "mail"]);
        assert!(table.contains("mail.dead  mail.send  Fatal                 2"), "{table}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_beyond_those_that_a_server_shows_are_reported() {
    on_each(async |backend| {
        let send = task("mail.send", "");
        backend.dead_letter(&[(send.as_str(), Fatal); 100]).await;
        backend.dead_letter(&[(send.as_str(), Fatal); 30]).await;
        let lines = backend.json(&["dead", "ls", "mail"]);
        assert_eq!((&lines[0]["count"], &lines[1]["truncated"]), (&100.into(), &true.into()));
        assert!(lines[1]["note"].as_str().unwrap().starts_with("30 more letters"), "{lines:?}");
        let lines = backend.json(&["dead", "ls", "mail", "--list", "--limit", "2"]);
        assert_eq!((lines.len(), &lines[2]["truncated"]), (3, &true.into()), "{lines:?}");
        let lines = backend.json(&["dead", "ls", "mail", "--all"]);
        assert_eq!((&lines[0]["count"], lines.len()), (&130.into(), 1), "{lines:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_queue_are_shown() {
    on_each(async |backend| {
        filled(backend).await;
        backend.golden("queue-show", &["queue", "show", "mail"]);
        assert!(backend.done(&["queue", "show", "mail"]).starts_with("queue"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_has_no_queues() {
    on_each(async |backend| {
        let printed = backend.done(&["ls"]);
        let scheme = if backend.name == "redis" { "redis" } else { "ironmq+http" };
        assert!(printed.starts_with(&format!("no queues on {scheme}://127.0.0.1:")), "{printed}");
        assert_eq!(backend.done(&["dead", "ls"]), "no dead letters\n");
        assert_eq!(backend.json(&["ls"]).len(), 0);
        assert_eq!(backend.json(&["dead", "ls"]).len(), 0);
        assert_eq!(backend.json(&["stats"])[0]["queues"], 0);
    })
    .await;
}

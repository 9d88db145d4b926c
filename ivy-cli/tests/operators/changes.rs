//! `clear` and `queue`: what changes queues, and the questions before it.

use crate::backend::{Backend, on_each, task};

fn size(backend: &Backend) -> u64 {
    backend.json(&["queue", "show", "mail"])[0]["size"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_cleared_only_if_that_is_confirmed() {
    on_each(async |backend| {
        backend.post("mail", &["1", "2", "3"]).await;
        let error = backend.refused(&["clear", "mail"], 5);
        assert!(error.contains("--yes"), "{error}");
        backend.golden("clear-planned", &["clear", "mail", "--dry-run"]);
        assert_eq!(size(backend), 3);

        backend.golden("clear", &["clear", "mail", "--yes"]);
        assert_eq!(size(backend), 0);
        assert!(backend.done(&["peek", "mail"]).contains("queue mail is empty"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_created_and_deleted() {
    on_each(async |backend| {
        backend.golden("queue-create", &["queue", "create", "mail"]);
        assert_eq!(backend.json(&["ls"])[0]["queue"], "mail");
        let again = backend.done(&["queue", "create", "mail"]);
        assert!(again.contains("queue mail exists already, with 0 messages"), "{again}");
        backend.refused(&["queue", "delete", "mail"], 5);
        backend.done(&["queue", "delete", "mail", "--dry-run"]);
        assert_eq!(size(backend), 0);
        backend.golden("queue-delete", &["queue", "delete", "mail", "--yes"]);
        assert_eq!(backend.json(&["ls"]).len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_queue_are_changed_where_it_has_any() {
    on_each(async |backend| {
        backend.done(&["queue", "create", "mail"]);
        let args = ["queue", "set", "mail", "--keep", "3d", "--default-lease", "90s"];
        if backend.name == "redis" {
            let error = backend.refused(&args, 4);
            assert!(error.contains("a queue on Redis has no settings"), "{error}");
        } else {
            let settings = &backend.json(&args)[0];
            assert_eq!(settings["message_expiration"], 259_200.0, "{settings}");
            assert_eq!(settings["message_timeout"], 90.0, "{settings}");
            // What is not given stays.
            let settings = &backend.json(&["queue", "set", "mail", "--keep", "4d"])[0];
            assert_eq!(settings["message_timeout"], 90.0, "{settings}");
        }
        backend.refused(&["queue", "set", "mail"], 2);
        let error = backend.refused(&["queue", "set", "mial", "--keep", "1d"], 3);
        assert!(error.contains("did you mean mail?"), "{error}");
    })
    .await;
}

/// With a terminal, the question is asked. `script` of util-linux provides one.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_name_of_the_queue_confirms() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        for (typed, code, left) in [("no", 5, 1), ("mail", 0, 0)] {
            let ended = backend.on_terminal(&["clear", "mail"], &format!("{typed}\n"));
            assert_eq!(ended.code, code, "{ended:?}");
            assert!(ended.stdout.contains("Type mail to confirm:"), "{ended:?}");
            assert_eq!(size(backend), left);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_its_server_does_not_list_is_listed_again() {
    let backend = Backend::redis().await;
    backend.redis_of_others().push("lost.dead", b"an-example-of-an-i0000{}").await;
    assert_eq!(backend.json(&["ls"]).len(), 0);
    let created = backend.done(&["queue", "create", "lost.dead"]);
    assert!(created.contains("exists already, with 1 message; it was not listed"), "{created}");
    assert_eq!(backend.json(&["ls", "lost.dead"])[0]["size"], 1);
    assert!(backend.done(&["queue", "create", "lost.dead"]).contains("exists already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_which_queues_it_creates() {
    on_each(async |backend| {
        backend.post("mail", &[&task("mail.send", "")]).await;
        let plan = backend.done(&["move", "mail", "nowhere", "--dry-run"]);
        assert!(plan.contains("queue nowhere does not exist, and will be created"), "{plan}");
        backend.post("somewhere", &[&task("mail.send", "")]).await;
        let plan = backend.done(&["move", "mail", "somewhere", "--dry-run"]);
        assert!(!plan.contains("does not exist"), "{plan}");
    })
    .await;
}

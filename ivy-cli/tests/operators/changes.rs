//! `clear` and `queue`: what changes queues, and the questions before it.

use crate::backend::{Backend, on_each};

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
        backend.refused(&["queue", "delete", "mail"], 5);
        backend.done(&["queue", "delete", "mail", "--dry-run"]);
        assert_eq!(size(backend), 0);
        backend.golden("queue-delete", &["queue", "delete", "mail", "--yes"]);
        assert_eq!(backend.json(&["ls"]).len(), 0);
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

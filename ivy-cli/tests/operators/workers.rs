//! `workers`, and what other commands show of workers.

use std::time::Duration;

use ivy_test_kit::secrets::ENCRYPTION_PASSWORD;
use ivy_test_kit::{ClosedPort, PATIENCE};
use ivy_tokio::{Ivy, Task, TaskError, Worker, WorkerWatch};
use serde_json::Value;

use crate::backend::{Backend, Ended, on_each, task};

pub(crate) const SEND: Task<(), ()> = Task::new("mail.send").queue("mail");
const FAIL: Task<(), ()> = Task::new("mail.fail").queue("mail");

/// Longer than the interval of a worker to which somebody listens.
pub(crate) const FOR: &str = "4s";

/// A worker of the queue `mail`, and a subscription, so that it publishes every two seconds.
pub(crate) struct Heard {
    pub(crate) worker: Worker,
    watch: WorkerWatch,
}

impl Heard {
    pub(crate) async fn start(ivy: &Ivy) -> Heard {
        let mut watch = ivy.watch_workers().unwrap();
        while watch
            .listen(Duration::from_millis(100))
            .await
            .is_ok_and(|heard| heard.listened.is_zero())
        {}
        let send = || async { Ok::<_, TaskError>(()) };
        let fail = || async { Err::<(), _>(TaskError::fatal("out of luck")) };
        let worker = ivy.worker().concurrency(7).register(&SEND, send).register(&FAIL, fail);
        Heard { worker: worker.start().await.unwrap(), watch }
    }

    pub(crate) async fn end(self) {
        self.worker.drain(PATIENCE).await;
        drop(self.watch);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_heard_are_listed() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        backend.golden("workers", &["workers", "--for", FOR]);
        let table = backend.done(&["workers", "--for", FOR]);
        let pid = format!(":{} ", std::process::id());
        assert!(table.starts_with("WORKER") && table.contains(&pid), "{table}");
        assert!(table.contains("0/7") && table.contains("mail.fail, mail.send"), "{table}");
        assert!(table.contains("1 worker was heard in "), "{table}");
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_nobody_is_heard_the_reasons_are_listed() {
    on_each(async |backend| {
        let error = backend.refused(&["workers", "--for", "300ms"], 3);
        assert!(error.contains("no worker was heard in "), "{error}");
        for reason in ["presence", "channel", "key", "older version", "connection"] {
            assert!(error.contains(reason), "{reason}: {error}");
        }
        assert!(error.contains("at least every 15 s"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_time_to_listen_is_warned_of() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        for args in [
            &["ls", "--workers=300ms"][..],
            &["stats", "--workers=300ms"],
            &["workers", "--for", "300ms"],
            &["doctor", "--workers=300ms"],
        ] {
            let ended = backend.run(args);
            assert!(ended.stderr.contains("listen for 16s or longer"), "{args:?}: {ended:?}");
        }
        assert_eq!(backend.run(&["ls"]).stderr, "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_notifier_everything_else_is_shown() {
    let backend = Backend::ironmq().await;
    let id = backend.post("mail", &[&task("mail.send", "")]).await.remove(0);
    for (args, shown) in [
        (&["ls", "--workers"][..], "QUEUE  SIZE  DEAD\nmail      1     -\n"),
        (&["stats", "--workers"], "messages                1\n"),
        (&["explain", "mail", id.as_str(), "--workers"], "it is ready: number 1"),
        (&["workers"], ""),
    ] {
        let mut command = backend.command(args);
        command.env_remove("IVY_NOTIFIER_URL");
        let ended = Ended::of(command);
        // A setting is missing.
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.stdout.contains(shown), "{args:?}: {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("set IVY_NOTIFIER_URL"), "{args:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_the_notifier_is_down_everything_else_is_shown() {
    let backend = Backend::ironmq().await;
    let id = backend.post("mail", &[&task("mail.send", "")]).await.remove(0);
    let port = ClosedPort::take();
    for (args, shown) in [
        (&["ls", "--workers=300ms"][..], "QUEUE  SIZE  DEAD\nmail      1     -\n"),
        (&["stats", "--workers=300ms"], "messages                1\n"),
        (&["explain", "mail", id.as_str(), "--workers=300ms"], "it is ready: number 1"),
    ] {
        let mut command = backend.command(args);
        command.env("IVY_NOTIFIER_URL", format!("redis://127.0.0.1:{}", port.number()));
        let ended = Ended::of(command);
        assert_eq!(ended.code, 8, "{args:?}: {ended:?}");
        assert!(ended.stdout.contains(shown), "{args:?}: {ended:?}");
        assert!(ended.stdout.contains("nothing is shown of workers: "), "{args:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_opened_are_reported() {
    on_each(async |backend| {
        let ivy =
            backend.builder().encryption_password(ENCRYPTION_PASSWORD.text()).build().unwrap();
        let heard = Heard::start(&ivy).await;
        let error = backend.refused(&["workers", "--for", FOR], 3);
        assert!(error.contains("could not be read"), "{error}");
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_listed_with_what_their_workers_do() {
    on_each(async |backend| {
        backend.post("idle", &["1"]).await;
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        ivy.call(&SEND, ()).await.unwrap().result(PATIENCE).await.unwrap();
        let lines = backend.json(&["ls", &format!("--workers={FOR}")]);
        assert_eq!((&lines[0]["queue"], &lines[0]["workers"]), (&"idle".into(), &0.into()));
        assert_eq!((&lines[1]["queue"], &lines[1]["workers"]), (&"mail".into(), &1.into()));
        assert!(lines[1]["executed_per_second"].is_f64(), "{lines:?}");
        let table = backend.done(&["ls", &format!("--workers={FOR}")]);
        assert!(table.starts_with("QUEUE  SIZE  DEAD  WORKERS  RUN/S  FAIL %\n"), "{table}");
        assert!(!backend.done(&["ls"]).contains("WORKERS"));
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_include_what_workers_have_counted() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        ivy.call(&SEND, ()).await.unwrap().result(PATIENCE).await.unwrap();
        ivy.call(&FAIL, ()).await.unwrap().result(PATIENCE).await.unwrap_err();
        let workers = format!("--workers={FOR}");
        backend.golden("stats-workers", &["stats", "mail", &workers]);
        let table = backend.done(&["stats", &workers]);
        assert!(table.contains("since the start of the worker that was heard"), "{table}");
        assert!(table.contains("Fatal 1"), "{table}");
        assert_eq!(backend.json(&["stats", "mail"]).len(), 1);
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_the_workers_of_the_queue() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        heard.worker.pause();
        let id = backend.post("mail", &[&task("mail.sent", "")]).await.remove(0);
        let workers = format!("--workers={FOR}");
        let text = backend.done(&["explain", "mail", id.as_str(), &workers]);
        let name = format!(":{} (paused)", std::process::id());
        assert!(text.contains("workers of this queue: ") && text.contains(&name), "{text}");
        assert!(text.contains("did you mean mail.send?"), "{text}");
        let quiet = backend.done(&["explain", "mail", id.as_str()]);
        assert!(!quiet.contains("paused"), "{quiet}");
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_released_again_and_again_is_counted_and_explained() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        let id = backend.post("mail", &[&task("mail.unknown", "")]).await.remove(0);
        let workers = format!("--workers={FOR}");

        let counted = backend.json(&["stats", "mail", &workers]);
        let released = |line: &Value| line["released"]["UnknownTask"].as_u64() > Some(0);
        assert!(counted.iter().any(released), "{counted:?}");
        assert_eq!((&counted[0]["none_ready"], &counted[0]["oldest"]), (&1.into(), &Value::Null));

        let text = backend.done(&["explain", "mail", id.as_str(), &workers]);
        assert!(text.contains("no handler for task mail.unknown on "), "{text}");
        assert!(text.contains("probably a worker released it with a delay"), "{text}");
        assert!(!text.contains("start a worker"), "{text}");
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_checks_the_workers_that_are_heard() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        heard.worker.pause();
        backend.post("mail", &[&task("mail.sent", "")]).await;
        let workers = format!("--workers={FOR}");
        let lines = backend.json(&["doctor", "mail", &workers]);
        let state = |check: &str| {
            let line = lines.iter().find(|line| line["check"] == check);
            line.unwrap_or_else(|| panic!("{check}: {lines:?}"))["state"].as_str().unwrap()
        };
        assert_eq!((state("workers"), state("worker_clocks")), ("ok", "ok"), "{lines:?}");
        assert_eq!(state("handlers"), "warning", "{lines:?}");
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_whose_messages_are_all_released_is_not_said_to_be_well() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        let body = task("mail.unknown", "");
        backend.post("mail", &[body.as_str(); 30]).await;
        let workers = format!("--workers={FOR}");
        let doctor = ["doctor", "mail", &workers];
        let is_none_ready =
            |line: &Value| line["check"] == "contents" && line["state"] == "not_checked";
        let mut lines = Vec::new();
        // Each message is released for five seconds first, and then for longer.
        for _ in 0..10 {
            lines = backend.json(&doctor);
            if lines.iter().any(is_none_ready) {
                break;
            }
        }
        let state = |check: &str| {
            let line = lines.iter().find(|line| line["check"] == check);
            line.unwrap_or_else(|| panic!("{check}: {lines:?}"))["state"].as_str().unwrap()
        };
        for (check, expected) in [
            ("contents", "not_checked"),
            ("worker_health", "warning"),
            ("releases", "warning"),
            ("handlers", "not_checked"),
        ] {
            assert_eq!(state(check), expected, "{check}: {lines:?}");
        }

        let text = backend.done(&["explain", "mail", &workers]);
        assert!(text.starts_with("queue mail: 30 messages\n"), "{text}");
        assert!(text.contains("is degraded: the messages of task mail.unknown"), "{text}");
        assert!(text.contains("its workers have released ") && text.contains("UnknownTask "));
        let listed = backend.json(&["workers", "--for", FOR]);
        assert_eq!(listed[0]["state"], "degraded", "{listed:?}");
        heard.end().await;
    })
    .await;
}

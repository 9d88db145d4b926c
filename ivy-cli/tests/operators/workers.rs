//! `workers`, and what other commands show of workers.

use std::process::Stdio;
use std::time::Duration;

use ivy_test_kit::PATIENCE;
use ivy_test_kit::secrets::ENCRYPTION_PASSWORD;
use ivy_tokio::{Ivy, Task, TaskError, Worker, WorkerWatch};

use crate::backend::{Ended, lines, on_each, program, task};

const SEND: Task<(), ()> = Task::new("mail.send").queue("mail");
const FAIL: Task<(), ()> = Task::new("mail.fail").queue("mail");

/// Longer than the interval of a worker to which somebody listens.
const FOR: &str = "4s";

/// A worker of the queue `mail`, and a subscription, so that it publishes every two seconds.
struct Heard {
    worker: Worker,
    watch: WorkerWatch,
}

impl Heard {
    async fn start(ivy: &Ivy) -> Heard {
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

    async fn end(self) {
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

#[test]
fn workers_cannot_be_heard_without_a_notifier() {
    let queue = ["--queue-url", "ironmq+http://token@127.0.0.1:1/project"];
    let ended = Ended::of(program(&[&["workers"][..], &queue].concat()));
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.stderr.contains("IVY_NOTIFIER_URL"), "{ended:?}");
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

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_watched_list_repeats_until_it_is_interrupted() {
    use rustix::process::{Pid, Signal, kill_process};

    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        let mut command = backend.command(&["workers", "--watch=100ms", "--json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ended = Ended::with_arguments_shown(&child.wait_with_output().unwrap());
        assert_eq!(ended.code, 130, "{ended:?}");
        let lines = lines(&ended.stdout);
        assert!(
            lines.len() > 1 && lines.iter().all(|line| line["state"] == "running"),
            "{ended:?}"
        );
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

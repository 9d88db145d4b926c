//! `--watch` and `--follow`: commands that repeat until they are interrupted.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use ivy_proto::wire::DeadLetterReason::Fatal;
use ivy_test_kit::{ClosedPort, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::backend::{Backend, Ended, on_each, program, task};
use crate::workers::{FOR, Heard, SEND};

/// A command that repeats, with `--json`.
struct Watched {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
}

impl Watched {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        Watched { child, lines, errors }
    }

    /// Waits for a line with this value.
    fn until(&mut self, key: &str, value: impl Into<Value>) -> Value {
        let value = value.into();
        loop {
            let Some(line) = self.lines.next() else {
                let mut errors = String::new();
                let lines = self.errors.by_ref().map_while(Result::ok);
                lines.for_each(|line| errors += &line);
                panic!("it ended before a line with {key}: {value}: {errors}");
            };
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line[key] == value {
                return line;
            }
        }
    }

    /// Waits for the report of a failure.
    fn until_it_fails(&mut self) -> Value {
        loop {
            let line = self.errors.next().expect("it ended without a failure").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["error"].is_object() {
                return line;
            }
        }
    }

    /// Interrupts it, and returns its exit code.
    fn interrupt(mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        // A command whose output is closed before it notices the interrupt ends for that reason.
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_repeats_until_it_is_interrupted() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        let mut watched = Watched::start(backend.command(&["ls", "--watch=100ms", "--json"]));
        watched.until("size", 1);
        backend.post("mail", &["1"]).await;
        watched.until("size", 2);
        assert_eq!(watched.interrupt(), 130);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_ends_when_nobody_reads_it() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        let mut watched = Watched::start(backend.command(&["ls", "--watch=100ms", "--json"]));
        watched.until("size", 1);
        drop(watched.lines);
        assert_eq!(watched.child.wait().unwrap().code(), Some(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_workers_repeats_until_it_is_interrupted() {
    on_each(async |backend| {
        let mut watched = Watched::start(backend.command(&["workers", "--watch=500ms", "--json"]));
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        watched.until("state", "running");
        heard.worker.pause();
        watched.until("state", "paused");
        assert_eq!(watched.interrupt(), 130);
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_and_totals_are_shown_with_their_workers_again_and_again() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        ivy.call(&SEND, ()).await.unwrap().result(PATIENCE).await.unwrap();
        let workers = format!("--workers={FOR}");
        let mut queues =
            Watched::start(backend.command(&["ls", "--watch=100ms", &workers, "--json"]));
        let mut totals =
            Watched::start(backend.command(&["stats", "--watch=100ms", &workers, "--json"]));
        queues.until("workers", 1);
        totals.until("started", 1);
        ivy.call(&SEND, ()).await.unwrap().result(PATIENCE).await.unwrap();
        totals.until("started", 2);
        heard.end().await;
        queues.until("workers", 0);
        assert_eq!((queues.interrupt(), totals.interrupt()), (130, 130));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_later_is_heard_between_two_looks() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        let args = ["ls", "--watch=500ms", "--workers=100ms", "--json"];
        let mut watched = Watched::start(backend.command(&args));
        watched.until("workers", 0);
        let ivy = backend.ivy();
        let heard = Heard::start(&ivy).await;
        watched.until("workers", 1);
        assert_eq!(watched.interrupt(), 130);
        heard.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_when_its_server_is_back() {
    let mut backend = Backend::redis().await;
    backend.post("mail", &["1"]).await;
    let mut watched = Watched::start(backend.command(&["ls", "--watch=100ms", "--json"]));
    watched.until("queue", "mail");
    backend.redis_server().kill_hard().await;
    assert_eq!(watched.until_it_fails()["error"]["kind"], "failed");
    backend.redis_server().restart().await;
    backend.post("reports", &["1"]).await;
    watched.until("queue", "reports");
    assert_eq!(watched.interrupt(), 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_followed_when_their_server_is_back() {
    let mut backend = Backend::redis().await;
    let args = ["dead", "ls", "--follow=100ms", "--json"];
    let mut watched = Watched::start(backend.command(&args));
    tokio::time::sleep(Duration::from_secs(2)).await;
    backend.redis_server().kill_hard().await;
    watched.until_it_fails();
    backend.redis_server().restart().await;
    backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
    watched.until("queue", "mail.dead");
    assert_eq!(watched.interrupt(), 130);
}

#[test]
fn a_first_look_that_fails_ends_the_command() {
    let port = ClosedPort::take();
    let url = format!("redis://127.0.0.1:{}", port.number());
    for args in [&["ls", "--watch"][..], &["stats", "--watch"], &["workers", "--watch=300ms"]] {
        let ended = Ended::of(program(&[args, &["--queue-url", &url]].concat()));
        assert_eq!(ended.code, 1, "{args:?}: {ended:?}");
    }
}

//! Commands that are interrupted, killed, or lose their server in the middle.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ivy_proto::queue::{QueueOp, QueueReply, ReceivedBody};
use ivy_proto::wire::DeadLetterReason::Fatal;
use ivy_proto::wire::{DeadLetter, Envelope};
use ivy_proto::{MessageId, QueueName, TaskId};
use ivy_test_kit::{FaultyProxy, RequestKind};
use rustix::process::{Pid, Signal, kill_process};

use crate::backend::{Backend, Ended, lines, on_each, program};

/// How many letters each command requeues.
const LETTERS: u32 = 250;
/// How many commands are killed on each backend: fifty in all.
const KILLS: u32 = 25;
/// The most that a command has posted and not deleted.
const BATCH: usize = 100;

fn start(backend: &Backend, args: &[&str]) -> Child {
    let mut command = backend.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Ended {
    Ended::with_arguments_shown(&child.wait_with_output().unwrap())
}

/// Dead-letters tasks of this queue, whose ids differ.
async fn letters(backend: &Backend, queue: &str, count: u32) -> Vec<MessageId> {
    let letter = |number: u32| {
        let id = TaskId::from_random(u128::from(number).to_be_bytes());
        let body = format!(
            r#"{{"name":"mail.send","options":{{"ivy":{{"v":1,"id":"{id}"}}}},"args":[{number}]}}"#
        );
        let letter = DeadLetter {
            queue: QueueName::new(queue).unwrap(),
            id: MessageId::new(number.to_string()),
            reason: Fatal,
            error: None,
            attempts: 1,
            deliveries: 1,
            at: 0,
            body: ivy_proto::queue::Body::new(body),
        };
        letter.to_body()
    };
    let bodies: Vec<_> = (0..count).map(letter).collect();
    let mut ids = Vec::new();
    for batch in bodies.chunks(100) {
        let batch: Vec<&str> = batch.iter().map(|body| body.as_str()).collect();
        ids.extend(backend.post(&format!("{queue}.dead"), &batch).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_middle_ends_with_a_report_and_leaves_nothing_reserved() {
    on_each(async |backend| {
        letters(backend, "mail", LETTERS).await;
        let args = ["dead", "requeue", "mail", "--yes", "--rate", "20/s", "--json"];
        let child = start(backend, &args);
        tokio::time::sleep(Duration::from_secs(2)).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ended = ended(child);
        assert_eq!(ended.code, 130, "{ended:?}");
        let report = &lines(&ended.stdout).pop().unwrap()["report"];
        assert_eq!((&report["end"], &report["left_to_expire"]), (&"interrupted".into(), &0.into()));
        let posted = report["posted"].as_u64().unwrap();
        assert!(0 < posted && posted < LETTERS.into(), "{report}");
        assert_eq!(report["deleted"], posted, "{report}");
        // A letter that were reserved would not be found.
        let found = backend.json(&["dead", "ls", "--all"]);
        assert_eq!(found[0]["count"], u64::from(LETTERS) - posted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_the_question_changes_nothing_and_leaves_nothing_reserved() {
    on_each(async |backend| {
        letters(backend, "mail", LETTERS).await;
        let ended = backend.on_terminal_at(&["dead", "requeue", "mail"], "[y/N]", "\u{3}");
        assert_eq!(ended.code, 130, "{ended:?}");
        assert_eq!(backend.json(&["dead", "ls", "--all"])[0]["count"], LETTERS);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_leaves_a_report_of_what_was_done() {
    for backend in [Backend::ironmq().await, Backend::redis().await] {
        letters(&backend, "mail", LETTERS).await;
        let args = ["dead", "requeue", "mail", "--yes", "--rate", "20/s", "--json"];
        let child = start(&backend, &args);
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(backend);
        let ended = tokio::task::spawn_blocking(|| ended(child)).await.unwrap();
        assert_eq!(ended.code, 8, "{ended:?}");
        let report = &lines(&ended.stdout).pop().unwrap()["report"];
        assert_eq!(report["end"], "failed", "{report}");
        let number = |key: &str| report[key].as_u64().unwrap();
        assert!(number("posted") > 0 && number("left_to_expire") > 0, "{report}");
        let settled = number("deleted") + number("remaining") + number("unknown");
        assert!(settled >= number("posted"), "{report}");
        let all = number("posted") + number("unknown") + number("not_tried");
        assert_eq!(all, u64::from(LETTERS), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_interrupted_although_its_server_does_not_respond() {
    let backend = Backend::ironmq().await;
    letters(&backend, "mail", 3).await;
    let file = std::env::temp_dir().join(format!("ivy-import-{}", std::process::id()));
    let path = file.to_str().unwrap();
    backend.done(&["dead", "export", "mail", path]);
    let proxy = FaultyProxy::start(backend.ironmq_server().port()).await;
    let _held = proxy.hold_responses(RequestKind::Post);
    let url = backend.ironmq_server().url_at(proxy.port());
    let mut command = backend.command(&["dead", "import", path, "--queue-url", &url]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while proxy.seen(RequestKind::Post) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(|| ended(child)).await.unwrap();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(ended.stdout.contains("0 letters posted, and 3 possibly posted"), "{ended:?}");
    std::fs::remove_file(&file).unwrap();
}

/// A server that accepts connections and never replies.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_interrupted_during_its_first_request_although_the_server_is_silent() {
    for command in [
        &["dead", "requeue", "mail", "--yes"][..],
        &["dead", "delete", "mail", "--task", "t", "--yes"],
        &["dead", "export", "mail", "-"],
        &["dead", "ls", "mail", "--all"],
        &["move", "mail", "other", "--yes"],
    ] {
        for scheme in ["ironmq+http://token", "redis://:password"] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let url = format!(
                "{scheme}@127.0.0.1:{port}/{}",
                if scheme.starts_with('i') { "project" } else { "0" }
            );
            let mut program = program(&[command, &["--queue-url", &url]].concat());
            let child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let (mut connection, _) = listener.accept().unwrap();
            // The first request.
            connection.read_exact(&mut [0; 4]).unwrap();
            let interrupted = Instant::now();
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            let ended = ended(child);
            assert_eq!(ended.code, 130, "{command:?} {scheme}: {ended:?}");
            // A request fails after more than eight.
            assert!(interrupted.elapsed() < Duration::from_secs(5), "{command:?} {scheme}");
        }
    }
}

/// Kills the program at many moments of its work. Each command has a queue of its own, because
/// what it had reserved is hidden for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_requeue_loses_nothing_and_repeats_at_most_one_batch() {
    on_each(async |backend| {
        letters(backend, "whole", LETTERS).await;
        let began = Instant::now();
        backend.done(&["dead", "requeue", "whole", "--yes"]);
        let whole = began.elapsed();
        let mut in_the_middle = 0;
        for number in 0..KILLS {
            let queue = format!("mail{number}");
            let ids = letters(backend, &queue, LETTERS).await;
            let mut child = start(backend, &["dead", "requeue", &queue, "--yes"]);
            tokio::time::sleep(whole * number / KILLS).await;
            child.kill().unwrap();
            child.wait().unwrap();
            let posted = check(backend, &queue, &ids).await;
            in_the_middle += u32::from(0 < posted && posted < LETTERS as usize);
        }
        println!("{}: {in_the_middle} of {KILLS} kills in the middle", backend.name);
    })
    .await;
}

/// Checks that each task is in its queue, or its letter in the dead-letter queue, and that at most
/// a batch is in both. Returns how many are in their queue.
async fn check(backend: &Backend, queue: &str, letters: &[MessageId]) -> usize {
    let tasks = tasks(backend, queue).await;
    assert!(tasks.values().all(|copies| *copies == 1), "{queue}: a task was posted twice");
    let (ivy, dead) = (backend.ivy(), format!("{queue}.dead"));
    let left = ivy.admin().info(&dead).await.unwrap().size.unwrap() as usize;
    let in_both = (tasks.len() + left).saturating_sub(letters.len());
    assert!(in_both <= BATCH, "{queue}: {in_both} are in both queues");
    // If all letters are there, none is lost.
    let is_posted =
        |number: usize| tasks.contains_key(&TaskId::from_random((number as u128).to_be_bytes()));
    let numbered = letters.iter().enumerate().filter(|_| left < letters.len());
    for (number, letter) in numbered.filter(|(number, _)| !is_posted(*number)) {
        let is_dead = ivy.admin().get(&dead, letter).await.is_ok();
        assert!(is_dead, "{queue}: task {number} is lost");
    }
    tasks.len()
}

/// How many messages each task has in a queue.
async fn tasks(backend: &Backend, queue: &str) -> BTreeMap<TaskId, u32> {
    let (ivy, mut tasks) = (backend.ivy(), BTreeMap::new());
    loop {
        let queue = QueueName::new(queue).unwrap();
        let (count, lease) = (100, Duration::from_secs(600));
        let reserve = QueueOp::Reserve { queue, count, lease, wait: Duration::ZERO };
        // The queue does not exist before the first post.
        let Ok(reply) = ivy.queue().execute(reserve).await else { return tasks };
        let QueueReply::Reserved(reserved) = reply else { panic!("{reply:?}") };
        if reserved.messages.is_empty() {
            return tasks;
        }
        for message in reserved.messages {
            let ReceivedBody::Text(body) = message.body else { panic!("no text") };
            let envelope = Envelope::parse(body.as_str()).unwrap();
            *tasks.entry(envelope.options.ivy().unwrap().id).or_default() += 1;
        }
    }
}

//! `send` and `call`.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use ivy_test_kit::secrets::RESULT;
use ivy_tokio::{Task, TaskError};
use serde_json::json;

use crate::backend::{Ended, lines, on_each};

const ECHO: Task<(String,), String> = Task::new("test.echo").queue("test");
const FAIL: Task<(), ()> = Task::new("test.fail").queue("test");

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_task_is_a_message_with_its_options() {
    on_each(async |backend| {
        let options = ["--queue", "mail", "--priority", "2", "--retries", "5", "--expires", "1h"];
        let args = [&["send", "mail.send", r#"["a", 1]"#][..], &options].concat();
        backend.golden("send", &args);
        let line = &backend.json(&["peek", "mail.p2"])[0];
        assert_eq!(line["task"]["max_attempts"], 6);
        assert!(line["task"]["deadline"].is_u64());
        let printed = backend.done(&["send", "mail.send", "[]", "--queue", "mail"]);
        assert!(printed.starts_with("task ") && printed.contains(", message "), "{printed}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_sent_for_the_lines_of_the_input() {
    on_each(async |backend| {
        let args = ["send", "mail.send", "--queue", "mail", "--args-file", "-", "--json"];
        let mut command = backend.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input: String = (0..250).map(|number| format!("[{number}]\n\n")).collect();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let ended = Ended::with_arguments_shown(&child.wait_with_output().unwrap());
        assert_eq!((ended.code, lines(&ended.stdout).len()), (0, 250), "{}", ended.stderr);
        assert_eq!(backend.json(&["ls", "mail"])[0]["size"], 250);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_line_ends_the_sending_with_a_report() {
    on_each(async |backend| {
        let file = std::env::temp_dir().join(format!("ivy-lines-{}", std::process::id()));
        std::fs::write(&file, "[1]\n[2]\n{\"secret\":1}\n").unwrap();
        let path = file.to_str().unwrap();
        let args = ["send", "mail.send", "--queue", "mail", "--args-file", path];
        let error = backend.refused(&args, 8);
        assert!(error.contains("line 3: the arguments must be a JSON array"), "{error}");
        assert!(error.contains("2 tasks were sent") && !error.contains("secret"), "{error}");
        std::fs::remove_file(&file).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_prints_the_result_and_a_failure_has_its_own_exit_code() {
    on_each(async |backend| {
        let ivy = backend.ivy();
        let echo = |text: String| async move { Ok::<_, TaskError>(text) };
        let fail = || async { Err::<(), _>(TaskError::fatal("out of luck")) };
        let worker =
            ivy.worker().register(&ECHO, echo).register(&FAIL, fail).start().await.unwrap();

        let argument = serde_json::to_string(&[RESULT.text()]).unwrap();
        let args = ["call", "test.echo", &argument, "--queue", "test"];
        let called = Ended::with_arguments_shown(&backend.command(&args).output().unwrap());
        let expected = format!("{}\n", json!(RESULT.text()));
        assert_eq!((called.code, called.stdout), (0, expected), "{}", called.stderr);
        backend.golden("call", &["call", "test.echo", r#"["x"]"#, "--queue", "test"]);

        let error = backend.refused(&["call", "test.fail", "[]", "--queue", "test"], 7);
        assert!(error.contains("out of luck"), "{error}");
        worker.drain(Duration::from_secs(8)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_worker_waits_in_vain() {
    on_each(async |backend| {
        let args = ["call", "test.echo", "[]", "--queue", "test", "--timeout", "200ms"];
        let error = backend.refused(&args, 6);
        assert!(error.contains("no result within 200ms"), "{error}");
    })
    .await;
}

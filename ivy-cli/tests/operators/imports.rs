//! `dead import` and `dead export`: files that are not as they should be.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ivy_proto::wire::DeadLetterReason::Fatal;
use ivy_test_kit::secrets::ARGUMENT;
use serde_json::{Value, json};

use crate::backend::{Backend, Ended, lines, on_each, task};

/// A file of the temporary folder, removed at the end.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str) -> Self {
        TestFile(std::env::temp_dir().join(format!("ivy-{name}-{}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn line(queue: &str, body: &str) -> String {
    format!("{}\n", json!({ "v": 1, "queue": queue, "message": "1", "body": body }))
}

/// Imports these lines. Returns how the program ended.
fn import(backend: &Backend, text: &str, options: &[&str]) -> Ended {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let file = TestFile::new(&format!("imported-{}", NUMBER.fetch_add(1, Relaxed)));
    std::fs::write(file.path(), text).unwrap();
    backend.run(&[&["dead", "import", file.path()], options].concat())
}

fn size(backend: &Backend, queue: &str) -> u64 {
    let lines = backend.json(&["ls", "--all"]);
    let line = lines.iter().find(|line| line["queue"] == queue);
    line.and_then(|line| line["size"].as_u64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_imported_into_a_queue_of_tasks() {
    on_each(async |backend| {
        let body = task("mail.send", "");
        let ended = import(backend, &line("mail", &body), &[]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("line 1: its queue is not a dead-letter queue"), "{ended:?}");
        let ended = import(backend, &line("mail.dead", &body), &["--queue", "mail"]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("the one of its letters is mail.dead"), "{ended:?}");
        assert_eq!(backend.json(&["ls", "--all"]), Vec::<Value>::new());
        for option in ["--queue", "--route"] {
            let error = backend.refused(&["send", "t", "[]", option, "mail.dead"], 2);
            assert!(error.contains("a dead-letter queue, which no worker serves"), "{error}");
        }
        let ended = import(backend, &line("mail.dead", &body), &["--queue", "other.dead"]);
        assert_eq!((ended.code, size(backend, "other.dead")), (0, 1), "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_letters_are_imported_into_their_own_queue_only() {
    on_each(async |backend| {
        let sealed = line("mail.dead", "$ivy2$k1$AAAA");
        let ended = import(backend, &sealed, &["--queue", "other.dead"]);
        assert_eq!((ended.code, size(backend, "other.dead")), (2, 0), "{ended:?}");
        assert!(ended.stderr.contains("line 1: it is sealed for its own queue"), "{ended:?}");
        let ended = import(backend, &sealed, &["--queue", "mail.dead"]);
        assert_eq!((ended.code, size(backend, "mail.dead")), (0, 1), "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_before_an_invalid_one_are_imported() {
    on_each(async |backend| {
        let good = line("mail.dead", "x");
        let ended = import(backend, &format!("{good}{good}{{\"v\":1,\"que"), &["--json"]);
        assert_eq!(ended.code, 8, "{ended:?}");
        assert!(ended.stderr.contains("line 3"), "{ended:?}");
        assert!(ended.stderr.contains("import only the lines from 3 on"), "{ended:?}");
        let counted = &lines(&ended.stdout)[0];
        assert_eq!((&counted["posted"], &counted["possibly_posted"]), (&2.into(), &0.into()));
        assert_eq!(size(backend, "mail.dead"), 2);
        let ended = import(backend, "[]\n", &[]);
        assert_eq!(ended.code, 2, "{ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_too_large_is_named_by_its_line() {
    on_each(async |backend| {
        let (good, large) = (line("mail.dead", "x"), line("mail.dead", &"x".repeat(2 << 20)));
        let ended = import(backend, &format!("{good}{large}{good}"), &[]);
        assert_eq!(ended.code, 8, "{ended:?}");
        assert!(ended.stderr.contains("line 2: it is longer than"), "{ended:?}");
        assert_eq!(size(backend, "mail.dead"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_after_an_invalid_line_is_sent() {
    on_each(async |backend| {
        let file = TestFile::new("lines");
        std::fs::write(file.path(), "[1]\nnonsense\n[3]\n").unwrap();
        let args = ["send", "mail.send", "--queue", "mail", "--args-file", file.path()];
        let error = backend.refused(&args, 8);
        assert!(error.contains("line 2") && error.contains("1 task was sent"), "{error}");
        assert_eq!(size(backend, "mail"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_to_the_standard_output_contains_letters_only() {
    on_each(async |backend| {
        backend.dead_letter(&[(task("mail.send", "").as_str(), Fatal); 3]).await;
        let mut command = backend.command(&["dead", "export", "mail", "-", "--json"]);
        command.args(["--limit", "2"]);
        let ended = Ended::with_arguments_shown(&command.output().unwrap());
        assert_eq!((ended.code, lines(&ended.stdout).len()), (0, 2), "{ended:?}");
        let ended = import(backend, &ended.stdout, &[]);
        assert_eq!((ended.code, size(backend, "mail.dead")), (0, 5), "{ended:?}");
        backend.refused(&["dead", "export", "mail", "-", "--task", "other"], 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redacted_letters_are_opened_and_masked_and_cannot_be_imported() {
    on_each(async |backend| {
        backend.dead_letter(&[(&task("mail.send", ""), Fatal)]).await;
        let mut command = backend.command(&["dead", "export", "mail", "-"]);
        command.args(["--redact", "password"]);
        let exported = Ended::with_arguments_shown(&command.output().unwrap());
        let letter = &lines(&exported.stdout)[0];
        let expected = json!([ARGUMENT.text(), { "password": "***" }]);
        assert_eq!(letter["task"]["args"], expected, "{exported:?}");
        assert_eq!(letter["dead_letter"]["reason"], "Fatal");
        let ended = import(backend, &exported.stdout, &[]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("was exported with --redact"), "{ended:?}");
        assert_eq!(size(backend, "mail.dead"), 1);
    })
    .await;
}

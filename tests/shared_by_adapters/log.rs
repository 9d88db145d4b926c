//! Logging: spans name their task, and the level of an event matches its importance.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::adapter::{Ivy, Task, TaskError, handler, wait};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");

const PASSWORD: &str = "password-9d27c4";

/// Records each span and event as a line.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Log {
    fn keep(&self, metadata: &Metadata<'_>, name: &str, record: impl FnOnce(&mut Fields)) {
        if metadata.target().starts_with("ivy") {
            let mut fields = Fields(format!("{} {name}", metadata.level()));
            record(&mut fields);
            self.lines.lock().unwrap().push(fields.0);
        }
    }

    fn lines(&self, start: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(start)).cloned().collect()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.keep(span.metadata(), span.metadata().name(), |fields| span.record(fields));
        Id::from_u64(self.spans.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn event(&self, event: &Event<'_>) {
        self.keep(event.metadata(), "event", |fields| event.record(fields));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn spans_name_their_task_a_worker_speaks_once_and_only_problems_are_warnings() {
    let log = Log::default();
    // For the whole process, because an adapter may run in threads of its own.
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://");
    let ivy = ivy.encryption_password(PASSWORD).build().unwrap();
    let handler = handler!(|n: u64| match n {
        0..=100 => Ok(2 * n),
        _ => Err(TaskError::fatal("too large")),
    });
    let worker = wait(ivy.worker().register(&DOUBLE, handler).start()).unwrap();
    let minute = Duration::from_secs(60);
    let failing = wait(ivy.call(&DOUBLE, (4321,))).unwrap();
    wait(failing.result(minute)).unwrap_err();
    let id = failing.id();
    wait(worker.drain(minute));

    let about = format!("task.id={id} task.name=test.double queue=test");
    assert_eq!(log.lines("INFO ivy.send"), [format!("INFO ivy.send {about}")]);
    assert_eq!(log.lines("INFO ivy.run"), [format!("INFO ivy.run {about} attempt=1")]);
    let worker_lines = log.lines("INFO event");
    let parts = [
        "started on memory://: queues test; tasks test.double; a password",
        "first message",
        "drains",
    ];
    assert_eq!(worker_lines.len(), parts.len(), "{worker_lines:?}");
    for (line, part) in worker_lines.iter().zip(parts) {
        assert!(line.contains(part), "{line}");
    }
    let warnings = log.lines("WARN");
    assert!(
        matches!(&warnings[..], [start, end]
            if start.contains("encrypted although") && end.contains("moved to the dead-letter queue")),
        "{warnings:?}"
    );
    let quiet = log.lines("DEBUG").join("\n");
    for moment in ["was sent", "was reserved", "failed at", "was published", "has the failure"] {
        assert!(quiet.contains(moment), "{moment}: {quiet}");
    }
    let all = log.lines("").join("\n");
    assert!(!all.contains("4321"), "arguments are not logged");
    assert!(!all.contains(PASSWORD), "secrets are not logged");
}

//! Logging: spans name their task, the level of an event matches its importance, and its line has fields.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::adapter::ivy_proto::backend::{BoxFuture, Queue};
use crate::adapter::ivy_proto::queue::{Capabilities, QueueOp, QueueReply};
use crate::adapter::{Fault, FaultKind, Ivy, Task, TaskError, handler, wait};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
/// No worker has a handler for it.
const UNKNOWN: Task<(u64,), u64> = Task::new("test.unknown").queue("test");

const PASSWORD: &str = "password-9d27c4";
const MINUTE: Duration = Duration::from_secs(60);

/// Records each span and event as a line.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

/// The log while one test writes it.
struct Recording {
    log: Log,
    _turn: MutexGuard<'static, ()>,
}

impl Recording {
    /// One subscriber for the whole process, because an adapter may run in threads of its own. So the
    /// tests take turns.
    fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let log = LOG.get_or_init(|| {
            let log = Log::default();
            tracing::subscriber::set_global_default(log.clone()).unwrap();
            log
        });
        log.lines.lock().unwrap().clear();
        Recording { log: log.clone(), _turn: turn }
    }

    fn lines(&self, start: &str) -> Vec<String> {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(start)).cloned().collect()
    }

    /// The first line of events with this start and this text.
    fn line(&self, start: &str, text: &str) -> String {
        let mut lines = self.lines(start);
        lines.retain(|line| line.contains(text));
        assert!(!lines.is_empty(), "no line {start}: {text}, in {:#?}", self.lines(""));
        lines.swap_remove(0)
    }
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
        self.keep(event.metadata(), event.metadata().target(), |fields| event.record(fields));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A queue that fails one operation of a kind as it is told to.
#[derive(Clone, Debug)]
struct FailingQueue {
    queue: Arc<dyn Queue>,
    next_reserve: Arc<Mutex<Option<FaultKind>>>,
    next_release: Arc<Mutex<Option<FaultKind>>>,
}

impl Queue for FailingQueue {
    fn capabilities(&self) -> Capabilities {
        self.queue.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let next = match op {
            QueueOp::Reserve { .. } => self.next_reserve.lock().unwrap().take(),
            QueueOp::Release { .. } => self.next_release.lock().unwrap().take(),
            _ => None,
        };
        match next {
            Some(kind) => Box::pin(async move { Err(Fault::new(kind)) }),
            None => self.queue.execute(op),
        }
    }
}

#[test]
fn spans_name_their_task_a_worker_speaks_once_and_only_problems_are_warnings() {
    let log = Recording::start();
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://");
    let ivy = ivy.encryption_password(PASSWORD).build().unwrap();
    let handler = handler!(|n: u64| match n {
        0..=100 => Ok(2 * n),
        _ => Err(TaskError::fatal("too large")),
    });
    let worker = wait(ivy.worker().register(&DOUBLE, handler).start()).unwrap();
    let failing = wait(ivy.call(&DOUBLE, (4321,))).unwrap();
    wait(failing.result(MINUTE)).unwrap_err();
    let id = failing.id();
    wait(worker.drain(MINUTE));

    for (span, own) in [("send", "otel.kind=\"PRODUCER\""), ("process", "ivy.attempt=1")] {
        let [line] = &log.lines(&format!("INFO {span} "))[..] else { panic!("one span {span}") };
        let queue = "messaging.destination.name=test";
        for field in [&format!("task.id={id}"), "ivy.task=test.double", queue, own] {
            assert!(line.split(' ').any(|part| part == field), "{field}: {line}");
        }
    }
    let worker_lines = log.lines("INFO ivy::");
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

#[test]
fn lines_have_the_fields_of_their_events() {
    let log = Recording::start();
    let memory = Ivy::builder().queue_url("memory://").build().unwrap();
    let queue = FailingQueue {
        queue: memory.queue(),
        next_reserve: Arc::new(Mutex::new(Some(FaultKind::Unreachable))),
        next_release: Arc::default(),
    };
    let ivy = Ivy::builder().queue(queue.clone()).notifier_url("memory://");
    let ivy = ivy.encryption_password(PASSWORD).build().unwrap();
    let next_release = queue.next_release;
    let handler = handler!([next_release], |n: u64| match n {
        0 => Err(TaskError::fatal("invalid")),
        1 => Err(TaskError::new("busy")),
        2 => {
            *next_release.lock().unwrap() = Some(FaultKind::LeaseLost);
            Err(TaskError::new("busy"))
        }
        n => Ok(2 * n),
    });
    wait(ivy.send(&UNKNOWN, (3,))).unwrap();
    let ids = [1, 2].map(|n| wait(ivy.send(&DOUBLE, (n,))).unwrap());
    let worker = wait(ivy.worker().register(&DOUBLE, handler).concurrency(1).start()).unwrap();
    // The queue returns messages in order, so this one is the last.
    let failing = wait(ivy.call(&DOUBLE, (0,))).unwrap();
    wait(failing.result(MINUTE)).unwrap_err();
    wait(worker.drain(MINUTE));

    let fault = log.line("DEBUG ivy::queue", "cannot reach");
    assert!(fault.contains(" queue=test error.kind=\"Unreachable\""), "{fault}");

    let retry = log.line("DEBUG ivy::worker", "will be retried in");
    let task = format!(" task.id={} task.name=test.double queue=test", ids[0]);
    assert!(retry.contains(&task) && retry.contains(" attempt=2 delay_s="), "{retry}");

    let lost = log.line("DEBUG ivy::worker", "its lease was lost");
    assert!(lost.contains(" queue=test message.id="), "{lost}");

    let released = log.line("WARN ivy::worker", "was released");
    for field in
        [" task.name=test.unknown queue=test message.id=", " reason=\"UnknownTask\" delay_s="]
    {
        assert!(released.contains(field), "{released}");
    }

    let executed = log.line("DEBUG ivy::worker", "failed at attempt 1");
    assert!(executed.contains(&task) && executed.contains(" attempt=1 took_s="), "{executed}");
    assert!(executed.contains(" wait_s=") && executed.contains(" error.kind=\"Failed\""));

    let dead = log.line("WARN ivy::worker", "moved to the dead-letter queue");
    let task = format!(" task.id={} task.name=test.double queue=test message.id=", failing.id());
    assert!(dead.contains(&task) && dead.contains(" attempt=1 reason=\"Fatal\""), "{dead}");

    let sent = log.line("DEBUG ivy::producer", "was sent");
    assert!(sent.contains(" message.id="), "{sent}");
    assert!(!log.lines("").join("\n").contains(PASSWORD), "secrets are not logged");
}

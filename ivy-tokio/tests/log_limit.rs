//! Limits how much of the log invalid messages, which anyone may post, can fill.
//!
//! This is the only test in its binary, because it needs a global subscriber.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ivy_tokio::{Ivy, Task, TaskError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const REFUSED: Task<(u64,), u64> = Task::new("test.refused").queue("test");
const MESSAGES: usize = 10_000;

/// Records the text of each warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{value:?}").unwrap();
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("ivy")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// How many messages a line reports.
fn reported_by(line: &str) -> usize {
    line.split_once(" more within a minute").map_or(1, |(number, _)| number.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_messages_are_all_logged_or_counted_in_a_few_lines() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap();
    let refuse = |_| async { Err::<u64, _>(TaskError::fatal("not for us")) };
    let worker = ivy.worker().register(&REFUSED, refuse).start().await.unwrap();
    for n in 0..MESSAGES as u64 {
        ivy.send(&REFUSED, (n,)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    let lines = warnings.take();
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < MESSAGES, "{bytes} bytes of log for {MESSAGES} messages");
    assert_eq!(lines.iter().map(|line| reported_by(line)).sum::<usize>(), MESSAGES, "{lines:#?}");

    for n in 0..100 {
        ivy.send(&REFUSED, (n,)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    worker.drain(Duration::from_secs(8)).await;
    let reported: usize = warnings.take().iter().map(|line| reported_by(line)).sum();
    assert_eq!(reported, 100, "the worker logs the count of suppressed lines when it ends");
}

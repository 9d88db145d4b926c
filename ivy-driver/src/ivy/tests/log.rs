//! How much of the log strangers fill.

use std::fmt::Write;

use ivy_proto::QueueName;
use ivy_proto::queue::{Batch, Body, NewMessage};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use super::*;

/// Keeps the text of each warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{value:?}").unwrap();
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
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

/// Posts so many messages that nobody can read, a multiple of 100, and waits until there are so many
/// dead letters.
async fn post(queue: &Flaky, messages: usize, dead_letters: usize) {
    let name = QueueName::new("test").unwrap();
    for _ in 0..messages / 100 {
        let message = NewMessage { body: Body::new("no JSON at all"), delay: Duration::ZERO };
        let messages = Batch::new(vec![message; 100]).unwrap();
        queue.execute(QueueOp::Post { queue: name.clone(), messages }).await.unwrap();
    }
    let dead = name.dead_letters().unwrap();
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let counted = queue.execute(QueueOp::GetQueue { queue: dead.clone() }).await;
        if let Ok(QueueReply::Queue(info)) = counted
            && info.size == Some(dead_letters as u64)
        {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_stranger_fill_no_log() {
    const MESSAGES: usize = 10_000;
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let queue = flaky([]);
    let ivy = ivy(queue.clone(), None);
    let worker = worker(&ivy).await;
    post(&queue, MESSAGES, MESSAGES).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lines = std::mem::take(&mut *warnings.0.lock().unwrap());
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < MESSAGES, "{bytes} bytes of log for {MESSAGES} messages");
    let left_out = |line: &String| line.split_once(" more within a minute")?.0.parse().ok();
    let told: usize = lines.iter().map(|line| left_out(line).unwrap_or(1)).sum();
    assert_eq!(told, MESSAGES, "each message is told or counted: {lines:#?}");

    post(&queue, 100, MESSAGES + 100).await;
    worker.drain(SOON).await;
    let last = warnings.0.lock().unwrap().pop().unwrap();
    assert!(last.contains(" more within a minute"), "the drain tells what was left out: {last}");
}

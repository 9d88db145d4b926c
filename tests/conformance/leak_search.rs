//! Searches all that an adapter shows for the secrets that scenarios use: its log at every level,
//! its errors, the `Debug` output of its values, and panics.

use std::any::type_name;
use std::error::Error;
use std::fmt::{Debug, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use ivy_test_kit::secrets::Record;
use libtest_mimic::Conclusion;
use tracing::field::Field;
use tracing::{Metadata, Subscriber, span};

static RECORD: Record = Record::new();

/// What every complete run searches.
const KINDS: [&str; 6] = ["event", "log", "span", "error", "value", "panic"];

/// Searches what this process logs from now on.
pub(crate) fn listen() {
    tracing::subscriber::set_global_default(Log::default()).expect("no other subscriber is set");
}

/// Searches a value that a scenario received.
pub(crate) fn value<T: Debug + ?Sized>(value: &T) {
    RECORD.search("value", type_name::<T>(), &format!("{value:?} {value:#?}"));
}

/// Searches an event.
pub(crate) fn event<T: Debug>(event: &T) {
    RECORD.search("event", type_name::<T>(), &format!("{event:?}"));
}

/// Searches an error and its sources.
pub(crate) fn error<E: Error + 'static>(error: &E) {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        RECORD.search("error", type_name::<E>(), &format!("{error} {error:?} {error:#?}"));
        next = error.source();
    }
}

pub(crate) fn panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let text = panic.payload().downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.payload().downcast_ref().map(String::as_str));
    RECORD.search("panic", &place, text.unwrap_or_default());
}

/// What the search of a run has found. A complete run must have searched everything.
pub(crate) fn verdict(run: &Conclusion) -> Result<String, String> {
    let is_whole = run.num_filtered_out == 0 && run.num_passed > 0;
    RECORD.verdict(if is_whole { &KINDS } else { &[] })
}

/// Searches what ivy logs, including the fields of its spans, and stores nothing.
#[derive(Debug, Default)]
struct Log {
    spans: AtomicU64,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ivy")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        search("span", span.metadata(), |line| span.record(line));
        span::Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line::default();
        values.record(&mut line.visitor());
        RECORD.search("span", "recorded later", &line.0);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        search("log", event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn search(
    kind: &'static str,
    metadata: &Metadata<'_>,
    fields: impl FnOnce(&mut dyn tracing::field::Visit),
) {
    let mut line = Line::default();
    fields(&mut line.visitor());
    let place = format!(
        "{} at {}:{}",
        metadata.target(),
        metadata.file().unwrap_or("?"),
        metadata.line().unwrap_or_default()
    );
    RECORD.search(kind, &place, &line.0);
}

/// The fields of a log line or a span.
#[derive(Default)]
struct Line(String);

impl Line {
    fn visitor(&mut self) -> impl FnMut(&Field, &dyn Debug) + '_ {
        |field, value| {
            let _ = write!(self.0, "{field}={value:?} ");
        }
    }
}

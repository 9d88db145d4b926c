//! All that an adapter shows, searched for the secrets that scenarios use: what it logs at every
//! level, its errors, its values as they are debugged, and panics.

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

/// What every whole run searches.
const KINDS: [&str; 6] = ["event", "log", "span", "error", "value", "panic"];

/// Listens to what is logged from now on in this process.
pub(crate) fn listen() {
    tracing::subscriber::set_global_default(Log::default()).expect("nobody else listens");
}

/// A value that a scenario was given.
pub(crate) fn value<T: Debug + ?Sized>(value: &T) {
    RECORD.search("value", type_name::<T>(), &format!("{value:?} {value:#?}"));
}

/// An event that a scenario has watched.
pub(crate) fn event<T: Debug>(event: &T) {
    RECORD.search("event", type_name::<T>(), &format!("{event:?}"));
}

/// An error that a scenario was given, and what caused it.
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

/// What the search of a run has found. A whole run must have searched everything.
pub(crate) fn verdict(run: &Conclusion) -> Result<String, String> {
    let is_whole = run.num_filtered_out == 0 && run.num_passed > 0;
    RECORD.verdict(if is_whole { &KINDS } else { &[] })
}

/// Searches what ivy logs, with the fields of its spans, and keeps nothing.
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
        RECORD.search("span", "filled in later", &line.0);
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

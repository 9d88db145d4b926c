//! Writes a snapshot in the text format of OpenMetrics 1.0, which Prometheus reads.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use crate::event::Part;
use crate::name::QueueName;

use super::counts::ResultOutcome;
use super::histogram::Histogram;
use super::labels::Labels;
use super::requests::{RequestKind, RequestOutcome};
use super::snapshot::{Backends, Snapshot};

pub use queue_gauges::{QueueGauge, QueueGauges};

/// The `Content-Type` of a response with this text.
pub const OPENMETRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The backend if the adapter does not know its name.
const UNKNOWN_BACKEND: &str = "unknown";
const UNKNOWN_BACKENDS: Backends = Backends::new(UNKNOWN_BACKEND, None);

impl Snapshot {
    /// Writes the metrics in the text format of OpenMetrics 1.0, for Prometheus and others. All
    /// names begin with `ivy_`; times are in seconds. The text is complete: to expose further
    /// metrics of the program, expose them under another path.
    ///
    /// # Errors
    /// Only those of `out`; writing to a `String` does not fail.
    pub fn write_openmetrics(&self, out: &mut impl Write) -> fmt::Result {
        let mut writer = Writer { out };
        self.write_calls(&mut writer)?;
        self.write_tasks(&mut writer)?;
        self.write_queues(&mut writer)?;
        self.write_requests(&mut writer)?;
        self.write_degraded(&mut writer)?;
        writer.end(self.backends)
    }

    fn write_calls<W: Write>(&self, to: &mut Writer<'_, W>) -> fmt::Result {
        to.family("ivy_tasks_sent", "counter", "Tasks sent, or not, by outcome.")?;
        for (key, counts) in &self.sent {
            for (outcome, count) in counts.iter() {
                let labels = [
                    ("queue", key.queue.as_str()),
                    ("task", key.task.as_str()),
                    ("outcome", outcome.as_str()),
                ];
                to.sample("ivy_tasks_sent_total", &labels, count)?;
            }
        }
        to.family("ivy_resends", "counter", "Posts repeated because a reply was lost.")?;
        for (queue, count) in &self.resends {
            to.sample("ivy_resends_total", &[("queue", queue.as_str())], count)?;
        }
        to.family("ivy_calls_waiting", "gauge", "Calls whose results are pending.")?;
        to.sample("ivy_calls_waiting", &[], self.calls_waiting)?;
        to.family("ivy_outbox_calls", "gauge", "Calls that are not sent yet.")?;
        to.sample("ivy_outbox_calls", &[], self.outbox_calls)?;
        to.seconds("ivy_result_seconds", "histogram", "From a call until its result.")?;
        for (task, times) in &self.results {
            for outcome in ResultOutcome::ALL {
                let labels = [("task", task.as_str()), ("outcome", outcome.as_str())];
                to.histogram("ivy_result_seconds", &labels, times.of(*outcome))?;
            }
        }
        Ok(())
    }

    fn write_tasks<W: Write>(&self, to: &mut Writer<'_, W>) -> fmt::Result {
        let by_key = || {
            self.tasks.iter().map(|(key, counts)| {
                ([("queue", key.queue.as_str()), ("task", key.task.as_str())], counts)
            })
        };
        let help = "From when a task was due until its first attempt started.";
        to.seconds("ivy_task_wait_seconds", "histogram", help)?;
        for (labels, counts) in by_key() {
            to.histogram("ivy_task_wait_seconds", &labels, &counts.wait)?;
        }
        to.seconds("ivy_task_run_seconds", "histogram", "How long handlers ran.")?;
        for (labels, counts) in by_key() {
            to.histogram("ivy_task_run_seconds", &labels, &counts.run)?;
        }
        to.family("ivy_tasks_executed", "counter", "Handlers ended, by outcome.")?;
        for ([queue, task], counts) in by_key() {
            for (outcome, count) in counts.executed.iter() {
                let labels = [queue, task, ("outcome", outcome.as_str())];
                to.sample("ivy_tasks_executed_total", &labels, count)?;
            }
        }
        to.family("ivy_tasks_retried", "counter", "Failed attempts that will be retried.")?;
        for (labels, counts) in by_key() {
            to.sample("ivy_tasks_retried_total", &labels, counts.retried)?;
        }
        to.family("ivy_tasks_dead", "counter", "Messages moved to the dead-letter queue.")?;
        for ([queue, task], counts) in by_key() {
            for (reason, count) in &counts.dead {
                let labels = [queue, task, ("reason", reason.as_str())];
                to.sample("ivy_tasks_dead_total", &labels, count)?;
            }
        }
        Ok(())
    }

    fn write_queues<W: Write>(&self, to: &mut Writer<'_, W>) -> fmt::Result {
        let by_queue =
            || self.queues.iter().map(|(queue, counts)| ([("queue", queue.as_str())], counts));
        to.family("ivy_messages_reserved", "counter", "Messages reserved.")?;
        for (labels, counts) in by_queue() {
            to.sample("ivy_messages_reserved_total", &labels, counts.reserved)?;
        }
        to.family("ivy_messages_released", "counter", "Messages released, by reason.")?;
        for ([queue], counts) in by_queue() {
            for (reason, count) in &counts.released {
                let labels = [queue, ("reason", reason.as_str())];
                to.sample("ivy_messages_released_total", &labels, count)?;
            }
        }
        to.family("ivy_leases_lost", "counter", "Leases lost.")?;
        for (labels, counts) in by_queue() {
            to.sample("ivy_leases_lost_total", &labels, counts.leases_lost)?;
        }
        to.family("ivy_touches", "counter", "Renewals of leases requested.")?;
        for (labels, counts) in by_queue() {
            to.sample("ivy_touches_total", &labels, counts.touches)?;
        }
        to.family("ivy_notices", "counter", "Notices to callers, by outcome.")?;
        for (outcome, count) in self.notices.iter() {
            to.sample("ivy_notices_total", &[("outcome", outcome.as_str())], count)?;
        }
        to.family("ivy_tasks_running", "gauge", "Handlers that run.")?;
        for (labels, counts) in by_queue() {
            to.sample("ivy_tasks_running", &labels, counts.running)?;
        }
        to.family("ivy_messages_held", "gauge", "Messages reserved and not settled.")?;
        for (labels, counts) in by_queue() {
            to.sample("ivy_messages_held", &labels, counts.held)?;
        }
        to.family("ivy_worker_slots", "gauge", "How many handlers may run.")?;
        to.sample("ivy_worker_slots", &[], self.slots)?;
        let help = "How long the oldest running handler has been running.";
        to.seconds("ivy_task_longest_running_seconds", "gauge", help)?;
        for (labels, counts) in by_queue() {
            let seconds = Seconds::of(counts.longest_running);
            to.sample("ivy_task_longest_running_seconds", &labels, seconds)?;
        }
        let help = "How far the clocks of this host and of the queue's server are apart.";
        to.seconds("ivy_clock_skew_seconds", "gauge", help)?;
        if let Some(skew) = self.clock_skew {
            to.sample("ivy_clock_skew_seconds", &[], Seconds::of(skew))?;
        }
        Ok(())
    }

    fn write_requests<W: Write>(&self, to: &mut Writer<'_, W>) -> fmt::Result {
        let Backends { queue, notifier } = self.backends.unwrap_or(UNKNOWN_BACKENDS);
        let each = || {
            self.requests.iter().flat_map(move |(kind, times)| {
                let backend = match kind {
                    RequestKind::Publish => notifier.unwrap_or(UNKNOWN_BACKEND),
                    _ => queue,
                };
                RequestOutcome::ALL.iter().map(move |outcome| {
                    let labels = [
                        ("backend", backend),
                        ("op", kind.as_str()),
                        ("outcome", outcome.as_str()),
                    ];
                    (labels, times.of(*outcome))
                })
            })
        };
        let help = "Requests to the queue and the notifier, by outcome.";
        to.family("ivy_requests", "counter", help)?;
        for (labels, times) in each() {
            to.sample("ivy_requests_total", &labels, times.count())?;
        }
        let help = "How long requests took; reserves include the time of their long polls.";
        to.seconds("ivy_request_seconds", "histogram", help)?;
        for (labels, times) in each() {
            to.histogram("ivy_request_seconds", &labels, times)?;
        }
        Ok(())
    }

    /// Healthy parts are written as 0, so that an alert sees them recover.
    fn write_degraded<W: Write>(&self, to: &mut Writer<'_, W>) -> fmt::Result {
        let mut labels = Labels::default();
        let mut queues: BTreeSet<QueueName> = self.queues.keys().cloned().collect();
        queues.extend(self.sent.keys().map(|key| key.queue.clone()));
        let queues: BTreeSet<QueueName> = queues.iter().map(|queue| labels.queue(queue)).collect();
        let mut failing = BTreeSet::new();
        for part in &self.degraded {
            failing.insert(match part {
                Part::Queue(queue) => ("queue", labels.queue(queue)),
                Part::Messages(queue) => ("messages", labels.queue(queue)),
                Part::Task { queue, .. } => ("task", labels.queue(queue)),
                Part::Notifier => continue,
            });
        }
        let named = ["queue", "messages", "task"].into_iter();
        let parts = named.flat_map(|part| queues.iter().map(move |queue| (part, queue.clone())));
        let parts: BTreeSet<(&str, QueueName)> = parts.chain(failing.iter().cloned()).collect();
        to.family("ivy_degraded", "gauge", "Whether a part keeps failing.")?;
        for (part, queue) in &parts {
            let fails = failing.contains(&(*part, queue.clone()));
            let labels = [("part", *part), ("queue", queue.as_str())];
            to.sample("ivy_degraded", &labels, u8::from(fails))?;
        }
        let fails = self.degraded.contains(&Part::Notifier);
        to.sample("ivy_degraded", &[("part", "notifier")], u8::from(fails))
    }
}

struct Writer<'a, W> {
    out: &'a mut W,
}

impl<W: Write> Writer<'_, W> {
    /// The last lines.
    fn end(&mut self, backends: Option<Backends>) -> fmt::Result {
        let Backends { queue, .. } = backends.unwrap_or(UNKNOWN_BACKENDS);
        self.family("ivy_build", "info", "The version of ivy and its queue's backend.")?;
        let version = env!("CARGO_PKG_VERSION");
        self.sample("ivy_build_info", &[("version", version), ("backend", queue)], 1)?;
        self.out.write_str("# EOF\n")
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.out, "# TYPE {name} {kind}\n# HELP {name} {help}")
    }

    fn seconds(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        self.family(name, kind, help)?;
        writeln!(self.out, "# UNIT {name} seconds")
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> fmt::Result {
        self.out.write_str(name)?;
        self.labels(labels)?;
        writeln!(self.out, " {value}")
    }

    fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        histogram: &Histogram,
    ) -> fmt::Result {
        // The labels are written once, and copied for each bucket.
        let mut text = String::new();
        write_labels(&mut text, labels)?;
        let separator = if text.is_empty() { "" } else { "," };
        let mut count = 0_u64;
        let bounds = histogram.scale().bounds().iter().map(Some).chain([None]);
        for (bound, in_bucket) in bounds.zip(histogram.buckets()) {
            count = count.saturating_add(*in_bucket);
            for part in [name, "_bucket{", &text, separator, "le=\""] {
                self.out.write_str(part)?;
            }
            match bound {
                Some(micros) => write!(self.out, "{}", Seconds(*micros))?,
                None => self.out.write_str("+Inf")?,
            }
            writeln!(self.out, "\"}} {count}")?;
        }
        let braced = if text.is_empty() { text } else { format!("{{{text}}}") };
        writeln!(self.out, "{name}_count{braced} {count}")?;
        writeln!(self.out, "{name}_sum{braced} {}", Seconds::of(histogram.sum()))
    }

    fn labels(&mut self, labels: &[(&str, &str)]) -> fmt::Result {
        if labels.is_empty() {
            return Ok(());
        }
        self.out.write_char('{')?;
        write_labels(self.out, labels)?;
        self.out.write_char('}')
    }
}

/// Writes labels, without braces.
fn write_labels(out: &mut impl Write, labels: &[(&str, &str)]) -> fmt::Result {
    let mut separator = "";
    for (name, value) in labels {
        for part in [separator, name, "=\""] {
            out.write_str(part)?;
        }
        write_escaped(out, value)?;
        out.write_char('"')?;
        separator = ",";
    }
    Ok(())
}

/// Writes a label's value.
fn write_escaped(out: &mut impl Write, value: &str) -> fmt::Result {
    for part in value.split_inclusive(['\\', '"', '\n']) {
        let plain = part.trim_end_matches(['\\', '"', '\n']);
        out.write_str(plain)?;
        match part.strip_prefix(plain) {
            Some("\\") => out.write_str("\\\\")?,
            Some("\"") => out.write_str("\\\"")?,
            Some("\n") => out.write_str("\\n")?,
            _ => {}
        }
    }
    Ok(())
}

/// Microseconds, written as a decimal number of seconds that has at least one digit after its
/// point. Exact, unlike a float.
struct Seconds(u64);

impl Seconds {
    fn of(duration: Duration) -> Self {
        Seconds(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (mut fraction, mut digits) = (micros, 6);
        while digits > 1 && fraction % 10 == 0 {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
        write!(f, "{seconds}.{fraction:0digits$}")
    }
}

mod queue_gauges;
#[cfg(test)]
mod tests;

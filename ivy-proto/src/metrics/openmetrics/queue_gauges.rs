//! The gauges of queues, which one program asks for, and not each worker.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::metrics::labels::Labels;
use crate::metrics::snapshot::Backends;
use crate::name::QueueName;

use super::{Seconds, Writer};

/// What is known of physical queues at one time, for an exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueGauges {
    /// By queue.
    pub queues: BTreeMap<QueueName, QueueGauge>,
    /// The names of the backends, if they are known.
    pub backends: Option<Backends>,
}

/// What is known of a physical queue. What is unknown is not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueGauge {
    /// Its messages, including reserved and delayed ones.
    pub messages: Option<u64>,
    /// How long its first ready message has been due.
    pub head_age: Option<Duration>,
    /// The messages of its dead-letter queue.
    pub dead_letters: Option<u64>,
    /// How many workers that serve it were heard.
    pub workers_heard: Option<u64>,
}

impl QueueGauge {
    /// What is known of several queues together.
    fn combine(&mut self, other: &QueueGauge) {
        fn both<T: Copy>(one: &mut Option<T>, other: Option<T>, of: fn(T, T) -> T) {
            *one = match (*one, other) {
                (Some(one), Some(other)) => Some(of(one, other)),
                (one, other) => one.or(other),
            };
        }
        both(&mut self.messages, other.messages, u64::saturating_add);
        both(&mut self.head_age, other.head_age, Duration::max);
        both(&mut self.dead_letters, other.dead_letters, u64::saturating_add);
        // A worker may serve several of them.
        both(&mut self.workers_heard, other.workers_heard, u64::max);
    }
}

impl QueueGauges {
    /// Writes the gauges in the text format of OpenMetrics 1.0. Queues beyond the limit of labels
    /// share the label [`OTHER`](crate::metrics::OTHER).
    ///
    /// # Errors
    /// Only those of `out`; writing to a `String` does not fail.
    pub fn write_openmetrics(&self, out: &mut impl Write) -> fmt::Result {
        let mut labels = Labels::default();
        let mut queues = BTreeMap::<QueueName, QueueGauge>::new();
        for (queue, gauge) in &self.queues {
            queues.entry(labels.queue(queue)).or_default().combine(gauge);
        }
        let mut to = Writer { out };
        let help = "Messages in the queue, including reserved and delayed ones.";
        to.family("ivy_queue_messages", "gauge", help)?;
        for (queue, gauge) in &queues {
            if let Some(messages) = gauge.messages {
                let labels = [("queue", queue.as_str()), ("state", "all")];
                to.sample("ivy_queue_messages", &labels, messages)?;
            }
        }
        let help = "How long the first ready message has been due.";
        to.seconds("ivy_queue_head_age_seconds", "gauge", help)?;
        for (queue, gauge) in &queues {
            if let Some(age) = gauge.head_age {
                let labels = [("queue", queue.as_str())];
                to.sample("ivy_queue_head_age_seconds", &labels, Seconds::of(age))?;
            }
        }
        to.family("ivy_dead_letters", "gauge", "Messages in the dead-letter queue.")?;
        for (queue, gauge) in &queues {
            if let Some(letters) = gauge.dead_letters {
                to.sample("ivy_dead_letters", &[("queue", queue.as_str())], letters)?;
            }
        }
        to.family("ivy_workers_heard", "gauge", "Workers of the queue that were heard.")?;
        for (queue, gauge) in &queues {
            if let Some(workers) = gauge.workers_heard {
                to.sample("ivy_workers_heard", &[("queue", queue.as_str())], workers)?;
            }
        }
        to.end(self.backends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MOST_QUEUES;

    fn written(gauges: &QueueGauges) -> String {
        let mut text = String::new();
        gauges.write_openmetrics(&mut text).unwrap();
        text
    }

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    #[test]
    fn what_is_unknown_is_not_written() {
        let mut gauges = QueueGauges::default();
        let gauge = QueueGauge { messages: Some(3), dead_letters: Some(0), ..Default::default() };
        gauges.queues.insert(queue("a\"b"), gauge);
        gauges.queues.insert(queue("mail"), QueueGauge::default());
        let text = written(&gauges);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "ivy_queue_messages{queue=\"a\\\"b\",state=\"all\"} 3",
            "ivy_dead_letters{queue=\"a\\\"b\"} 0",
        ];
        assert_eq!(samples[..2], expected);
        assert!(samples[2].starts_with("ivy_build_info{version="), "{text}");
        assert_eq!(samples.len(), 3);
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn queues_beyond_the_limit_share_a_label() {
        let mut gauges = QueueGauges::default();
        for number in 0..MOST_QUEUES + 10 {
            let gauge = QueueGauge {
                messages: Some(2),
                head_age: Some(Duration::from_millis(1500)),
                dead_letters: None,
                workers_heard: Some(1),
            };
            gauges.queues.insert(queue(&format!("q{number:03}")), gauge);
        }
        let text = written(&gauges);
        for sample in [
            "ivy_queue_messages{queue=\"other\",state=\"all\"} 20\n",
            "ivy_queue_head_age_seconds{queue=\"other\"} 1.5\n",
            "ivy_workers_heard{queue=\"other\"} 1\n",
        ] {
            assert!(text.contains(sample), "{sample}: {text}");
        }
    }
}

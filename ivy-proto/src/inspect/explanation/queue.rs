//! Why the messages of a queue do not run, without looking at one of them.

use std::collections::BTreeMap;

use crate::event::ReleaseReason;
use crate::name::{QueueName, TaskName};
use crate::presence::Heard;
use crate::text::Counted;

use super::Explanation;

/// What is known about a queue that is to be explained.
#[derive(Clone, Debug)]
pub struct QueueEvidence {
    /// The physical queue.
    pub queue: QueueName,
    /// The number of its messages, if it reports that.
    pub size: Option<u64>,
    /// How many of them are ready: at least so many if `may_be_more`.
    pub ready: u64,
    /// Whether more may be ready than could be seen.
    pub may_be_more: bool,
    /// The workers that were heard, if somebody listened for them.
    pub heard: Option<Heard>,
}

/// The messages that workers of a queue could not decide on, and released: their numbers by reason,
/// and the tasks.
///
/// They are counted since the start of each worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndecidedReleases {
    /// The number by reason.
    pub by_reason: BTreeMap<ReleaseReason, u64>,
    /// The tasks, as far as workers count them by name.
    pub tasks: Vec<TaskName>,
}

impl UndecidedReleases {
    /// What the workers that were heard have released on this queue.
    #[must_use]
    pub fn of(heard: &Heard, queue: &QueueName) -> Self {
        let mut releases = UndecidedReleases::default();
        for (key, counts) in heard.counts() {
            if key.queue != *queue {
                continue;
            }
            let undecided = |reason: &ReleaseReason| matches!(reason, ReleaseReason::Undecided(_));
            let before = releases.total();
            for (reason, count) in counts.released.iter().filter(|(reason, _)| undecided(reason)) {
                let sum = releases.by_reason.entry(*reason).or_default();
                *sum = sum.saturating_add(*count);
            }
            if releases.total() > before {
                releases.tasks.push(key.task);
            }
        }
        releases
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The numbers by reason: `UnknownTask 30, BadArgs 2`.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons = self.by_reason.iter().filter(|(_, count)| **count > 0);
        let texts = reasons.map(|(reason, count)| format!("{} {count}", reason.as_str()));
        texts.collect::<Vec<_>>().join(", ")
    }
}

impl Explanation {
    /// Explains a queue by its size and by what its workers report.
    #[must_use]
    pub fn of_queue(evidence: &QueueEvidence) -> Self {
        let QueueEvidence { queue, size, heard, .. } = evidence;
        let what = match size {
            Some(size) => format!("queue {queue}: {}", Counted(*size, "message", "messages")),
            None => format!("queue {queue}: an unknown number of messages"),
        };
        let mut explanation = Explanation { what, facts: Vec::new(), next: Vec::new() };
        explanation.readiness(evidence);
        if queue.of_dead_letters().is_some() {
            explanation.known(
                "no worker serves a dead-letter queue, so its letters stay until an operator requeues or deletes them",
            );
            explanation.next.push(format!("see why they are there: ivy dead ls {queue} --all"));
            return explanation;
        }
        match heard {
            Some(heard) => {
                explanation.workers_of(queue, None, heard);
                explanation.releases(evidence, &UndecidedReleases::of(heard, queue));
            }
            None => explanation.next.push(
                "run this again with --workers: it says who serves the queue, and what its workers release"
                    .to_owned(),
            ),
        }
        explanation
    }

    fn readiness(&mut self, evidence: &QueueEvidence) {
        let QueueEvidence { queue, size, ready, may_be_more, .. } = evidence;
        match (size, ready) {
            (Some(0), 0) => self.known("it is empty"),
            (_, 0) => self.known(
                "none of its messages is ready: they are reserved, delayed, or too large to be shown",
            ),
            (_, ready) => {
                let least = if *may_be_more { "at least " } else { "" };
                let ready = Counted(*ready, "message is", "messages are");
                self.known(format!("{least}{ready} ready, for the next worker with a free slot"));
                self.next.push(format!(
                    "to explain one of them: ivy peek {queue}, and then ivy explain {queue} MESSAGE --workers"
                ));
            }
        }
    }

    fn releases(&mut self, evidence: &QueueEvidence, releases: &UndecidedReleases) {
        let queue = &evidence.queue;
        if releases.total() == 0 {
            if evidence.ready == 0 && evidence.size != Some(0) {
                self.likely("workers run its messages, or they are scheduled for later");
            }
            return;
        }
        let tasks: Vec<&str> = releases.tasks.iter().map(TaskName::as_str).collect();
        self.known(format!(
            "its workers have released {} since they started, because they could not decide on them: {}; counted as task {}",
            Counted(releases.total(), "message", "messages"),
            releases.reasons(),
            tasks.join(", "),
        ));
        if evidence.ready == 0 && evidence.size != Some(0) {
            self.likely("its messages are delayed by these releases, for up to 5 minutes each");
        }
        self.next.push(format!(
            "the log of the workers names each message that was released; then: ivy explain {queue} MESSAGE --workers"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inspect::Fact;
    use crate::metrics::TaskKey;
    use crate::presence::{HeardWorker, Liveness, Record};
    use crate::wire::DeadLetterReason;

    fn mail() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    fn explained(size: u64, ready: u64, heard: Option<Heard>) -> String {
        let (queue, size, may_be_more) = (mail(), Some(size), false);
        let evidence = QueueEvidence { queue, size, ready, may_be_more, heard };
        let Explanation { what, facts, next } = Explanation::of_queue(&evidence);
        let facts = facts.iter().map(Fact::to_string);
        [what].into_iter().chain(facts).chain(next).collect::<Vec<_>>().join("\n")
    }

    /// A worker that has released so many messages for this reason.
    fn heard(reason: ReleaseReason, count: u64) -> Heard {
        let mut record = Record::sample("mail");
        let task = TaskName::new("other").unwrap();
        let counts = record.counts.entry(TaskKey { queue: mail(), task }).or_default();
        counts.released.insert(reason, count);
        let (liveness, silence) = (Liveness::Alive, Duration::from_secs(1));
        let worker = HeardWorker { record, liveness, silence, missed: 0, rates: None };
        Heard { workers: vec![worker], listened: Duration::from_secs(16), ..Heard::default() }
    }

    #[test]
    fn messages_that_all_workers_release_are_explained_by_what_these_count() {
        let reason = ReleaseReason::Undecided(DeadLetterReason::UnknownTask);
        let text = explained(30, 0, Some(heard(reason, 42)));
        for expected in [
            "queue mail: 30 messages\n",
            "none of its messages is ready",
            "workers of this queue: web-3:812",
            "have released 42 messages since they started",
            ": UnknownTask 42; counted as task other",
            "probably its messages are delayed by these releases",
            "the log of the workers names each message",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn other_releases_are_no_reason() {
        let text = explained(30, 0, Some(heard(ReleaseReason::Drain, 42)));
        assert!(!text.contains("42") && text.contains("probably workers run"), "{text}");
    }

    #[test]
    fn without_workers_the_sizes_are_explained() {
        let text = explained(3, 2, None);
        assert!(text.contains("2 messages are ready") && text.contains("--workers"), "{text}");
        assert!(explained(0, 0, None).contains("it is empty"));
    }
}

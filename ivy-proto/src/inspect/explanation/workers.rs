//! What the workers that were heard mean for a message.

use crate::event::Part;
use crate::id::TaskId;
use crate::inspect::description::DescribedTask;
use crate::inspect::nearest;
use crate::inspect::times::Span;
use crate::name::{QueueName, TaskName};
use crate::presence::{Degraded, Heard, HeardWorker, LISTEN_FOR, WorkerState};
use crate::text::Counted;

use super::{Evidence, Explanation};

/// The most workers that are named in a line.
const NAMED: usize = 5;

/// Who runs the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runner {
    /// One that was heard.
    Heard,
    /// None of those that were heard.
    NoneHeard,
    /// It is not known: a worker may run it.
    Unknown,
}

impl Explanation {
    /// Explains who can run the message, among the workers that were heard.
    pub(super) fn workers(&mut self, evidence: &Evidence, heard: &Heard) -> Runner {
        self.workers_of(&evidence.queue, evidence.description.task.as_ref(), heard)
    }

    /// The same for a task of a queue, or for a queue of which no message is known.
    pub(super) fn workers_of(
        &mut self,
        queue: &QueueName,
        task: Option<&DescribedTask>,
        heard: &Heard,
    ) -> Runner {
        let listened = Span(heard.listened);
        let alive: Vec<&HeardWorker> =
            heard.workers.iter().filter(|worker| worker.is_alive()).collect();
        if alive.is_empty() {
            self.nobody_is_there(queue, heard);
            return Runner::Unknown;
        }
        let serving: Vec<&HeardWorker> = alive
            .iter()
            .copied()
            .filter(|worker| worker.record.serves(queue) != Some(false))
            .collect();
        if serving.is_empty() {
            let workers = Counted(alive.len() as u64, "worker was", "workers were");
            self.known(format!("{workers} heard in {listened}, and none serves queue {queue}"));
            self.next.push(format!(
                "a worker serves the queues of its tasks: register the tasks of queue {queue} on a worker, or find the one that has them with `ivy workers --watch`"
            ));
            return Runner::Unknown;
        }
        self.known(format!("workers of this queue: {}", listed(&serving, in_words)));
        self.what_keeps_failing(queue, task.map(|task| &task.name), &serving);
        let Some(task) = task else { return Runner::Unknown };
        let runner = self.who_runs(task.id, &alive, heard);
        self.who_lacks_a_handler(task, &serving);
        runner
    }

    /// No worker is alive, as far as is known.
    fn nobody_is_there(&mut self, queue: &QueueName, heard: &Heard) {
        let listened = Span(heard.listened);
        if let Some(why) = &heard.last_ignored {
            let count = Counted(heard.ignored, "publication", "publications");
            self.known(format!(
                "no worker was heard in {listened}, but {count} could not be read, the last one because it is {why}"
            ));
            let next = "run this again with the keys and the version of the workers";
            return self.next.push(next.to_owned());
        }
        if !heard.workers.is_empty() {
            let workers: Vec<&HeardWorker> = heard.workers.iter().collect();
            let names = listed(&workers, |worker| worker.record.name().to_string());
            self.known(format!("the workers that were heard have ended or are silent: {names}"));
            let next = "see whether they are heard again: `ivy workers --watch`";
            return self.next.push(next.to_owned());
        }
        self.known(format!("no worker was heard in {listened}"));
        if heard.listened < LISTEN_FOR {
            let next = "listen for 16 s or longer: a worker publishes at least every 15 s";
            return self.next.push(next.to_owned());
        }
        self.likely(
            "no worker runs, or those that do cannot be heard from here: `ivy workers --help` says why",
        );
        self.next.push(format!("start a worker that serves queue {queue}"));
    }

    /// What the workers of the queue cannot do, as far as it concerns the message.
    fn what_keeps_failing(
        &mut self,
        here: &QueueName,
        name: Option<&TaskName>,
        serving: &[&HeardWorker],
    ) {
        let concerns = |part: &Part| match part {
            Part::Queue(queue) | Part::Messages(queue) => queue == here,
            Part::Task { task, queue } => queue == here && name.is_none_or(|name| name == task),
            Part::Notifier => false,
        };
        let failing = serving.iter().flat_map(|worker| {
            let parts = worker.record.degraded.iter().filter(|degraded| concerns(&degraded.part));
            parts.map(|degraded| (&worker.record, degraded))
        });
        for (record, Degraded { part, why }) in failing.take(NAMED) {
            self.known(format!("{} is degraded: {part}: {why}", record.name()));
        }
    }

    fn who_runs(&mut self, task: Option<TaskId>, alive: &[&HeardWorker], heard: &Heard) -> Runner {
        let Some(task) = task else { return Runner::Unknown };
        let run = |worker: &&HeardWorker| {
            let running = worker.record.longest.iter().find(|running| running.task.id == task)?;
            Some(format!("{} for {}", worker.record.name(), Span(running.running)))
        };
        if let Some(run) = alive.iter().find_map(run) {
            self.known(format!("it runs now: on {run}"));
            return Runner::Heard;
        }
        // A record names the longest-running tasks only.
        let is_complete =
            |worker: &&HeardWorker| worker.record.running == worker.record.longest.len() as u64;
        if !alive.iter().all(is_complete) {
            return Runner::Unknown;
        }
        self.known(format!("no worker that was heard in {} runs it", Span(heard.listened)));
        Runner::NoneHeard
    }

    fn who_lacks_a_handler(&mut self, task: &DescribedTask, serving: &[&HeardWorker]) {
        let lacks = |worker: &&&HeardWorker| worker.record.registers(&task.name) == Some(false);
        let lacking: Vec<&HeardWorker> = serving.iter().filter(lacks).copied().collect();
        if lacking.is_empty() {
            return;
        }
        let names = lacking.iter().flat_map(|worker| &worker.record.tasks).map(TaskName::as_str);
        let meant = nearest(task.name.as_str(), names)
            .map(|name| format!("; did you mean {name}?"))
            .unwrap_or_default();
        let workers = listed(&lacking, |worker| worker.record.name().to_string());
        self.known(format!("no handler for task {} on {workers}{meant}", task.name));
        self.next.push(format!(
            "register a handler for task {} on every worker of the queue: a worker without one releases the message, and finally moves it to the dead-letter queue",
            task.name
        ));
    }
}

/// The first workers, and how many there are beyond those.
fn listed(workers: &[&HeardWorker], text: fn(&HeardWorker) -> String) -> String {
    let mut list =
        workers.iter().take(NAMED).map(|worker| text(worker)).collect::<Vec<_>>().join(", ");
    if let more @ 1.. = workers.len().saturating_sub(NAMED) {
        list += &format!(" and {more} more");
    }
    list
}

fn in_words(worker: &HeardWorker) -> String {
    let record = &worker.record;
    match record.state {
        WorkerState::Running => {
            format!("{} ({} of {} slots in use)", record.name(), record.running, record.slots)
        }
        state => format!("{} ({state})", record.name()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inspect::Fact;
    use crate::inspect::explanation::Visibility;
    use crate::inspect::explanation::tests::{evidence, task};
    use crate::presence::{BadPresence, Liveness, Record, ShortText};

    fn worker(change: impl FnOnce(&mut Record)) -> HeardWorker {
        let mut record = Record::sample("mail");
        change(&mut record);
        let silence = Duration::from_secs(1);
        HeardWorker { record, liveness: Liveness::Alive, silence, missed: 0, rates: None }
    }

    /// The explanation of a message of the task `mail.send` on the queue `mail`.
    fn explained(workers: Vec<HeardWorker>) -> String {
        let listened = Duration::from_secs(16);
        of(Visibility::Ready(1), Heard { workers, listened, ..Heard::default() })
    }

    fn of(visibility: Visibility, heard: Heard) -> String {
        let heard = Some(heard);
        let evidence = Evidence { heard, ..evidence("mail", &task(""), visibility) };
        let Explanation { facts, next, .. } = Explanation::of(&evidence);
        let facts: Vec<String> = facts.iter().map(Fact::to_string).chain(next).collect();
        facts.join("\n")
    }

    fn says(text: &str, expected: &str) {
        assert!(text.contains(expected), "{expected}: {text}");
    }

    #[test]
    fn silence_is_no_proof() {
        let text = explained(vec![]);
        says(&text, "no worker was heard in 16s");
        says(&text, "probably no worker runs, or those that do cannot be heard");
    }

    #[test]
    fn workers_of_other_queues_do_not_run_it() {
        let text = explained(vec![worker(|record| *record = Record::sample("reports"))]);
        says(&text, "1 worker was heard in 16s, and none serves queue mail");
        says(&text, "register the tasks of queue mail on a worker");
        assert!(!text.contains("start a worker"), "{text}");
    }

    #[test]
    fn a_worker_is_started_only_if_nobody_was_heard_for_long_enough() {
        let second = Duration::from_secs(1);
        let heard = |listened, workers| Heard { listened, workers, ..Heard::default() };
        let text = of(Visibility::Ready(1), heard(16 * second, vec![]));
        says(&text, "start a worker that serves queue mail");

        let text = of(Visibility::Ready(1), heard(5 * second, vec![]));
        says(&text, "listen for 16 s or longer");
        assert!(!text.contains("start a worker"), "{text}");

        let silent = HeardWorker { liveness: Liveness::Silent, ..worker(|_| {}) };
        let text = of(Visibility::Ready(1), heard(16 * second, vec![silent]));
        says(&text, "the workers that were heard have ended or are silent: web-3:812");
        assert!(!text.contains("start a worker"), "{text}");

        let sealed = Heard {
            ignored: 2,
            last_ignored: Some(BadPresence::UnsupportedVersion(9)),
            ..heard(16 * second, vec![])
        };
        let text = of(Visibility::Ready(1), sealed);
        says(&text, "2 publications could not be read");
        assert!(!text.contains("start a worker"), "{text}");
    }

    #[test]
    fn what_keeps_failing_is_named_if_it_concerns_the_message() {
        let queue = QueueName::new("mail").unwrap();
        let part =
            |task: &str| Part::Task { task: TaskName::new(task).unwrap(), queue: queue.clone() };
        let parts = [part("mail.send"), part("mail.other"), Part::Notifier];
        let degraded = |part| Degraded { part, why: ShortText::lossy("no handler") };
        let text = explained(vec![worker(|record| {
            record.degraded = parts.into_iter().map(degraded).collect();
        })]);
        says(
            &text,
            "web-3:812 is degraded: the messages of task mail.send on queue mail: no handler",
        );
        assert_eq!(text.matches("is degraded").count(), 1, "{text}");
    }

    #[test]
    fn a_message_that_no_worker_runs_is_released_or_lost() {
        let heard =
            |workers| Heard { workers, listened: Duration::from_secs(16), ..Heard::default() };
        let text = of(Visibility::NotReady, heard(vec![worker(|_| {})]));
        says(&text, "probably a worker released it with a delay");
        assert!(!text.contains("runs it now"), "{text}");

        let runs = worker(|record| {
            record.run("BwcHBwcHBwcHBwcHBwcHBw".parse().unwrap(), Duration::from_secs(12));
        });
        let text = of(Visibility::NotReady, heard(vec![runs]));
        assert!(!text.contains("released"), "{text}");
    }

    #[test]
    fn the_workers_of_the_queue_are_named_with_what_they_do() {
        let workers = vec![
            worker(|record| (record.running, record.slots) = (4, 10)),
            worker(|record| record.state = WorkerState::Draining),
        ];
        let text = explained(workers);
        says(
            &text,
            "workers of this queue: web-3:812 (4 of 10 slots in use), web-3:812 (draining)",
        );
    }

    #[test]
    fn the_worker_that_runs_it_is_named() {
        let text = explained(vec![worker(|record| {
            record.run("BwcHBwcHBwcHBwcHBwcHBw".parse().unwrap(), Duration::from_secs(12));
        })]);
        says(&text, "it runs now: on web-3:812 for 12s");
        says(&explained(vec![worker(|_| {})]), "no worker that was heard in 16s runs it");
    }

    #[test]
    fn a_missing_handler_is_named_with_the_name_that_was_probably_meant() {
        let sent = TaskName::new("mail.sent").unwrap();
        let text = explained(vec![worker(|record| record.tasks = vec![sent])]);
        says(&text, "no handler for task mail.send on web-3:812; did you mean mail.sent?");
        says(&text, "register a handler for task mail.send");
        assert!(!explained(vec![worker(|_| {})]).contains("no handler"));
    }
}

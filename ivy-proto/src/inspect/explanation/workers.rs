//! What the workers that were heard mean for a message.

use crate::id::TaskId;
use crate::inspect::description::DescribedTask;
use crate::inspect::nearest;
use crate::inspect::times::Span;
use crate::name::TaskName;
use crate::presence::{Heard, HeardWorker, WorkerState};
use crate::text::Counted;

use super::{Evidence, Explanation};

/// The most workers that are named in a line.
const NAMED: usize = 5;

impl Explanation {
    /// Explains who can run the message, among the workers that were heard.
    pub(super) fn workers(&mut self, evidence: &Evidence, heard: &Heard) {
        let (queue, listened) = (&evidence.queue, Span(heard.listened));
        let alive: Vec<&HeardWorker> =
            heard.workers.iter().filter(|worker| worker.is_alive()).collect();
        if alive.is_empty() {
            self.known(format!("no worker was heard in {listened}"));
            self.likely(
                "no worker runs, or those that do cannot be heard from here: `ivy workers --help` says why",
            );
            self.next.push(format!("start a worker that serves queue {queue}"));
            return;
        }
        let serving: Vec<&HeardWorker> = alive
            .iter()
            .copied()
            .filter(|worker| worker.record.serves(queue) != Some(false))
            .collect();
        if serving.is_empty() {
            let workers = Counted(alive.len() as u64, "worker was", "workers were");
            self.known(format!("{workers} heard in {listened}, and none serves queue {queue}"));
            self.next.push(format!("start a worker that serves queue {queue}"));
            return;
        }
        self.known(format!("workers of this queue: {}", listed(&serving, in_words)));
        let Some(task) = &evidence.description.task else { return };
        self.who_runs(task.id, &alive, heard);
        self.who_lacks_a_handler(task, &serving);
    }

    fn who_runs(&mut self, task: Option<TaskId>, alive: &[&HeardWorker], heard: &Heard) {
        let Some(task) = task else { return };
        let run = |worker: &&HeardWorker| {
            let running = worker.record.longest.iter().find(|running| running.task.id == task)?;
            Some(format!("{} for {}", worker.record.name(), Span(running.running)))
        };
        if let Some(run) = alive.iter().find_map(run) {
            return self.known(format!("it runs now: on {run}"));
        }
        // A record names the longest-running tasks only.
        let is_complete =
            |worker: &&HeardWorker| worker.record.running == worker.record.longest.len() as u64;
        if alive.iter().all(is_complete) {
            self.known(format!("no worker that was heard in {} runs it", Span(heard.listened)));
        }
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
    use crate::presence::{Liveness, Record};

    fn worker(change: impl FnOnce(&mut Record)) -> HeardWorker {
        let mut record = Record::sample("mail");
        change(&mut record);
        let silence = Duration::from_secs(1);
        HeardWorker { record, liveness: Liveness::Alive, silence, missed: 0, rates: None }
    }

    /// The explanation of a message of the task `mail.send` on the queue `mail`.
    fn explained(workers: Vec<HeardWorker>) -> String {
        let listened = Duration::from_secs(16);
        let heard = Some(Heard { workers, listened, ..Heard::default() });
        let evidence = Evidence { heard, ..evidence("mail", &task(""), Visibility::Ready(1)) };
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
        says(&text, "start a worker that serves queue mail");
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

//! Messages that a sweep did not process, or possibly not.

use std::collections::BTreeMap;
use std::iter;

use ivy_proto::QueueName;
use ivy_proto::admin::{Problem, ProblemKind};
use serde::Serialize;

use super::plan::option;
use crate::output::{Page, Report};

/// How many messages are listed below a line that says what happened to them.
const LISTED: u64 = 20;

/// Problems as they are printed: those with the same text below one line with it, the first of them.
#[derive(Debug, Default)]
pub(super) struct Problems {
    heading: Option<String>,
    /// How many there were, by what is said of them.
    counts: BTreeMap<String, u64>,
}

impl Problems {
    pub(super) fn next<'a>(&mut self, problem: &'a Problem) -> ShownProblem<'a> {
        let heading = heading(problem);
        let count = self.counts.entry(heading.clone()).or_default();
        *count += 1;
        let is_listed = *count <= LISTED;
        let is_new = is_listed && self.heading.as_ref() != Some(&heading);
        let heading = is_new.then(|| self.heading.insert(heading).clone());
        ShownProblem { problem, heading, is_listed }
    }

    /// How many more messages there were, by what is said of them.
    pub(super) fn rest(&self) -> impl Iterator<Item = String> {
        let more = self.counts.iter().filter(|(_, count)| **count > LISTED);
        more.map(|(heading, count)| {
            format!("{} more: {heading}; --json lists all", count.saturating_sub(LISTED))
        })
    }
}

/// A problem, below the line that its text is in.
pub(super) struct ShownProblem<'a> {
    problem: &'a Problem,
    /// The line, unless it was printed before.
    heading: Option<String>,
    /// Whether people are shown it: a program is shown all.
    is_listed: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ProblemRecord<'a> {
    problem: ProblemFields<'a>,
}

#[derive(Debug, Serialize)]
struct ProblemFields<'a> {
    message: &'a str,
    task: Option<&'a str>,
    task_id: Option<String>,
    text: String,
}

impl Report for ShownProblem<'_> {
    type Record<'a>
        = ProblemRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        if let Some(heading) = &self.heading {
            page.line(&format!("{heading}:"));
        }
        if !self.is_listed {
            return;
        }
        let Problem { message, task, task_id, .. } = self.problem;
        let task = task.as_ref().map(|task| format!(", task {task}")).unwrap_or_default();
        let id = task_id.map(|id| format!(", task id {id}")).unwrap_or_default();
        page.line(&format!("  message {message}{task}{id}"));
    }

    fn records(&self) -> impl Iterator<Item = ProblemRecord<'_>> {
        let Problem { message, task, task_id, kind, .. } = self.problem;
        let (message, task) = (message.as_str(), task.as_ref().map(|task| task.as_str()));
        let (task_id, text) = (task_id.map(|id| id.to_string()), kind.to_string());
        iter::once(ProblemRecord { problem: ProblemFields { message, task, task_id, text } })
    }
}

/// What happened, and what to do.
fn heading(Problem { kind, origin, .. }: &Problem) -> String {
    match kind {
        ProblemKind::Unknown(_) => {
            let queue =
                origin.as_ref().map_or("QUEUE", |(queue, _): &(QueueName, _)| queue.as_str());
            format!(
                "{kind}; before you requeue these again, look for each task: ivy explain {queue} \
                 --task=ID"
            )
        }
        ProblemKind::Obstacle(obstacle) => match option(*obstacle) {
            Some(option) => format!("{kind} ({option})"),
            None => kind.to_string(),
        },
        _ => kind.to_string(),
    }
}

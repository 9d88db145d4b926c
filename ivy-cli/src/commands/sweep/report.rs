//! Plans, problems and reports of sweeps.

use std::collections::BTreeMap;
use std::iter;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::admin::{
    Action, Ended, Obstacle, Plan, Problem, ProblemKind, Report as SweepReport, Truncated,
};
use ivy_proto::inspect::{Span, Timestamp};
use ivy_proto::text::Counted;
use serde::Serialize;

use crate::commands::time::{now, seconds};
use crate::output::{Page, Report};

/// What a sweep will do.
pub(super) struct ShownPlan<'a>(pub(super) &'a Plan);

#[derive(Debug, Serialize)]
pub(super) struct PlanRecord<'a> {
    plan: PlanFields<'a>,
}

#[derive(Debug, Serialize)]
struct PlanFields<'a> {
    action: &'static str,
    queue: &'a str,
    /// The queue to which all are posted, if one is specified.
    to: Option<&'a str>,
    size: Option<u64>,
    looked_at: usize,
    selected: usize,
    messages: usize,
    processed: usize,
    obstacles: BTreeMap<String, usize>,
    targets: BTreeMap<&'a str, usize>,
    tasks: BTreeMap<&'a str, usize>,
    reasons: BTreeMap<&'static str, usize>,
    truncated: Option<String>,
}

/// The key of messages whose task or reason is not known.
const UNKNOWN: &str = "unknown";

impl Report for ShownPlan<'_> {
    type Record<'a>
        = PlanRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        let Plan { action, queue, size, looked_at, processed, .. } = self.0;
        let found = Counted(*looked_at as u64, "message", "messages");
        let messages = format!("{processed} of {found} of {queue}{}", self.targets());
        page.line(&match action {
            Action::Move(requeue) if *looked_at == 0 && queue.of_dead_letters().is_none() => {
                let to = requeue.target().map(|to| format!(" to {to}")).unwrap_or_default();
                format!(
                    "move the messages of {queue} that match{to}; at most 1,000 of them, and only \
                     after the answer, are looked at"
                )
            }
            Action::Move(_) => format!("move {messages}"),
            Action::Requeue(_) => format!("requeue {messages}"),
            Action::Delete => format!("delete {messages}"),
            _ => format!("show {messages}"),
        });
        if let Some(size) = size {
            page.line(&format!("  {queue} has {}", Counted(*size, "message", "messages")));
        }
        for (task, count) in &self.0.tasks {
            let task = task.as_ref().map_or(UNKNOWN, |task| task.as_str());
            page.line(&format!("  {count} of task {task}"));
        }
        for (obstacle, count) in &self.0.obstacles {
            let option = option(*obstacle).map(|it| format!(" ({it})")).unwrap_or_default();
            page.line(&format!("  {count} stay in the queue: {obstacle}{option}"));
        }
        if self.0.others_of_task > 0 {
            let count = self.0.others_of_task;
            page.line(&format!("  {count} stay in the queue: others of their tasks"));
        }
        if let Some(why) = &self.0.truncated {
            page.line(&format!("  not all messages were looked at: {why}{}", more(*why)));
        }
    }

    fn records(&self) -> impl Iterator<Item = PlanRecord<'_>> {
        let plan = self.0;
        iter::once(PlanRecord {
            plan: PlanFields {
                action: name(&plan.action),
                queue: plan.queue.as_str(),
                to: match &plan.action {
                    Action::Requeue(requeue) | Action::Move(requeue) => {
                        requeue.target().map(QueueName::as_str)
                    }
                    _ => None,
                },
                size: plan.size,
                looked_at: plan.looked_at,
                selected: plan.selected,
                messages: plan.messages,
                processed: plan.processed,
                obstacles: plan
                    .obstacles
                    .iter()
                    .map(|(obstacle, count)| (obstacle.to_string(), *count))
                    .collect(),
                targets: plan
                    .targets
                    .iter()
                    .map(|(queue, count)| (queue.as_str(), *count))
                    .collect(),
                tasks: plan
                    .tasks
                    .iter()
                    .map(|(task, count)| {
                        (task.as_ref().map_or(UNKNOWN, |task| task.as_str()), *count)
                    })
                    .collect(),
                reasons: plan
                    .reasons
                    .iter()
                    .map(|(reason, count)| (reason.map_or(UNKNOWN, |it| it.as_str()), *count))
                    .collect(),
                truncated: plan.truncated.as_ref().map(ToString::to_string),
            },
        })
    }
}

impl ShownPlan<'_> {
    /// The queues that messages are posted to.
    fn targets(&self) -> String {
        let targets: Vec<&str> = self.0.targets.keys().map(QueueName::as_str).collect();
        if targets.is_empty() { String::new() } else { format!(" to {}", targets.join(", ")) }
    }
}

/// The option that removes an obstacle.
fn option(obstacle: Obstacle) -> Option<&'static str> {
    match obstacle {
        Obstacle::DeadlinePassed => Some("--drop-deadline"),
        Obstacle::Unreadable(_) | Obstacle::NoKey(_) => Some("--keyset, or --raw"),
        Obstacle::Sealed(_) => Some("--keyset"),
        Obstacle::FormNotAccepted(_) => Some("--to"),
        _ => None,
    }
}

/// The option that lets a sweep look at more messages.
fn more(why: Truncated) -> &'static str {
    if why == Truncated::Limit { "; give --limit to look at more" } else { "" }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Requeue(_) => "requeue",
        Action::Move(_) => "move",
        Action::Delete => "delete",
        _ => "look",
    }
}

/// A message that was not processed, or possibly not.
pub(super) struct ShownProblem<'a>(pub(super) &'a Problem);

#[derive(Debug, Serialize)]
pub(super) struct ProblemRecord<'a> {
    problem: ProblemFields<'a>,
}

#[derive(Debug, Serialize)]
struct ProblemFields<'a> {
    message: &'a str,
    task: Option<&'a str>,
    text: String,
}

impl Report for ShownProblem<'_> {
    type Record<'a>
        = ProblemRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        let Problem { message, task, kind, .. } = self.0;
        let task = task.as_ref().map(|task| format!(" (task {task})")).unwrap_or_default();
        let option = match kind {
            ProblemKind::Obstacle(obstacle) => option(*obstacle),
            _ => None,
        };
        let option = option.map(|option| format!(" ({option})")).unwrap_or_default();
        page.line(&format!("message {message}{task}: {kind}{option}"));
    }

    fn records(&self) -> impl Iterator<Item = ProblemRecord<'_>> {
        let Problem { message, task, kind, .. } = self.0;
        let (message, task) = (message.as_str(), task.as_ref().map(|task| task.as_str()));
        iter::once(ProblemRecord {
            problem: ProblemFields { message, task, text: kind.to_string() },
        })
    }
}

/// Which messages of its queue a sweep did not look at, and why; `None` if it looked at all that it
/// was to look at.
pub(in crate::commands) fn not_seen(report: &SweepReport) -> Option<String> {
    let left = report.not_looked_at;
    let all = Counted(left + report.looked_at as u64, "message", "messages");
    let queue = &report.queue;
    match report.truncated {
        Some(why) if left > 0 => {
            Some(format!("{left} of {all} of {queue} were not looked at: {why}{}", more(why)))
        }
        None if left > 0 => Some(format!(
            "{left} of {all} of {queue} are reserved or delayed, and were not looked at; those that \
             another `ivy` command reserved return by {}",
            until(LONGEST_LEASE)
        )),
        _ => None,
    }
}

/// The longest lease of a command.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// A time, and in how long it is.
fn until(within: Duration) -> String {
    let at = now().saturating_add(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
    format!("{} (in {})", Timestamp(at), Span(within))
}

/// What a sweep did.
pub(super) struct FinishedSweep<'a>(pub(super) &'a SweepReport);

#[derive(Debug, Serialize)]
pub(super) struct ReportRecord<'a> {
    report: ReportFields<'a>,
}

#[derive(Debug, Serialize)]
struct ReportFields<'a> {
    queue: &'a str,
    end: &'static str,
    looked_at: usize,
    matched: usize,
    posted: usize,
    deleted: usize,
    refused: usize,
    unknown: usize,
    leases_lost: usize,
    remaining: usize,
    others_of_task: usize,
    not_tried: usize,
    released: usize,
    left_to_expire: usize,
    hidden: usize,
    leases_end_within: Option<f64>,
    truncated: Option<String>,
    not_looked_at: u64,
    requests: u64,
}

impl Report for FinishedSweep<'_> {
    type Record<'a>
        = ReportRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        page.line(&self.0.to_string());
        if let Some(within) = self.0.leases_end_within {
            let SweepReport { left_to_expire, looked_at, .. } = self.0;
            let looked_at = Counted(*looked_at as u64, "message", "messages");
            let until = until(within);
            page.line(&format!("{left_to_expire} of {looked_at} are reserved until {until}"));
        }
        if let Some(text) = not_seen(self.0) {
            page.line(&text);
        }
    }

    fn records(&self) -> impl Iterator<Item = ReportRecord<'_>> {
        let report = self.0;
        iter::once(ReportRecord {
            report: ReportFields {
                queue: report.queue.as_str(),
                end: match report.end {
                    Ended::Done => "done",
                    Ended::Cancelled => "cancelled",
                    Ended::NotConfirmed => "not_confirmed",
                    Ended::Interrupted => "interrupted",
                    _ => "failed",
                },
                looked_at: report.looked_at,
                matched: report.matched,
                posted: report.posted,
                deleted: report.deleted,
                refused: report.refused,
                unknown: report.unknown,
                leases_lost: report.leases_lost,
                remaining: report.remaining,
                others_of_task: report.others_of_task,
                not_tried: report.not_tried,
                released: report.released,
                left_to_expire: report.left_to_expire,
                hidden: report.hidden,
                leases_end_within: report.leases_end_within.map(seconds),
                truncated: report.truncated.as_ref().map(ToString::to_string),
                not_looked_at: report.not_looked_at,
                requests: report.requests,
            },
        })
    }
}

//! Plans, problems and reports of sweeps.

use std::collections::BTreeMap;
use std::iter;

use ivy_proto::admin::{Action, Ended, Plan, Problem, Report as SweepReport};
use ivy_proto::inspect::Span;
use serde::Serialize;

use crate::commands::time::seconds;
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
        let targets = self.0.targets.keys().map(|queue| queue.as_str()).collect::<Vec<_>>();
        let targets = targets.join(", ");
        let messages = format!("{processed} of {looked_at} messages of {queue}");
        page.line(&match action {
            Action::Move(_) if *looked_at == 0 => {
                format!(
                    "move the messages of {queue} that match; they are looked at after the answer"
                )
            }
            Action::Move(_) => format!("move {messages} to {targets}"),
            Action::Requeue(_) => format!("requeue {messages} to {targets}"),
            Action::Delete => format!("delete {messages}"),
            _ => format!("show {messages}"),
        });
        if let Some(size) = size {
            page.line(&format!("  {queue} has {size} messages"));
        }
        for (task, count) in &self.0.tasks {
            let task = task.as_ref().map_or(UNKNOWN, |task| task.as_str());
            page.line(&format!("  {count} of task {task}"));
        }
        for (obstacle, count) in &self.0.obstacles {
            page.line(&format!("  {count} are left: {obstacle}"));
        }
        if self.0.others_of_task > 0 {
            page.line(&format!("  {} are left: others of their tasks", self.0.others_of_task));
        }
        if let Some(why) = &self.0.truncated {
            page.line(&format!("  not all messages were looked at: {why}"));
        }
    }

    fn records(&self) -> impl Iterator<Item = PlanRecord<'_>> {
        let plan = self.0;
        iter::once(PlanRecord {
            plan: PlanFields {
                action: name(&plan.action),
                queue: plan.queue.as_str(),
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
        page.line(&format!("message {message}{task}: {kind}"));
    }

    fn records(&self) -> impl Iterator<Item = ProblemRecord<'_>> {
        let Problem { message, task, kind, .. } = self.0;
        let (message, task) = (message.as_str(), task.as_ref().map(|task| task.as_str()));
        iter::once(ProblemRecord {
            problem: ProblemFields { message, task, text: kind.to_string() },
        })
    }
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
            page.line(&format!(
                "the last lease of a message that is left ends in {}",
                Span(within)
            ));
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
                requests: report.requests,
            },
        })
    }
}

//! Plans of sweeps.

use std::collections::BTreeMap;
use std::iter;

use ivy_proto::QueueName;
use ivy_proto::admin::{Action, Obstacle, Plan};
use ivy_proto::text::Counted;
use serde::Serialize;

use super::notes::{self, Unread};
use crate::output::{Page, Report};

/// What a sweep will do.
pub(super) struct ShownPlan<'a> {
    pub(super) plan: &'a Plan,
    /// Queues that are posted to and do not exist.
    pub(super) new_queues: Vec<QueueName>,
    /// Whether the operator limited how many messages are looked at.
    pub(super) is_limited: bool,
    /// Whether nothing will be done.
    pub(super) is_dry_run: bool,
}

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
    processed_with_copies: usize,
    obstacles: BTreeMap<String, usize>,
    targets: BTreeMap<&'a str, usize>,
    /// Queues that are posted to and do not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    new_queues: Vec<&'a str>,
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
        let Plan { queue, size, .. } = self.plan;
        page.line(&self.first_line());
        if let Some(text) = self.copies() {
            page.line(&format!("  {text}"));
        }
        if let Some(size) = size {
            page.line(&format!("  {queue} has {}", Counted(*size, "message", "messages")));
        }
        for queue in &self.new_queues {
            page.line(&format!("  queue {queue} does not exist, and will be created"));
        }
        for (task, count) in &self.plan.tasks {
            let task = task.as_ref().map_or(UNKNOWN, |task| task.as_str());
            page.line(&format!("  {count} of task {task}"));
        }
        for (reason, count) in &self.plan.reasons {
            if let Some(reason) = reason {
                page.line(&format!("  {count} for the reason {reason}"));
            }
        }
        for (obstacle, count) in self.obstacles() {
            let option = option(*obstacle).map(|it| format!(" ({it})")).unwrap_or_default();
            page.line(&format!("  {count} stay in the queue, each because {obstacle}{option}"));
        }
        for text in Unread::of_plan(self.plan).texts() {
            page.line(&format!("  {text}"));
        }
        if self.plan.others_of_task > 0 {
            let count = self.plan.others_of_task;
            page.line(&format!("  {count} stay in the queue: others of their tasks"));
        }
        if let Some(why) = self.plan.truncated {
            let why = notes::why(why, self.is_limited, queue);
            page.line(&format!("  not all messages were looked at: {why}"));
        }
    }

    fn records(&self) -> impl Iterator<Item = PlanRecord<'_>> {
        let plan = self.plan;
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
                processed_with_copies: plan.processed_with_copies,
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
                new_queues: self.new_queues.iter().map(QueueName::as_str).collect(),
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
    fn first_line(&self) -> String {
        let Plan { action, queue, looked_at, processed_with_copies: processed, .. } = self.plan;
        if let Action::Move(requeue) = action
            && is_of_live_queue(self.plan)
        {
            let to = requeue.target().map(|to| format!(" to {to}")).unwrap_or_default();
            let when =
                if self.is_dry_run { "so none was looked at" } else { "and only after the answer" };
            return format!(
                "move the messages of {queue} that match{to}; workers wait for them, so at most 1,000 \
                 are looked at, {when}"
            );
        }
        let found = Counted(*looked_at as u64, "message", "messages");
        format!("{} {processed} of {found} of {queue}{}", name(action), self.targets())
    }

    /// How many of the messages are copies of others.
    fn copies(&self) -> Option<String> {
        let Plan { action, processed, processed_with_copies, .. } = self.plan;
        let copies = processed_with_copies.saturating_sub(*processed);
        let what = match action {
            _ if copies == 0 => return None,
            Action::Requeue(_) | Action::Move(_) => {
                format!(": {processed} are posted, and all copies are deleted")
            }
            _ => format!(" of the same {processed}"),
        };
        Some(format!("{copies} of them are copies{what}"))
    }

    /// The queues that messages are posted to.
    fn targets(&self) -> String {
        let targets: Vec<&str> = self.plan.targets.keys().map(QueueName::as_str).collect();
        if targets.is_empty() { String::new() } else { format!(" to {}", targets.join(", ")) }
    }

    /// Why selected messages stay.
    fn obstacles(&self) -> impl Iterator<Item = (&Obstacle, &usize)> {
        let is_of_selected = |obstacle: &Obstacle| {
            !matches!(obstacle, Obstacle::NotCompared | Obstacle::NotReturned)
        };
        self.plan.obstacles.iter().filter(move |(obstacle, _)| is_of_selected(obstacle))
    }
}

/// Whether the messages are looked at after the answer, because workers wait for them.
pub(super) fn is_of_live_queue(plan: &Plan) -> bool {
    plan.queue.of_dead_letters().is_none()
}

/// The option that removes an obstacle.
pub(super) fn option(obstacle: Obstacle) -> Option<&'static str> {
    match obstacle {
        Obstacle::DeadlinePassed => Some("--drop-deadline"),
        Obstacle::Unreadable(_) | Obstacle::NoKey(_) => Some("--keyset, or --raw"),
        Obstacle::Sealed(_) => Some("--keyset"),
        Obstacle::FormNotAccepted(_) => Some("--to"),
        _ => None,
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Requeue(_) => "requeue",
        Action::Move(_) => "move",
        Action::Delete => "delete",
        _ => "show",
    }
}

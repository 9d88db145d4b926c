//! Sweeps: commands that look through more messages of a queue than its server shows, and requeue,
//! delete or move those that a filter selects.

mod filter;
mod notes;
mod options;
mod plan;
mod posting;
mod problem;
mod report;

use std::collections::BTreeSet;

use ivy_proto::QueueName;
use ivy_proto::admin::{Action, Ended, Phase, Plan, Report, Row, SweepConfig};
use ivy_proto::text::Counted;
use ivy_tokio::{Error, FaultKind, Ivy, QueueInfo, RunningSweep, SweepStep};

pub(crate) use filter::FilterOptions;
pub(super) use notes::of_look as notes_of_look;
pub(crate) use options::ChangeOptions;
pub(crate) use posting::PostingOptions;

use self::notes::Unread;
use self::plan::{ShownPlan, is_of_live_queue};
use self::problem::Problems;
use self::report::FinishedSweep;
use super::queue_not_found;
use crate::exit::{Exit, Failure, fault_kind};
use crate::interrupt::Interrupts;
use crate::output::{Answer, Confirmation, Note, Output, Progress};

/// Runs a sweep that shows messages, and passes them on. Ctrl-C ends it with a report.
pub(super) async fn look(
    ivy: &Ivy,
    config: SweepConfig,
    interrupts: &mut Interrupts,
    mut take: impl FnMut(Row) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let mut sweep = ivy.admin().sweep(config)?;
    let mut progress = Progress::new("looking");
    let mut first_failure = None;
    while let Some(step) = next(&mut sweep, interrupts).await {
        match step {
            SweepStep::Row(row) => {
                if let Err(failure) = take(*row) {
                    first_failure.get_or_insert(failure);
                    sweep.interrupt();
                }
            }
            SweepStep::Progress(state) => show_progress(&mut progress, state),
            SweepStep::Finished(report) => {
                return match first_failure {
                    Some(failure) => Err(failure),
                    None => found(ivy, *report, interrupts).await,
                };
            }
            _ => {}
        }
    }
    Err(without_report())
}

/// The exit code of a sweep that only shows messages.
pub(super) fn exit_of_look(report: &Report) -> Result<Exit, Failure> {
    match &report.end {
        Ended::Interrupted => Err(Failure::new(Exit::Interrupted, report.end.to_string())),
        Ended::Failed(fault) => Err(Failure::new(Exit::Failed, fault.to_string())),
        _ if report.is_partial() || report.too_large > 0 => Ok(Exit::DoneInPart),
        _ => Ok(Exit::Done),
    }
}

/// Runs a sweep that changes messages: shows the plan, asks, and reports what was done.
pub(super) async fn change(
    ivy: &Ivy,
    config: SweepConfig,
    confirmation: &Confirmation,
    output: &Output,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let (is_limited, is_dry_run) = (config.limit().is_some(), confirmation.dry_run);
    let mut sweep = ivy.admin().sweep(config)?;
    let mut progress = Progress::new("looking");
    let (mut problems, mut refusal, mut is_looked_at) = (Problems::default(), None, true);
    while let Some(step) = next(&mut sweep, interrupts).await {
        match step {
            SweepStep::Plan(plan) => {
                progress.clear();
                let looked_up = interrupts.run_until_interrupted(missing_targets(ivy, &plan)).await;
                let Ok(new_queues) = looked_up else {
                    sweep.interrupt();
                    continue;
                };
                output.show(&ShownPlan { plan: &plan, new_queues, is_limited, is_dry_run })?;
                is_looked_at = !(is_dry_run && is_of_live_queue(&plan));
                if plan.needs_confirmation() {
                    match interrupts
                        .run_until_interrupted(confirm(&plan, confirmation))
                        .await
                        .flatten()
                    {
                        Ok(()) => sweep.confirm(),
                        Err(failure) if failure.exit == Exit::Interrupted => sweep.interrupt(),
                        Err(failure) => {
                            refusal = Some(failure);
                            sweep.cancel();
                        }
                    }
                }
            }
            SweepStep::Progress(state) => show_progress(&mut progress, state),
            SweepStep::Problem(problem) => {
                let shown = problems.next(&problem);
                progress.suspend(|| output.show(&shown))?;
            }
            SweepStep::Finished(report) => {
                progress.clear();
                if !output.is_json() {
                    for text in problems.rest() {
                        output.note(&Note::truncated(text))?;
                    }
                }
                let report = found(ivy, *report, interrupts).await?;
                if !is_dry_run || report.end != Ended::Done || report.is_partial() {
                    output.show(&FinishedSweep { report: &report, is_limited })?;
                }
                return match refusal {
                    Some(refusal) => Err(refusal),
                    None if report.end == Ended::Done && !is_looked_at => Ok(Exit::Done),
                    None => exit_of(&report),
                };
            }
            _ => {}
        }
    }
    Err(without_report())
}

/// How many targets of a plan are looked up.
const LOOKED_UP: usize = 10;

/// The queues that a plan posts to and that do not exist: possibly a typing error.
async fn missing_targets(ivy: &Ivy, plan: &Plan) -> Vec<QueueName> {
    let named = match &plan.action {
        Action::Requeue(requeue) | Action::Move(requeue) => requeue.target(),
        _ => None,
    };
    let targets: BTreeSet<&QueueName> = plan.targets.keys().chain(named).collect();
    let targets: Vec<QueueName> = targets.into_iter().take(LOOKED_UP).cloned().collect();
    let infos = ivy.admin().info_each(&targets).await;
    let is_missing = |info: &Result<QueueInfo, Error>| {
        info.as_ref().is_err_and(|error| fault_kind(error) == Some(FaultKind::NoQueue))
    };
    let missing = targets.into_iter().zip(infos).filter(|(_, info)| is_missing(info));
    missing.map(|(queue, _)| queue).collect()
}

/// The next step. Each Ctrl-C interrupts the sweep.
async fn next(sweep: &mut RunningSweep, interrupts: &mut Interrupts) -> Option<SweepStep> {
    loop {
        tokio::select! {
            step = sweep.next() => return step,
            () = interrupts.next() => sweep.interrupt(),
        }
    }
}

/// The report, unless the queue does not exist.
async fn found(ivy: &Ivy, report: Report, interrupts: &mut Interrupts) -> Result<Report, Failure> {
    match &report.end {
        Ended::Failed(fault) if fault.kind() == FaultKind::NoQueue && report.looked_at == 0 => {
            Err(interrupts
                .run_until_interrupted(queue_not_found::no_queue(ivy, report.queue.as_str()))
                .await?)
        }
        _ => Ok(report),
    }
}

fn without_report() -> Failure {
    Failure::new(Exit::Failed, "the sweep ended without a report")
}

/// Asks whether the plan is to be executed; twice if it concerns all messages that were looked at,
/// because the filter may be wrong.
async fn confirm(plan: &Plan, confirmation: &Confirmation) -> Result<(), Failure> {
    let queue = plan.queue.as_str();
    let answer = if plan.action == Action::Delete { Answer::Name(queue) } else { Answer::Yes };
    confirmation.ask("Do that?", answer).await?;
    if plan.looked_at > 0 && plan.matches_everything() {
        let question = format!("That is every message that was found in {queue}. Really?");
        confirmation.ask(&question, Answer::Yes).await?;
    }
    Ok(())
}

fn exit_of(report: &Report) -> Result<Exit, Failure> {
    let text = report.end.to_string();
    let has_changed = report.posted + report.deleted + report.unknown + report.gone > 0;
    match &report.end {
        Ended::Interrupted => Err(Failure::new(Exit::Interrupted, text)),
        Ended::NotConfirmed => Err(Failure::new(Exit::NotConfirmed, text)),
        Ended::Failed(_) if has_changed => Err(Failure::new(Exit::DoneInPart, text)),
        Ended::Failed(_) => Err(Failure::new(Exit::Failed, text)),
        _ if report.is_partial() => Ok(Exit::DoneInPart),
        _ if report.matched == 0 => Err(no_match(report)),
        _ => Ok(Exit::Done),
    }
}

/// The filter selects none of the messages.
pub(super) fn no_match(report: &Report) -> Failure {
    let Report { queue, looked_at, .. } = report;
    let text = match looked_at {
        0 => format!("queue {queue} is empty"),
        _ => {
            let looked_at = Counted(*looked_at as u64, "message", "messages");
            let none = format!("no message matches, of {looked_at} of {queue} that were looked at");
            let texts: Vec<String> =
                [none].into_iter().chain(Unread::of_report(report).texts()).collect();
            texts.join("; ")
        }
    };
    Failure::new(Exit::NothingFound, text)
}

fn show_progress(progress: &mut Progress, state: ivy_proto::admin::Progress) {
    progress.label(match state.phase {
        Phase::Working => "working",
        Phase::Releasing => "releasing",
        _ => "looking",
    });
    progress.set(state.done as u64, state.total.map(|total| total as u64));
}

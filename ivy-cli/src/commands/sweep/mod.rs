//! Sweeps: commands that look through more messages of a queue than its server shows, and requeue,
//! delete or move those that a filter selects.

mod filter;
mod posting;
mod report;

use ivy_proto::admin::{Action, Ended, Phase, Plan, Report, Row};
use ivy_tokio::{RunningSweep, SweepStep};

pub(crate) use filter::FilterOptions;
pub(crate) use posting::PostingOptions;

use self::report::{FinishedSweep, ShownPlan, ShownProblem};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Answer, Confirmation, Output, Progress};

/// Runs a sweep that shows messages, and passes them on.
pub(super) async fn look(
    mut sweep: RunningSweep,
    mut take: impl FnMut(Row) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let _signals = interrupt_on_signals(&sweep);
    let progress = Progress::start("looking");
    let mut first_failure = None;
    while let Some(step) = sweep.next().await {
        match step {
            SweepStep::Row(row) => {
                if let Err(failure) = take(*row) {
                    first_failure.get_or_insert(failure);
                    sweep.interrupt();
                }
            }
            SweepStep::Progress(state) => show_progress(&progress, state),
            SweepStep::Finished(report) => {
                return match first_failure {
                    Some(failure) => Err(failure),
                    None => Ok(*report),
                };
            }
            _ => {}
        }
    }
    Err(Failure::new(Exit::Failed, "the sweep ended without a report"))
}

/// The exit code of a sweep that only shows messages.
pub(super) fn exit_of_look(report: &Report) -> Result<Exit, Failure> {
    match &report.end {
        Ended::Interrupted => Err(Failure::new(Exit::Interrupted, report.end.to_string())),
        Ended::Failed(fault) => Err(Failure::new(Exit::Failed, fault.to_string())),
        _ => Ok(Exit::Done),
    }
}

/// Runs a sweep that changes messages: shows the plan, asks, and reports what was done.
pub(super) async fn change(
    mut sweep: RunningSweep,
    confirmation: &Confirmation,
    output: &Output,
) -> Result<Exit, Failure> {
    let _signals = interrupt_on_signals(&sweep);
    let progress = Progress::start("looking");
    let mut refusal = None;
    while let Some(step) = sweep.next().await {
        match step {
            SweepStep::Plan(plan) => {
                progress.clear();
                output.show(&ShownPlan(&plan))?;
                if confirmation.dry_run {
                    sweep.cancel();
                } else if plan.needs_confirmation() {
                    match confirm(&plan, confirmation).await {
                        Ok(()) => sweep.confirm(),
                        Err(failure) => {
                            refusal = Some(failure);
                            sweep.cancel();
                        }
                    }
                }
            }
            SweepStep::Progress(state) => show_progress(&progress, state),
            SweepStep::Problem(problem) => {
                progress.suspend(|| output.show(&ShownProblem(&problem)))?;
            }
            SweepStep::Finished(report) => {
                progress.clear();
                if confirmation.dry_run && report.end == Ended::Cancelled {
                    return Ok(Exit::Done);
                }
                output.show(&FinishedSweep(&report))?;
                return refusal.map_or_else(|| exit_of(&report), Err);
            }
            _ => {}
        }
    }
    Err(Failure::new(Exit::Failed, "the sweep ended without a report"))
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
    let has_changed = report.posted + report.deleted + report.unknown > 0;
    match &report.end {
        Ended::Interrupted => Err(Failure::new(Exit::Interrupted, text)),
        Ended::NotConfirmed => Err(Failure::new(Exit::NotConfirmed, text)),
        Ended::Failed(_) if has_changed => Err(Failure::new(Exit::DoneInPart, text)),
        Ended::Failed(_) => Err(Failure::new(Exit::Failed, text)),
        _ if report.is_partial() => Ok(Exit::DoneInPart),
        _ if report.matched == 0 => Err(Failure::new(Exit::NothingFound, "no message matches")),
        _ => Ok(Exit::Done),
    }
}

fn show_progress(progress: &Progress, state: ivy_proto::admin::Progress) {
    progress.label(match state.phase {
        Phase::Working => "working",
        Phase::Releasing => "releasing",
        _ => "looking",
    });
    progress.set(state.done as u64, state.total.map(|total| total as u64));
}

/// Interrupts the sweep at each Ctrl-C, as long as the result lives.
fn interrupt_on_signals(sweep: &RunningSweep) -> impl Drop + use<> {
    let interrupter = sweep.interrupter();
    let watching = tokio::spawn(async move {
        // Without signals, Ctrl-C ends the process, as a crash does: leases run out.
        let Ok(mut interrupts) = Interrupts::watch() else { return };
        loop {
            interrupts.next().await;
            interrupter.interrupt();
        }
    });
    AbortOnDrop(watching)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

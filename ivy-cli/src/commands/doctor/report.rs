//! The results of checks.

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::{Column, Page, Report};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CheckResult {
    Ok,
    Warning,
    Wrong,
    NotChecked,
}

impl CheckResult {
    fn as_str(self) -> &'static str {
        match self {
            CheckResult::Ok => "ok",
            CheckResult::Warning => "warning",
            CheckResult::Wrong => "wrong",
            CheckResult::NotChecked => "not checked",
        }
    }
}

/// A check that was made.
#[derive(Clone, Debug, Serialize)]
struct Check {
    #[serde(rename = "check")]
    name: &'static str,
    state: CheckResult,
    text: String,
    /// What to do next.
    next: Option<String>,
}

/// The checks so far, in order.
#[derive(Debug, Default)]
pub(super) struct Checks {
    checks: Vec<Check>,
    /// Whether a queue that the operator named does not exist.
    is_queue_missing: bool,
}

impl Checks {
    pub(super) fn ok(&mut self, name: &'static str, text: impl Into<String>) {
        self.checks.push(Check { name, state: CheckResult::Ok, text: text.into(), next: None });
    }

    pub(super) fn warning(
        &mut self,
        name: &'static str,
        text: impl Into<String>,
        next: impl Into<String>,
    ) {
        let (text, next) = (text.into(), Some(next.into()));
        self.checks.push(Check { name, state: CheckResult::Warning, text, next });
    }

    /// Adds a failed check. The text is an error, which says what to do next.
    pub(super) fn wrong(&mut self, name: &'static str, text: impl Into<String>) {
        self.checks.push(Check { name, state: CheckResult::Wrong, text: text.into(), next: None });
    }

    pub(super) fn not_checked(
        &mut self,
        name: &'static str,
        text: impl Into<String>,
        next: impl Into<String>,
    ) {
        let (text, next) = (text.into(), Some(next.into()));
        self.checks.push(Check { name, state: CheckResult::NotChecked, text, next });
    }

    /// Adds a failed check: a queue that the operator named does not exist.
    pub(super) fn queue_missing(&mut self, name: &'static str, failure: &Failure) {
        self.is_queue_missing = true;
        self.wrong(name, failure.to_string());
    }

    pub(super) fn exit(&self) -> Exit {
        let wrong = self.checks.iter().filter(|check| check.state == CheckResult::Wrong).count();
        match (wrong, self.is_queue_missing) {
            (0, _) => Exit::Done,
            (1, true) => Exit::NothingFound,
            _ => Exit::Failed,
        }
    }
}

/// All checks.
pub(super) struct Diagnosis(pub(super) Checks);

/// A check in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a>(&'a Check);

impl Report for Diagnosis {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        let columns = [Column::left("CHECK"), Column::left("RESULT"), Column::left("WHAT")];
        let cells = |check: &Check| {
            let text = match &check.next {
                Some(next) => format!("{}; {next}", check.text),
                None => check.text.clone(),
            };
            vec![
                Some(check.name.replace('_', " ")),
                Some(check.state.as_str().to_owned()),
                Some(text),
            ]
        };
        page.table(&columns, self.0.checks.iter().map(cells));
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.0.checks.iter().map(Record)
    }
}

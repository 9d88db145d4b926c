//! The results of checks.

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::{Column, Page, Report};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Wrong,
    NotChecked,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Wrong => "wrong",
            State::NotChecked => "not checked",
        }
    }
}

/// A check that was made.
#[derive(Clone, Debug, Serialize)]
struct Check {
    check: &'static str,
    state: State,
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
    pub(super) fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.checks.push(Check { check, state: State::Ok, text: text.into(), next: None });
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        next: impl Into<String>,
    ) {
        let (text, next) = (text.into(), Some(next.into()));
        self.checks.push(Check { check, state: State::Warning, text, next });
    }

    /// An error says what to do next itself.
    pub(super) fn wrong(&mut self, check: &'static str, text: impl Into<String>) {
        self.checks.push(Check { check, state: State::Wrong, text: text.into(), next: None });
    }

    pub(super) fn not_checked(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        next: impl Into<String>,
    ) {
        let (text, next) = (text.into(), Some(next.into()));
        self.checks.push(Check { check, state: State::NotChecked, text, next });
    }

    /// A queue that the operator named does not exist.
    pub(super) fn missing(&mut self, check: &'static str, failure: &Failure) {
        self.is_queue_missing = true;
        self.wrong(check, failure.to_string());
    }

    pub(super) fn exit(&self) -> Exit {
        let wrong = self.checks.iter().filter(|check| check.state == State::Wrong).count();
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
                Some(check.check.replace('_', " ")),
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

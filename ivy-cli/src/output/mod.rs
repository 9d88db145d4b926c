//! What commands print: tables and pages for people, JSON lines for programs.
//!
//! A command computes a [`Report`] and passes it on; nothing else prints. All text that is printed
//! for people is escaped here, so that no command can forget it.

mod confirm;
mod json;
mod progress;
mod table;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(crate) use confirm::{Answer, Confirmation};
pub(crate) use progress::Progress;
pub(crate) use table::{Column, Page};

use crate::exit::Failure;

/// How to print.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Print one JSON object a line, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// The result of a command.
pub(crate) trait Report {
    /// One line of JSON.
    type Record<'a>: Serialize
    where
        Self: 'a;

    /// The result for people.
    fn page(&self, page: &mut Page);

    /// The result for programs.
    fn records(&self) -> impl Iterator<Item = Self::Record<'_>>;
}

/// A remark about the result, such as that it is not complete. The last line of an output.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    /// Whether there is more than was shown.
    truncated: bool,
    note: String,
}

impl Note {
    pub(crate) fn new(note: impl Into<String>) -> Self {
        Note { truncated: false, note: note.into() }
    }

    /// There is more than was shown.
    pub(crate) fn truncated(note: impl Into<String>) -> Self {
        Note { truncated: true, note: note.into() }
    }
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    is_terminal: bool,
    has_color: bool,
    /// Whether somebody reads it, as far as is known.
    has_reader: Cell<bool>,
}

impl Output {
    pub(crate) fn new(options: &OutputOptions) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_color = is_terminal && !no_color && !options.json;
        Output { json: options.json, is_terminal, has_color, has_reader: Cell::new(true) }
    }

    /// Prints a report.
    pub(crate) fn show(&self, report: &impl Report) -> Result<(), Failure> {
        let text = if self.json {
            report.records().map(|record| json::line(&record)).collect()
        } else {
            let mut page = Page::new(self.has_color);
            report.page(&mut page);
            page.into_text()
        };
        self.print(&text)
    }

    /// Prints a remark.
    pub(crate) fn note(&self, note: &Note) -> Result<(), Failure> {
        self.print(&if self.json { json::line(note) } else { page(&note.note) })
    }

    /// Prints a remark to standard error, beside an output that other programs read.
    pub(crate) fn note_aside(&self, note: &Note) {
        let text = if self.json { json::line(note) } else { page(&note.note) };
        let mut err = io::stderr().lock();
        // There is no other place to report it.
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// Makes room for the next state of a report that is watched.
    pub(crate) fn refresh(&self) -> Result<(), Failure> {
        match (self.json, self.is_terminal) {
            (true, _) => Ok(()),
            (false, true) => self.print("\u{1b}[H\u{1b}[2J"),
            (false, false) => self.print("\n"),
        }
    }

    /// Whether somebody reads the output: `head` ends when it has seen enough.
    pub(crate) fn has_reader(&self) -> bool {
        self.has_reader.get()
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if !write_to_reader(text.as_bytes())? {
            self.has_reader.set(false);
        }
        Ok(())
    }

    /// Prints why a look failed, to standard error. The command goes on.
    pub(crate) fn complain(&self, failure: &Failure) {
        complain(failure, self.json);
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

/// A page of one line.
fn page(line: &str) -> String {
    let mut page = Page::new(false);
    page.line(line);
    page.into_text()
}

/// A record as a line of JSON, for a file.
pub(crate) fn json_line(record: &impl Serialize) -> String {
    json::line(record)
}

/// Prints untrusted lines to standard error.
pub(crate) fn print_error(text: &str) {
    let mut page = Page::new(false);
    text.lines().for_each(|line| page.line(line));
    let mut err = io::stderr().lock();
    // There is no other place to report it.
    let _ = err.write_all(page.into_text().as_bytes()).and_then(|()| err.flush());
}

/// Prints what is already in its final form, such as a script.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    write_to_reader(bytes).map(|_| ())
}

/// Returns whether somebody reads the output.
fn write_to_reader(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::local("cannot write the output", error)),
    }
}

/// Prints why a command failed, to standard error.
pub(crate) fn complain(failure: &Failure, json: bool) {
    #[derive(Serialize)]
    struct Line<'a> {
        error: Problem<'a>,
    }
    #[derive(Serialize)]
    struct Problem<'a> {
        kind: &'static str,
        message: &'a str,
    }

    let message = failure.to_string();
    let text = if json {
        json::line(&Line { error: Problem { kind: failure.exit.as_str(), message: &message } })
    } else {
        page(&format!("ivy: {message}"))
    };
    let mut out = io::stderr().lock();
    // There is no other place to report it.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

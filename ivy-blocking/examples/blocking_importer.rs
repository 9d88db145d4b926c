//! Imports many rows: calls a task for each, reports the rows that fail, and continues where it was
//! stopped.
//!
//! ```text
//! export IVY_QUEUE_URL=redis://127.0.0.1     # or memory://
//! cargo run -p ivy-blocking --example blocking_importer
//! ```
//!
//! Ctrl-C stops it: it sends no more rows, waits for the results of those that it has sent, and ends.
//! Started again, it imports the rows that are left, and those that failed. It ends as well if the
//! queue cannot be reached, instead of trying all rows in vain.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use ivy_blocking::{
    CallOptions, ErrorKind, Ivy, NothingYet, StreamedResult, Task, TaskError, TaskId,
};

/// Imports one row, given its number and its text, and returns its amount.
const IMPORT: Task<(u64, String), u64> = Task::new("testpackage.import").queue("import");

/// How often the program looks whether it was interrupted, while no result arrives.
const TICK: Duration = Duration::from_millis(100);

/// After this many rows in a row without a result, for reasons that are not theirs, the queue is taken
/// as unreachable. They fill a request: one that fails is not enough.
const OUTAGE: usize = 200;

/// Imports rows through the task `testpackage.import`.
#[derive(Parser)]
struct Options {
    /// How many rows there are.
    #[arg(long, default_value_t = 50_000)]
    rows: u64,
    /// The file of the rows that are imported.
    #[arg(long, default_value = "imported.txt")]
    imported: PathBuf,
    /// How long the import of a row takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    work: u64,
}

/// A row of what is imported. Row 13 is damaged.
fn row(number: u64) -> String {
    if number == 13 { "customer 13".to_owned() } else { format!("customer {number};{number}00") }
}

/// The handler. It may run more than once for a row, so what it does must be idempotent.
fn import(work: Duration, number: u64, row: String) -> Result<u64, TaskError> {
    thread::sleep(work);
    let amount = row.split_once(';').and_then(|(_, amount)| amount.parse().ok());
    // A retry would not help.
    amount.ok_or_else(|| TaskError::fatal(format!("row {number} has no amount")))
}

/// The rows that are imported, one number a line, and the file to which more are added.
fn open(imported: &Path) -> io::Result<(HashSet<u64>, File)> {
    let mut file = File::options().read(true).append(true).create(true).open(imported)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // A last line without its end was cut off by a kill: its number may be another one.
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    file.set_len(end as u64)?;
    Ok((text[..end].lines().filter_map(|line| line.parse().ok()).collect(), file))
}

/// Imports the rows that are left. Returns whether none failed.
fn import_all(options: Options) -> Result<bool, Box<dyn Error>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let on_interrupt = Arc::clone(&interrupted);
    ctrlc::set_handler(move || on_interrupt.store(true, Ordering::Relaxed))?;
    let (done, mut imported) = open(&options.imported)?;
    let left: Vec<u64> = (1..=options.rows).filter(|number| !done.contains(number)).collect();
    let ivy = Ivy::from_env()?;
    // The worker, usually a program of its own.
    let work = Duration::from_millis(options.work);
    let handler = move |number, row| import(work, number, row);
    let worker = ivy.worker().register(&IMPORT, handler).concurrency(50).start()?;

    let calls = left.iter().map(|number| {
        let id = TaskId::derived("testpackage.import", number.to_string());
        ((*number, row(*number)), CallOptions::new().id(id))
    });
    let mut results = ivy.call_stream_with(&IMPORT, calls, Duration::from_secs(60));
    let (mut failed, mut without_result, mut is_unreachable) = (0, 0, false);
    loop {
        if interrupted.swap(false, Ordering::Relaxed) {
            results.stop();
            println!("interrupted: {} results are still to come", results.outstanding());
        }
        let StreamedResult { index, result, .. } = match results.next_within(TICK) {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err(NothingYet) => continue,
        };
        match result {
            Ok(_) => {
                imported.write_all(format!("{}\n", left[index]).as_bytes())?;
                without_result = 0;
            }
            Err(error) => {
                failed += 1;
                // The handler refused the row, or the row has no result for another reason.
                without_result =
                    if error.kind() == ErrorKind::Failed { 0 } else { without_result + 1 };
                eprintln!("row {}: {error}", left[index]);
            }
        }
        if without_result == OUTAGE {
            is_unreachable = true;
            results.stop();
        }
        if results.finished() % 1_000 == 0 {
            println!("{} of {} rows, {failed} failed", results.finished(), left.len());
        }
    }
    let (finished, left) = (results.finished(), left.len() - results.finished());
    println!("{} rows imported, {failed} failed, {left} left", finished - failed);
    worker.drain(Duration::from_secs(8));
    if is_unreachable {
        return Err("queue unreachable, nothing more is sent; run again".into());
    }
    Ok(failed == 0)
}

fn main() -> ExitCode {
    match import_all(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

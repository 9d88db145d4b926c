//! `ivy send`: sends tasks without waiting for their results.

use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use ivy_proto::text::Counted;
use ivy_proto::wire::RawJson;
use ivy_proto::{MessageId, QueueName, TaskId};
use ivy_tokio::{CallOptions, Ivy, NamedTask};
use serde::Serialize;

use super::CommonOptions;
use super::call_options::{TaskOptions, args};
use super::lines::{self, Line};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Note, Output, Page, Progress, Report};

/// How many tasks are sent at a time: a batch of one request.
const BATCH: usize = 100;

/// Send a task without waiting for its result
///
/// Prints the id of the task, that of its message, and the physical queue of that.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "ivy send [OPTIONS] <NAME> <JSON>\n       ivy send [OPTIONS] <NAME> --args-file <FILE>"
)]
pub(crate) struct Options {
    /// The task's name
    name: String,

    /// The arguments: a JSON array. Not with --args-file
    #[arg(value_name = "JSON", required_unless_present = "args_file")]
    args: Option<String>,

    /// Send one task for each line of this file, which is a JSON array of arguments; - is the
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "args")]
    args_file: Option<PathBuf>,

    #[command(flatten)]
    task: TaskOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let common = &options.common;
    let task = options.task.task(&options.name)?;
    let call_options = options.task.call_options();
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let queue = options.task.physical_queue()?;
    let sending = Sending { ivy, task, queue, call_options, output };
    match &options.args_file {
        Some(file) => sending.each_line(file).await,
        None => sending.one(options.args.as_deref().unwrap_or_default()).await,
    }
}

struct Sending {
    ivy: Ivy,
    task: NamedTask,
    /// The physical queue.
    queue: QueueName,
    call_options: CallOptions,
    output: Output,
}

impl Sending {
    async fn one(&self, text: &str) -> Result<Exit, Failure> {
        let args = args(text).map_err(Failure::usage)?;
        let mut interrupts = Interrupts::watch()?;
        let sent = tokio::select! {
            sent = self.send(args) => sent?,
            () = interrupts.next() => {
                let text = "interrupted; the task may have been sent";
                return Err(Failure::new(Exit::Interrupted, text));
            }
        };
        self.output.show(&sent)?;
        Ok(Exit::Done)
    }

    async fn send(&self, args: RawJson) -> Result<Sent, Failure> {
        let (id, message) = self.ivy.send_by_name(&self.task, args, &self.call_options).await?;
        Ok(Sent { id, message, queue: self.queue.clone() })
    }

    /// Sends one task for each line, until a line is invalid or a task is not sent. No line after an
    /// invalid one is sent.
    async fn each_line(&self, file: &Path) -> Result<Exit, Failure> {
        let (mut sent, mut interrupts) = (0, Interrupts::watch()?);
        let mut lines = interrupts.run_until_interrupted(lines::read(file)).await??;
        let mut progress = Progress::new("sending");
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            let read = tokio::select! {
                read = lines.recv_many(&mut batch, BATCH) => read,
                () = interrupts.next() => {
                    return self.stopped(sent, Failure::new(Exit::Interrupted, "interrupted"));
                }
            };
            if read == 0 {
                return self.finished(sent);
            }
            let mut calls = Vec::with_capacity(batch.len());
            let (mut invalid, mut failed) = (None, None);
            for line in batch {
                match read_line(line) {
                    Ok(call) => calls.push(call),
                    Err(failure) => {
                        invalid = Some(failure);
                        break;
                    }
                }
            }
            let count = calls.len();
            let sending = join_all(calls.into_iter().map(|call| self.line(call)));
            let Ok(results) = interrupts.run_until_interrupted(sending).await else {
                let tasks = Counted(count as u64, "more task", "more tasks");
                let text = format!("interrupted; up to {tasks} may have been sent");
                return self.stopped(sent, Failure::new(Exit::Interrupted, text));
            };
            for result in results {
                match result {
                    Ok(task) => {
                        self.output.show(&task)?;
                        sent += 1;
                    }
                    Err(failure) => {
                        failed.get_or_insert(failure);
                    }
                }
            }
            // The lines that were sent precede the invalid one.
            if let Some(failure) = failed.or(invalid) {
                return self.stopped(sent, failure);
            }
            progress.set(sent, None);
        }
    }

    async fn line(&self, (number, args): (usize, RawJson)) -> Result<Sent, Failure> {
        let in_line = |failure: Failure| failure.within(&format!("line {number}"));
        self.send(args).await.map_err(in_line)
    }

    fn finished(&self, sent: u64) -> Result<Exit, Failure> {
        if !self.output.is_json() {
            self.output.note(&Note::new(format!("{} sent", Counted(sent, "task", "tasks"))))?;
        }
        Ok(Exit::Done)
    }

    /// Reports how far it came.
    fn stopped(&self, sent: u64, failure: Failure) -> Result<Exit, Failure> {
        let exit = if sent > 0 && failure.exit != Exit::Interrupted {
            Exit::DoneInPart
        } else {
            failure.exit
        };
        let sent = match sent {
            0 => "no task was sent".to_owned(),
            1 => "1 task was sent, as printed".to_owned(),
            sent => format!("{sent} tasks were sent, as printed"),
        };
        Err(Failure::new(exit, format!("{failure}; {sent}")))
    }
}

/// The number of a line, and the arguments in it.
fn read_line(line: io::Result<Line>) -> Result<(usize, RawJson), Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read the arguments: {error}"));
    let Line { number, text } = line.map_err(unreadable)?;
    let args = args(&text);
    let args = args.map_err(|error| Failure::usage(error).within(&format!("line {number}")))?;
    Ok((number, args))
}

/// A task that was sent.
#[derive(Debug)]
struct Sent {
    id: TaskId,
    message: MessageId,
    queue: QueueName,
}

/// A sent task in JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    task_id: String,
    message: &'a str,
    queue: &'a str,
}

impl Report for Sent {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        page.line(&format!("task {}, message {} of queue {}", self.id, self.message, self.queue));
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let (message, queue) = (self.message.as_str(), self.queue.as_str());
        iter::once(Record { task_id: self.id.to_string(), message, queue })
    }
}

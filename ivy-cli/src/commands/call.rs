//! `ivy call`: calls a task and prints its result.

use std::iter;
use std::time::Duration;

use ivy_proto::TaskId;
use ivy_proto::wire::RawJson;
use serde::Serialize;

use super::CommonOptions;
use super::call_options::{TaskOptions, args};
use crate::duration;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Output, Page, Report};

/// Call a task, wait for its result, and print it as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The task's name
    name: String,

    /// The arguments: a JSON array
    #[arg(value_name = "JSON")]
    args: String,

    /// How long to wait for the result
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,

    #[command(flatten)]
    task: TaskOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::watch()?;
    tokio::select! {
        result = call(options) => result,
        () = interrupts.next() => {
            let text = "interrupted; the task may run, or may have run";
            Err(Failure::new(Exit::Interrupted, text))
        }
    }
}

async fn call(options: &Options) -> Result<Exit, Failure> {
    let common = &options.common;
    let task = options.task.task(&options.name)?;
    let args = args(&options.args).map_err(Failure::usage)?;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let handle = ivy.call_by_name(&task, args, &options.task.call_options()).await?;
    let result = handle.result(options.timeout).await?;
    output.show(&Returned { id: handle.id(), result })?;
    Ok(Exit::Done)
}

/// The result of a task.
#[derive(Debug)]
struct Returned {
    id: TaskId,
    result: RawJson,
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    task_id: String,
    result: &'a RawJson,
}

impl Report for Returned {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        page.line(self.result.as_str());
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        iter::once(Record { task_id: self.id.to_string(), result: &self.result })
    }
}

//! `ivy dead import`: posts dead letters from a file.

use std::path::PathBuf;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::queue::{Batch, Body, Effect, Fault, FaultKind, NewMessage, QueueOp, QueueReply};
use ivy_tokio::Ivy;

use super::stored::StoredLetter;
use crate::commands::CommonOptions;
use crate::commands::lines::{self, Line};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Note, Output, Progress};

/// The size of a message in a request without its body, at most.
const AROUND_A_BODY: usize = 64;

/// Post dead letters from a file that `ivy dead export` wrote
///
/// Each letter returns to its dead-letter queue, as a new message.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The file; - is standard input
    file: PathBuf,

    /// Post the letters to this dead-letter queue instead of their own
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,

    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { file, queue, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut lines = lines::read(file)?;
    let mut interrupts = Interrupts::watch()?;
    let mut importing = Importing::new(&ivy);
    let ended = loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = interrupts.next() => break Err(Failure::interrupted()),
        };
        let Some(line) = line else { break importing.flush().await };
        if let Err(failure) = importing.line(line, queue.as_ref()).await {
            break Err(failure);
        }
    };
    output.note(&Note::new(importing.summary()))?;
    match ended {
        Ok(()) => Ok(Exit::Done),
        Err(failure) if importing.posted > 0 && failure.exit == Exit::Failed => {
            Err(failure.with_exit(Exit::DoneInPart))
        }
        Err(failure) => Err(failure),
    }
}

/// Letters that are posted in batches.
struct Importing<'a> {
    ivy: &'a Ivy,
    progress: Progress,
    /// The queue of the letters that wait, and how many bytes they have.
    queue: Option<QueueName>,
    waiting: Vec<NewMessage>,
    bytes: usize,
    posted: u64,
    unknown: u64,
}

impl<'a> Importing<'a> {
    fn new(ivy: &'a Ivy) -> Self {
        Importing {
            ivy,
            progress: Progress::start("importing"),
            queue: None,
            waiting: Vec::new(),
            bytes: 0,
            posted: 0,
            unknown: 0,
        }
    }

    async fn line(
        &mut self,
        line: std::io::Result<Line>,
        to: Option<&QueueName>,
    ) -> Result<(), Failure> {
        let Line { number, text } =
            line.map_err(|error| Failure::local("cannot read the letters", error))?;
        let in_line = |failure: Failure| failure.within(&format!("line {number}"));
        let letter = StoredLetter::read(&text).map_err(Failure::wrong_call).map_err(in_line)?;
        let (queue, body) = (to.cloned().unwrap_or(letter.0), letter.1);
        self.add(queue, body).await.map_err(in_line)
    }

    async fn add(&mut self, queue: QueueName, body: Body) -> Result<(), Failure> {
        let capabilities = self.ivy.queue().capabilities();
        let size = serde_json::to_string(body.as_str()).map_or(0, |text| text.len());
        let size = size + AROUND_A_BODY;
        let is_full = self.waiting.len() >= capabilities.batch.post
            || self.bytes + size > capabilities.max_request
            || self.queue.as_ref().is_some_and(|other| *other != queue);
        if is_full {
            self.flush().await?;
        }
        self.queue = Some(queue);
        self.bytes += size;
        self.waiting.push(NewMessage { body, delay: Duration::ZERO });
        Ok(())
    }

    /// Posts the letters that wait. A letter that may have been posted is not posted again.
    async fn flush(&mut self) -> Result<(), Failure> {
        let messages = Batch::new(std::mem::take(&mut self.waiting));
        let (Some(queue), Some(messages)) = (self.queue.clone(), messages) else { return Ok(()) };
        self.bytes = 0;
        let count = messages.items().len();
        let reply = self.ivy.queue().execute(QueueOp::Post { queue, messages }).await;
        let results = match reply {
            Ok(QueueReply::Posted(results)) => results,
            Ok(_) => vec![Err(Fault::new(FaultKind::BadResponse)); count],
            Err(fault) => vec![Err(fault); count],
        };
        let mut first_fault = None;
        for result in results {
            match result {
                Ok(_) => self.posted += 1,
                Err(fault) => {
                    self.unknown += u64::from(fault.effect() == Effect::Unknown);
                    first_fault.get_or_insert(fault);
                }
            }
        }
        self.progress.set(self.posted, None);
        match first_fault {
            None => Ok(()),
            Some(fault) => Err(Failure::new(Exit::Failed, fault.to_string())),
        }
    }

    fn summary(&self) -> String {
        match self.unknown {
            0 => format!("{} letters posted", self.posted),
            unknown => format!("{} letters posted, and {unknown} possibly posted", self.posted),
        }
    }
}

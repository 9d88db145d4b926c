//! `ivy dead import`: posts dead letters from a file.

mod posting;

use std::io;
use std::iter;
use std::path::PathBuf;

use ivy_proto::QueueName;
use ivy_proto::text::Counted;
use serde::Serialize;
use tokio::sync::mpsc;

use self::posting::Posting;
use super::stored::StoredLetter;
use crate::commands::CommonOptions;
use crate::commands::lines::{self, Line};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Note, Output, Page, Report};

/// Post dead letters from a file that `ivy dead export` wrote
///
/// Each letter returns to its dead-letter queue, as a new message. The import ends at the first line
/// that is invalid or not posted, and then says which lines are left.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The file; - is standard input
    file: PathBuf,

    /// Post the letters to this dead-letter queue, such as mail.dead, instead of their own. Sealed ones
    /// are refused: they are bound to their own
    #[arg(long, value_name = "QUEUE", value_parser = dead_letter_queue)]
    queue: Option<QueueName>,

    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

/// Workers would run what is posted to their queues.
fn dead_letter_queue(text: &str) -> Result<QueueName, String> {
    let queue: QueueName = QueueName::new(text).map_err(|error| error.to_string())?;
    match queue.of_dead_letters() {
        Some(_) => Ok(queue),
        None => {
            Err(format!("it is not a dead-letter queue; the one of its letters is {queue}.dead"))
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { file, queue, common } = options;
    let mut interrupts = Interrupts::watch()?;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut lines = interrupts.run_until_interrupted(lines::read(file)).await??;
    let mut posting = Posting::new(&ivy);
    let ended = post_lines(&mut posting, &mut lines, queue.as_ref(), &mut interrupts).await;
    let imported = Imported { posted: posting.posted, possibly_posted: posting.unknown };
    output.show(&imported)?;
    let Err(failure) = ended else { return Ok(Exit::Done) };
    if !imported.is_any() {
        return Err(failure);
    }
    output.note_aside(&Note::truncated(posting.rest()));
    match failure.exit {
        Exit::Interrupted => Err(failure),
        _ => Err(failure.with_exit(Exit::DoneInPart)),
    }
}

/// Posts the letters of all lines, until one is invalid or not posted.
async fn post_lines(
    posting: &mut Posting<'_>,
    lines: &mut mpsc::Receiver<io::Result<Line>>,
    to: Option<&QueueName>,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    while let Some(line) = interrupts.run_until_interrupted(lines.recv()).await? {
        let added = match read_line(line, to) {
            Ok((number, letter)) => posting.add(number, letter, interrupts).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = added {
            // What precedes the line is not affected by it.
            posting.flush(interrupts).await?;
            return Err(failure);
        }
    }
    posting.flush(interrupts).await
}

/// The number of a line, and the letter in it with its queue.
fn read_line(
    line: io::Result<Line>,
    to: Option<&QueueName>,
) -> Result<(usize, (QueueName, ivy_proto::queue::Body)), Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read the letters: {error}"));
    let Line { number, text } = line.map_err(unreadable)?;
    let letter = StoredLetter::read(&text, to);
    let letter = letter.map_err(|error| Failure::usage(error).within(&format!("line {number}")))?;
    Ok((number, letter))
}

/// How many letters were posted.
#[derive(Debug, Serialize)]
struct Imported {
    posted: u64,
    possibly_posted: u64,
}

impl Imported {
    fn is_any(&self) -> bool {
        self.posted + self.possibly_posted > 0
    }
}

impl Report for Imported {
    type Record<'a> = &'a Imported;

    fn page(&self, page: &mut Page) {
        let posted = format!("{} posted", Counted(self.posted, "letter", "letters"));
        page.line(&match self.possibly_posted {
            0 => posted,
            possibly => format!(
                "{posted}, and {possibly} possibly posted: look for them before you import again"
            ),
        });
    }

    fn records(&self) -> impl Iterator<Item = &Imported> {
        iter::once(self)
    }
}

//! `ivy dead export`: writes dead letters to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ivy_proto::QueueName;
use ivy_proto::admin::{Row, SweepConfig};
use ivy_proto::inspect::{KeyPattern, Redaction};
use ivy_proto::queue::ReceivedBody;
use ivy_proto::text::Counted;

use super::dead_queue;
use super::stored::StoredLetter;
use crate::commands::CommonOptions;
use crate::commands::message::{Message, Showing};
use crate::commands::sweep::{self, FilterOptions};
use crate::commands::time::now;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Note, Output, json_line};

/// Write dead letters to a file, as JSON lines
///
/// The bodies are written as they are in the queue: sealed ones stay sealed, others can be read by
/// everyone who can read the file. Nothing is changed in the queue. Its letters are reserved while
/// they are read, and released at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The queue, such as mail, or its dead-letter queue, mail.dead
    queue: QueueName,

    /// The file, which must not exist; - is standard output
    file: PathBuf,

    /// Look at so many letters at most [default: 10,000]
    #[arg(long, value_name = "COUNT", value_parser = crate::commands::limit)]
    limit: Option<usize>,

    /// Write letters to be read by people: opened, without the texts of errors, and with the values of
    /// these keys hidden in their arguments, such as 'password,user.*'. They cannot be imported
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    redact: Vec<KeyPattern>,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, file, limit, redact, filter, common } = options;
    let mut interrupts = Interrupts::watch()?;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let dead = dead_queue(queue)?;
    let config = filter.apply(SweepConfig::look(dead.clone()), *limit)?;
    let redaction = redaction(redact);

    let failed = |error| Failure::local(format!("cannot write {}", file.display()), error);
    let mut target =
        BufWriter::new(interrupts.run_until_interrupted(open(file)).await?.map_err(failed)?);
    let (mut written, mut is_closed): (u64, bool) = (0, false);
    let mut left_out = LeftOut::default();
    let mut too_long = TooLong::new(ivy.queue().capabilities().max_body);
    let report = sweep::look(&ivy, config, &mut interrupts, |row: Row| {
        left_out.add(&row);
        let line = match &redaction {
            Some(showing) => json_line(&Message::found(&dead, row, showing, now()).record()),
            None => {
                too_long.add(&row);
                StoredLetter::of(&dead, &row.message, &row.body).to_line()
            }
        };
        if let Err(error) = target.write_all(line.as_bytes()) {
            is_closed |= is_standard_output(file) && error.kind() == io::ErrorKind::BrokenPipe;
            return Err(failed(error));
        }
        written += 1;
        Ok(())
    })
    .await;
    let flushed = target.flush().or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe if is_standard_output(file) => {
            is_closed = true;
            Ok(())
        }
        _ => Err(failed(error)),
    });
    // The reader has seen enough, as `head` does.
    if is_closed {
        return Ok(Exit::Done);
    }
    if written == 0 {
        remove(file).map_err(failed)?;
    }
    let report = report?;
    flushed?;
    if written > 0 && !is_standard_output(file) {
        let letters = Counted(written, "letter", "letters");
        output.note(&Note::new(format!("{letters} written to {}", file.display())))?;
    }
    let notes = left_out.note().into_iter().chain(too_long.note());
    for text in notes.chain(sweep::notes_of_look(&report, limit.is_some())) {
        output.note_aside(&Note::truncated(text));
    }
    match sweep::exit_of_look(&report)? {
        Exit::Done if written == 0 => Err(sweep::no_match(&report)),
        exit => Ok(exit),
    }
}

/// How many copies are named.
const NAMED: usize = 10;

/// The letters that are not written because another one is a copy of the same message.
#[derive(Default)]
struct LeftOut {
    count: usize,
    /// Of which letters they are copies, and how many of each.
    of: Vec<String>,
}

impl LeftOut {
    fn add(&mut self, row: &Row) {
        let others = row.copies.saturating_sub(1);
        if others > 0 {
            self.count += others;
            if self.of.len() < NAMED {
                self.of.push(format!("{others} of {}", row.message));
            }
        }
    }

    fn note(&self) -> Option<String> {
        let LeftOut { count, of } = self;
        let letters = match count {
            0 => return None,
            1 => "1 letter was not written, because it is a copy of one that was".to_owned(),
            count => {
                format!(
                    "{count} letters were not written, because they are copies of ones that were"
                )
            }
        };
        Some(format!("{letters}: {}", of.join(", ")))
    }
}

/// The letters that no import can post to such a queue.
struct TooLong {
    max_body: usize,
    count: usize,
    names: Vec<String>,
}

impl TooLong {
    fn new(max_body: usize) -> Self {
        TooLong { max_body, count: 0, names: Vec::new() }
    }

    fn add(&mut self, row: &Row) {
        let size = match &row.body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_bytes().len(),
            ReceivedBody::Missing | ReceivedBody::TooLarge => 0,
        };
        if size > self.max_body {
            self.count += 1;
            if self.names.len() < NAMED {
                self.names.push(row.message.to_string());
            }
        }
    }

    fn note(&self) -> Option<String> {
        let TooLong { max_body, count, names } = self;
        let (letters, ids) = (Counted(*count as u64, "letter", "letters"), names.join(", "));
        (*count > 0).then(|| {
            format!(
                "{letters} of more than {max_body} bytes cannot be imported, because their queue accepts no \
                 message of that size: {ids}"
            )
        })
    }
}

/// How letters are shown if values are to be hidden.
fn redaction(keys: &[KeyPattern]) -> Option<Showing> {
    if keys.is_empty() {
        return None;
    }
    // An error may repeat what the keys hide.
    let redaction = Redaction::new().show_full_args().hide_errors();
    let redaction = keys.iter().fold(redaction, |redaction, keys| redaction.mask(keys.clone()));
    Some(Showing { redaction, raw: false })
}

/// Whether letters are written where the output of commands is.
fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}

/// Whether the path is one of a device or a pipe, which exists and is not removed.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// Opens the file on a thread of its own: a pipe cannot be opened before it has a reader.
async fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if is_standard_output(path) {
        return Ok(Box::new(io::stdout()));
    }
    let path = path.to_owned();
    let opening = tokio::task::spawn_blocking(move || match is_special(&path) {
        true => File::options().write(true).open(path),
        false => create(&path),
    });
    Ok(Box::new(opening.await.map_err(io::Error::other)??))
}

/// Creates a file that only its owner can read, because letters contain arguments.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Removes the file, which stayed empty.
fn remove(path: &Path) -> io::Result<()> {
    if is_standard_output(path) || is_special(path) { Ok(()) } else { fs::remove_file(path) }
}

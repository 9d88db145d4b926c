//! `ivy dead export`: writes dead letters to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ivy_proto::QueueName;
use ivy_proto::admin::{Row, SweepConfig};

use super::stored::StoredLetter;
use super::{check_exists, dead_queue};
use crate::commands::CommonOptions;
use crate::commands::sweep::{self, FilterOptions};
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output};

/// Write dead letters to a file, as JSON lines
///
/// The bodies are written as they are in the queue: sealed ones stay sealed, others can be read by
/// everyone who can read the file. Nothing is changed in the queue, but its letters are reserved for
/// some minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The queue, such as mail, or its dead-letter queue, mail.dead
    queue: QueueName,

    /// The file, which must not exist; - is standard output
    file: PathBuf,

    /// Look at so many letters at most
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    limit: usize,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, file, limit, filter, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let dead = dead_queue(queue)?;
    check_exists(&ivy, &dead).await?;
    let config = SweepConfig::look(dead.clone());
    let config = config.with_filter(filter.filter()?).with_limit(*limit);
    let running = ivy.admin().sweep(config)?;

    let failed = |error| Failure::local(format!("cannot write {}", file.display()), error);
    let mut target = BufWriter::new(open(file).map_err(failed)?);
    let mut written: u64 = 0;
    let report = sweep::look(running, |row: Row| {
        let letter = StoredLetter::of(&dead, &row.message, &row.body);
        target.write_all(letter.to_line().as_bytes()).map_err(failed)?;
        written += 1;
        Ok(())
    })
    .await?;
    target.flush().map_err(failed)?;
    if file != Path::new("-") {
        output.note(&Note::new(format!("{written} letters written to {}", file.display())))?;
    }
    if let Some(why) = &report.truncated {
        output.note(&Note::truncated(format!("not all letters were looked at: {why}")))?;
    }
    sweep::exit_of_look(&report)
}

fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    create(path).map(|file| Box::new(file) as Box<dyn Write + Send>)
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

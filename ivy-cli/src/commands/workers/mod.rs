//! `ivy workers`: the workers that were heard.

mod report;

use std::time::Duration;

use ivy_proto::presence::Heard;

use self::report::Workers;
use super::CommonOptions;
use super::heard::{LISTEN, SILENCE, ignored, summary, warn_if_short};
use super::watch::WatchOptions;
use crate::duration;
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output};

/// List the workers that are heard
///
/// A worker publishes what it does at least every 15 s, and every 2 s while somebody listens. A
/// worker that is not heard may still run: with its presence turned off; with another notifier,
/// notification channel or key; with an older version; or without a connection to its notifier. A
/// silent one was heard before, and then not for 50 s.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Listen for this long. In less than 16s some may not be heard
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = LISTEN,
        value_parser = duration::parse,
        conflicts_with = "watch",
    )]
    listen: Duration,

    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let common = &options.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut watch = ivy.watch_workers()?;
    let Some(interval) = options.watch.interval() else {
        warn_if_short(options.listen, &output);
        let heard = watch.listen(options.listen).await?;
        if heard.workers.is_empty() {
            return Err(nobody(&heard));
        }
        show(heard, &output)?;
        return Ok(Exit::Done);
    };
    let look = async |_| {
        // Also before the first look: without a subscription nobody is heard.
        let heard = watch.listen(interval.get()).await?;
        output.refresh()?;
        show(heard, &output)?;
        Ok(Exit::Done)
    };
    interval.repeat(&output, look).await
}

fn show(heard: Heard, output: &Output) -> Result<(), Failure> {
    let (summary, ignored) = (summary(&heard), ignored(&heard));
    let evicted = heard.evicted;
    output.show(&Workers { workers: heard.workers, summary })?;
    if let Some(ignored) = ignored {
        output.note(&Note::new(ignored))?;
    }
    if evicted > 0 {
        let text = format!("{evicted} more workers were heard; there is no room to list them");
        output.note(&Note::truncated(text))?;
    }
    Ok(())
}

/// Nobody was heard in the requested time.
fn nobody(heard: &Heard) -> Failure {
    let mut text = format!("{}; a worker publishes at least every 15 s", summary(heard));
    if let Some(ignored) = ignored(heard) {
        text += &format!("; {ignored}");
    }
    text += &format!("; {SILENCE}");
    Failure::new(Exit::NothingFound, text)
}

//! `ivy doctor`: checks of the configuration and the servers.

mod clocks;
mod notifier;
mod queue;
mod report;
mod settings;
mod workers;

use futures_util::FutureExt;
use ivy_proto::QueueName;
use ivy_proto::event::Event;
use ivy_tokio::Events;

use self::report::{Checks, Diagnosis};
use super::CommonOptions;
use super::heard::ListenOptions;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Check the configuration, the queue's server, and the notifier
///
/// Each check is ok, a warning, wrong, or not checked, with what to do next. Nothing is changed
/// unless --write is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Check this queue as well; by default the first one of the server
    queue: Option<QueueName>,

    /// Post, reserve and delete a message in the queue ivy.doctor
    #[arg(long)]
    write: bool,

    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, write, listen, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut events = ivy.events();
    let mut checks = Checks::default();
    settings::check(&ivy, &mut checks);
    let waiting = queue::check(&ivy, queue.as_ref(), &mut checks).await;
    check_server(&mut events, &mut checks);
    if *write {
        queue::check_writing(&ivy, &mut checks).await;
    } else {
        checks.not_checked("writing", "no message was posted", "give --write to check it");
    }
    notifier::check(&ivy, &mut checks).await;
    match listen.hear(&ivy, &output).await {
        Ok(Some(heard)) => workers::check(&heard, &waiting, &mut checks),
        Ok(None) => {
            let next = "give --workers to listen for 16s";
            checks.not_checked("workers", "nobody listened for workers", next);
        }
        Err(failure) => checks.wrong("workers", failure.to_string()),
    }
    let exit = checks.exit();
    output.show(&Diagnosis(checks))?;
    Ok(exit)
}

/// Whether the queue's server warned of itself: a backend checks it before the first request, as for
/// a worker.
fn check_server(events: &mut Events, checks: &mut Checks) {
    let mut warnings = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        if let Event::QueueServerWarning { warning } = event {
            warnings.push(warning);
        }
    }
    if warnings.is_empty() {
        return checks.ok("server_settings", "the server reports nothing that endangers messages");
    }
    for warning in warnings {
        let (text, next) = match warning.rsplit_once("; ") {
            Some((text, next)) => (text.to_owned(), next.to_owned()),
            None => (warning, "see the log of the server".to_owned()),
        };
        checks.warning("server_settings", text, next);
    }
}

//! `ivy exporter`: serves gauges of queues to Prometheus.

mod look;
mod pages;

use std::future::pending;
use std::net::SocketAddr;

use ivy_driver::HealthError;
use ivy_driver::internal::{HealthListener, serve};
use ivy_proto::QueueName;
use ivy_tokio::Tokio;
use serde::Serialize;

use self::look::Looks;
use self::pages::LastLook;
use super::CommonOptions;
use super::watch::Interval;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Page, Report};

/// Serve gauges of queues for Prometheus, until Ctrl-C
///
/// One program asks the server, however many scrape it: `/metrics` has the messages of each queue
/// (ivy_queue_messages), how long the first ready one has been due (ivy_queue_head_age_seconds), the
/// dead letters (ivy_dead_letters) and, with a notifier, the workers that were heard
/// (ivy_workers_heard; from the second 16 on). What is unknown is absent, and never 0. What workers
/// count themselves is at their own `/metrics`, which IVY_HEALTH turns on.
///
/// `/livez` answers while the program runs, and `/readyz` if its last look at the queues succeeded.
/// A look that fails is repeated. Of more than 100 queues, the last ones by name share the label
/// `other`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these queues, with their priorities and dead letters [default: all queues]
    queues: Vec<QueueName>,

    /// The IP address and port to listen on; port 0 picks any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465")]
    listen: SocketAddr,

    /// How often to ask the server
    #[arg(long, value_name = "INTERVAL", default_value = "15s")]
    interval: Interval,

    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let common = &options.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let listener = HealthListener::<Tokio>::bind(options.listen)?;
    let address = listener.address();
    let mut looks = Looks::new(ivy, &options.queues, &output).await;
    let last = LastLook::default();
    last.set(looks.first(&output).await?);
    tokio::spawn(serve(listener, last.clone(), pending()));
    output.show(&Listening { address })?;
    loop {
        last.set(looks.next(options.interval.get(), &output).await);
    }
}

impl From<HealthError> for Failure {
    fn from(error: HealthError) -> Self {
        Failure::usage(error)
    }
}

/// Where the program listens.
struct Listening {
    address: SocketAddr,
}

#[derive(Debug, Serialize)]
struct Record {
    listening: SocketAddr,
}

impl Report for Listening {
    type Record<'a> = Record;

    fn page(&self, page: &mut Page) {
        page.line(&format!("listening on http://{}/metrics", self.address));
    }

    fn records(&self) -> impl Iterator<Item = Record> {
        std::iter::once(Record { listening: self.address })
    }
}

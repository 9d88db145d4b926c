//! `ivy serve`: a local server for the HTTP protocol of IronMQ v3.

mod access;
mod alerts;
mod api_call;
mod body_reader;
mod failure;
mod faults;
mod fields;
mod json;
mod json_response;
mod listener;
mod messages;
mod min_rate;
mod no_response;
mod push;
mod queue_kind;
mod response_body;
mod response_future;
mod route;
mod service;
mod shared_state;
mod socket;
mod state;
mod token;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ivy_proto::broker::{BodyEncoding, BrokerConfig, Requeue};

use self::access::{Access, ProjectId};
use self::faults::{Fault, Faults};
use self::service::Service;
use self::shared_state::SharedState;
use self::token::{BadToken, TokenOptions};

/// Serve queues on this host like IronMQ v3, for development and tests
///
/// Works with any IronMQ client. Queues are in memory: when the server stops, they are lost. Push
/// queues are accepted, but nothing is pushed, and their messages cannot be reserved.
#[derive(Debug, clap::Args)]
#[command(after_long_help = FAULTS_HELP)]
pub(crate) struct Options {
    /// The port to listen on; 0 picks any free one
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,

    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    bind: IpAddr,

    /// The project to serve; others are refused
    #[arg(long, default_value = "000000000000000000000001", value_name = "ID")]
    project: ProjectId,

    #[command(flatten)]
    token: TokenOptions,

    /// Follow IronMQ's documentation where the service is lenient
    ///
    /// Refuses reservations shorter than 30 seconds, settings for a queue that does not exist
    /// (PATCH), and numbers written as strings.
    #[arg(long)]
    strict: bool,

    /// The position of messages that return to their queue: before all others as in IronMQ v3, or
    /// behind them as in v2
    #[arg(long, value_enum, default_value_t = Requeued::Front, value_name = "PLACE")]
    requeue: Requeued,

    /// Inject a fault, for tests of clients (see the end of --help)
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,

    /// The seed of the faults: the same seed hits the same requests
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    fault_seed: u64,
}

/// The position of a message that was released, or whose reservation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Requeued {
    Front,
    Back,
}

impl From<Requeued> for Requeue {
    fn from(position: Requeued) -> Self {
        match position {
            Requeued::Front => Requeue::Front,
            Requeued::Back => Requeue::Back,
        }
    }
}

const FAULTS_HELP: &str = "\
Faults:
  Each --fault is KIND[,chance=P][,delay=D]. P is a probability from 0 to 1, 1 by default. D is a
  whole number of ms or s. If several are given, each is drawn for every request, and the first
  that hits applies. Only slow is combined with others.

  status=CODE      The request is not executed. The response has this status, 400 to 599; its body
                   is an HTML page for 502 to 504, which come from proxies, and else JSON with a msg
  drop-reply       The request is executed, and the connection closed without a response
  partial-reply    The request is executed, and the connection closed in the middle of the response
  empty-reply      The request is executed, and the response has an empty body
  null-messages    The request is executed, and messages are returned as null, as old servers did
  slow,delay=D     The response is delayed by this time

  ivy serve --fault status=503,chance=0.1 --fault slow,chance=0.5,delay=250ms --fault-seed 7";

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error("{0}")]
    Token(#[from] BadToken),
    #[error("the system provides no random numbers: {0}")]
    Entropy(getrandom::Error),
}

/// Serves until the process receives a signal to stop.
pub(crate) fn run(options: &Options) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Runtime::new().map_err(ServeError::Start)?;
    let result = runtime.block_on(serve(options));
    // Does not wait for connections that did not end in time.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options) -> Result<(), ServeError> {
    let token = options.token.resolve()?;
    raise_file_limit();
    // Before anything is printed, so that a program that reads the output can already stop the
    // server.
    let end = shutdown_signal().map_err(ServeError::Start)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(ServeError::Entropy)?;

    let address = SocketAddr::new(options.bind, options.port);
    let listen_error = |source| ServeError::Listen { address, source };
    let listener = listener::listen(address).map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;

    let config =
        BrokerConfig::default().with_strict(options.strict).with_requeue(options.requeue.into());
    // Bodies are stored and returned as JSON text, without decoding.
    let config = config.with_bodies(BodyEncoding::Json);
    let state = SharedState::start(config, seed).map_err(ServeError::Start)?;
    let access = Access { project: options.project.clone(), token: token.token };
    print_environment(address, &access.project, &token.in_shell);
    let faults = Faults::new(options.faults.clone(), options.fault_seed);
    let service = Service::new(state, access, faults, options.strict);
    listener::serve(listener, Arc::new(service), end).await;
    Ok(())
}

/// Prints the address in a first line for programs, and then how to configure a client.
fn print_environment(address: SocketAddr, project: &ProjectId, token: &str) {
    let project = project.as_str();
    // An unspecified address is not one that a client can connect to.
    let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    let client = SocketAddr::new(ip, address.port());
    let (host, port) = (client.ip(), client.port());
    let text = format!(
        "\
listening on http://{address}

# ivy
export IVY_QUEUE_URL=ironmq+http://{token}@{client}/{project}
# other IronMQ clients
export IRON_MQ_TOKEN={token}
export IRON_MQ_PROJECT_ID={project}
export IRON_MQ_HOST={host}
export IRON_MQ_PORT={port}
export IRON_MQ_SCHEME=http
export IRON_MQ_PROTOCOL=http

Ctrl-C stops the server and discards its queues.
"
    );
    let mut out = io::stdout().lock();
    // The server works even if its output is closed.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Raises the limit of open files to the maximum. Shells often start programs with 1,024, a legacy
/// of `select`, and programs are expected to raise it themselves.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Otherwise the server accepts fewer connections, and logs when they run out.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// Completes when the process receives a signal to stop.
#[cfg(unix)]
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes when the process receives a signal to stop.
#[cfg(not(unix))]
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without the signal, the process is simply killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

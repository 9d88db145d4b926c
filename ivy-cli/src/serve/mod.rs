//! `ivy serve`: a local server that speaks the HTTP interface of IronMQ v3.

mod access;
mod alerts;
mod api_call;
mod body_reader;
mod engine;
mod failure;
mod faults;
mod fields;
mod json;
mod json_response;
mod kind;
mod listener;
mod messages;
mod min_rate;
mod no_response;
mod push;
mod response_body;
mod response_future;
mod route;
mod service;
mod socket;
mod state;
mod token;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ivy_proto::broker::{BodyEncoding, BrokerConfig, Requeue};

use self::access::{Access, ProjectId};
use self::engine::Engine;
use self::faults::{Fault, Faults};
use self::service::Service;
use self::token::{BadToken, TokenOptions};

/// Serve queues on this machine as IronMQ v3 does, for development and tests
///
/// Any IronMQ client can be pointed at it. Queues live in memory: when the server ends, all is
/// gone. Push queues are accepted, but nothing is pushed, and a reserve hands out no message of them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = FAULTS_HELP)]
pub(crate) struct Options {
    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,

    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    bind: IpAddr,

    /// The project that is served; others are refused
    #[arg(long, default_value = "000000000000000000000001", value_name = "ID")]
    project: ProjectId,

    #[command(flatten)]
    token: TokenOptions,

    /// Hold to IronMQ's documentation where the service is lenient
    ///
    /// Reservations shorter than 30 seconds, settings for a queue that does not exist (PATCH), and
    /// numbers written as strings are refused.
    #[arg(long)]
    strict: bool,

    /// Where messages go that come back: in front of all others as in IronMQ v3, or behind them as
    /// in v2
    #[arg(long, value_enum, default_value_t = Requeued::Front, value_name = "PLACE")]
    requeue: Requeued,

    /// Let something go wrong, for tests of clients (see the end of --help)
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,

    /// Chooses which requests the faults strike: the same number, the same requests
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    fault_seed: u64,
}

/// Where a message goes that was released, or whose reservation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Requeued {
    Front,
    Back,
}

impl From<Requeued> for Requeue {
    fn from(place: Requeued) -> Self {
        match place {
            Requeued::Front => Requeue::Front,
            Requeued::Back => Requeue::Back,
        }
    }
}

const FAULTS_HELP: &str = "\
Faults:
  Each --fault is KIND[,chance=P][,delay=D]. P is from 0 to 1 and always if not given. D is a
  whole number of ms or s. Several can be given: the dice are thrown for each at every request,
  and of those that hit the first one counts. Only slow goes together with others.

  status=CODE      Nothing is done. The answer has this status, 400 to 599; its body is an HTML
                   page for 502 to 504, which come from proxies, and else JSON with a msg
  drop-reply       The work is done, and the connection closed without an answer
  partial-reply    The work is done, and the connection closed in the middle of the answer
  empty-reply      The work is done, and the answer has an empty body
  null-messages    The work is done, and messages are answered as null, as old servers did
  slow,delay=D     The answer is held back for this time

  ivy serve --fault status=503,chance=0.1 --fault slow,chance=0.5,delay=250ms --fault-seed 7";

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error("{0}")]
    Token(#[from] BadToken),
    #[error("the system has no random numbers: {0}")]
    Entropy(getrandom::Error),
}

/// Serves until the process is told to end.
pub(crate) fn run(options: &Options) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Runtime::new().map_err(ServeError::Start)?;
    let result = runtime.block_on(serve(options));
    // Connections that did not end in time are not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options) -> Result<(), ServeError> {
    let given = options.token.resolve()?;
    open_more_files();
    // Before anything is told to the world, so that whoever reads it can already end the server.
    let end = end_signal().map_err(ServeError::Start)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(ServeError::Entropy)?;

    let address = SocketAddr::new(options.bind, options.port);
    let refused = |source| ServeError::Listen { address, source };
    let listener = listener::listen(address).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;

    let config =
        BrokerConfig::default().with_strict(options.strict).with_requeue(options.requeue.into());
    // What came in JSON goes in JSON, and nothing here has to know what it says.
    let config = config.with_bodies(BodyEncoding::Json);
    let engine = Engine::start(config, seed).map_err(ServeError::Start)?;
    let access = Access { project: options.project.clone(), token: given.token };
    greet(address, &access.project, &given.in_shell);
    let faults = Faults::new(options.faults.clone(), options.fault_seed);
    let service = Service::new(engine, access, faults, options.strict);
    listener::serve(listener, Arc::new(service), end).await;
    Ok(())
}

/// Tells where the server listens, in a first line that programs read, and how to point a client
/// at it.
fn greet(address: SocketAddr, project: &ProjectId, token: &str) {
    let project = project.as_str();
    // An address that stands for all of this machine's is none that a client can use.
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

Ctrl-C ends the server, and all its queues with it.
"
    );
    let mut out = io::stdout().lock();
    // Whoever closed the output does not want to read it; the server serves all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Lets the process have as many connections as the system allows. Shells often start programs
/// with a limit of 1,024 files, out of the times of `select`, and programs raise it themselves.
#[cfg(unix)]
fn open_more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it the server has fewer connections, and says so when they run out.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(not(unix))]
fn open_more_files() {}

/// Comes true when the process is told to end.
#[cfg(unix)]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
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

/// Comes true when the process is told to end.
#[cfg(not(unix))]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without the signal the process is ended the hard way.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

//! The HTTP client: sends one request, and tells how that failed.

mod connect;
mod connector;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod under_way;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use ivy_driver::internal::ThreadPool;
use ivy_driver::{HttpClient, HttpRequest, RequestKind, Tls};
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::queue::{Fault, FaultKind};
use ureq::{Agent, Body, Error};

use connect::{NotConnected, Opener, Unresolved};
use connector::{Connector, Open};
use under_way::{UnderWay, under_way};

/// How many requests are under way at a time, besides those that wait for messages and those about
/// leases.
const MOST_REQUESTS: usize = 16;
/// How long an unused connection is kept: less than the 60 s after which usual load balancers close
/// it, without telling.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// The most bytes of an answer's headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// An HTTP/1.1 client with its pool of connections, and the threads that wait for answers.
#[derive(Debug)]
pub(crate) struct UreqClient {
    agents: Arc<Agents>,
    requests: ThreadPool,
    /// A request that waits for messages delays no other. There is one for each queue that a worker
    /// serves, so their number needs no limit.
    polls: ThreadPool,
    /// A request about a lease comes too late once the lease has ended, so it waits for no other. There
    /// is at most one for each message that is held, and those have a thread each for their handlers.
    leases: ThreadPool,
}

impl UreqClient {
    pub(crate) fn new(tls: Option<Tls>, open: Open) -> Self {
        let agents = Agents { connector: Connector { tls, open }, idle: Mutex::default() };
        UreqClient {
            agents: Arc::new(agents),
            requests: ThreadPool::new("ivy-request", MOST_REQUESTS),
            polls: ThreadPool::new("ivy-poll", usize::MAX),
            leases: ThreadPool::new("ivy-lease", usize::MAX),
        }
    }
}

impl HttpClient for UreqClient {
    fn send(&self, request: HttpRequest) -> BoxFuture<'static, Result<Response<Bytes>, Fault>> {
        let (agents, asked_at) = (Arc::clone(&self.agents), Instant::now());
        let (work, wanted) = under_way(|agent: Agent| agent.shutdown());
        let (give, given) = oneshot::channel();
        let threads = match request.kind {
            RequestKind::LongPoll => &self.polls,
            RequestKind::Lease => &self.leases,
            _ => &self.requests,
        };
        let exchange = move || agents.exchange(request, asked_at, &work);
        // Nobody may wait any more.
        threads.run_and_tell(exchange, |answer| drop(give.send(answer)));
        async move {
            let answer = given.await.unwrap_or_else(|_| Err(Fault::new(FaultKind::AnswerLost)));
            drop(wanted);
            answer
        }
        .boxed()
    }
}

/// The connections. Each request that is under way has an agent to itself, and with it a connection:
/// the only way to give a request up is to shut its agent down, which must harm no other.
struct Agents {
    connector: Connector,
    /// Agents without a request, and since when. The last is used first, so that those in excess
    /// grow old.
    idle: Mutex<Vec<(Instant, Agent)>>,
}

impl Agents {
    fn exchange(
        &self,
        request: HttpRequest,
        asked_at: Instant,
        work: &UnderWay<Agent>,
    ) -> Result<Response<Bytes>, Fault> {
        let HttpRequest { request, time_limit, response_limit, .. } = request;
        let time_left = time_limit.saturating_sub(asked_at.elapsed());
        if time_left.is_zero() {
            let detail = "all threads are busy with other requests";
            return Err(Fault::new(FaultKind::Unreachable).with_detail(detail));
        }
        let agent = self.agent();
        if work.begin(agent.clone()).is_err() {
            return Err(Fault::new(FaultKind::AnswerLost));
        }
        let answer = send(&agent, request, time_left, response_limit);
        if let Some(agent) = work.end() {
            self.idle().push((Instant::now(), agent));
        }
        answer
    }

    /// An agent that has no request.
    fn agent(&self) -> Agent {
        let mut idle = self.idle();
        idle.retain(|(since, _)| since.elapsed() < IDLE_LIMIT);
        idle.pop().map_or_else(|| self.new_agent(), |(_, agent)| agent)
    }

    fn new_agent(&self) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(1)
            .max_idle_age(IDLE_LIMIT)
            .max_response_header_size(MAX_HEADER_BYTES)
            .timeout_connect(Some(CONNECT_LIMIT))
            .proxy(None)
            .build();
        Agent::with_parts(config, Opener::new(self.connector.clone()), Unresolved)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Agent)>> {
        // No code that can panic runs while the lock is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agents")
    }
}

fn send(
    agent: &Agent,
    request: Request<Bytes>,
    time_limit: Duration,
    response_limit: usize,
) -> Result<Response<Bytes>, Fault> {
    let answer = run(agent, request, time_limit).map_err(|error| fault(&error))?;
    let (head, mut body) = answer.into_parts();
    let body = body
        .with_config()
        .limit(u64::try_from(response_limit).unwrap_or(u64::MAX))
        .read_to_vec()
        .map_err(|error| fault(&error))?;
    Ok(Response::from_parts(head, body.into()))
}

fn run(
    agent: &Agent,
    request: Request<Bytes>,
    time_limit: Duration,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    // With an empty body, as opposed to none, a GET would announce one.
    if body.is_empty() {
        let request = Request::from_parts(head, ());
        agent.run(agent.configure_request(request).timeout_global(Some(time_limit)).build())
    } else {
        let request = Request::from_parts(head, &body[..]);
        agent.run(agent.configure_request(request).timeout_global(Some(time_limit)).build())
    }
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Other(other) => match other.downcast_ref::<NotConnected>() {
            Some(NotConnected { is_tls: true, detail }) => {
                Fault::new(FaultKind::Tls).with_detail(detail)
            }
            Some(NotConnected { is_tls: false, detail }) => {
                Fault::new(FaultKind::Unreachable).with_detail(detail)
            }
            None => Fault::new(FaultKind::AnswerLost).with_detail(error.to_string()),
        },
        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
            Fault::new(FaultKind::BadResponse).with_detail(error.to_string())
        }
        // What came after the connection stood.
        _ => Fault::new(FaultKind::AnswerLost).with_detail(error.to_string()),
    }
}

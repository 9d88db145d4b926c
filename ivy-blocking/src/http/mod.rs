//! The HTTP client: sends one request, and tells how that failed.

mod cancellable;
mod connect;
mod limited;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

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
use ureq::{Agent, AsSendBody, Error};

use cancellable::{CancelOnDrop, Cancellable};
use connect::{Open, Opener, Unresolved};

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
        let agents = Agents { opener: Opener { tls, open }, idle: Mutex::default() };
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
        let wanted = CancelOnDrop::default();
        let work = wanted.work();
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
#[derive(Debug)]
struct Agents {
    opener: Opener,
    /// Agents without a request, and since when. The last is used first, so that those in excess
    /// grow old.
    idle: Mutex<Vec<(Instant, Agent)>>,
}

impl Agents {
    fn exchange(
        &self,
        request: HttpRequest,
        asked_at: Instant,
        work: &Cancellable,
    ) -> Result<Response<Bytes>, Fault> {
        let HttpRequest { request, time_limit, response_limit, .. } = request;
        let time_left = time_limit.saturating_sub(asked_at.elapsed());
        if time_left.is_zero() {
            let detail = "all threads are busy with other requests";
            return Err(Fault::new(FaultKind::Unreachable).with_detail(detail));
        }
        let agent = self.agent();
        let in_flight = agent.clone();
        if !work.begin(|| in_flight.shutdown()) {
            return Err(Fault::new(FaultKind::AnswerLost));
        }
        let answer = send(&agent, request, time_left, response_limit);
        if work.end() {
            self.idle().push((Instant::now(), agent));
        }
        answer.map_err(|error| fault(&error))
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
        Agent::with_parts(config, self.opener.clone(), Unresolved)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Agent)>> {
        // No code that can panic runs while the lock is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(
    agent: &Agent,
    request: Request<Bytes>,
    time_limit: Duration,
    response_limit: usize,
) -> Result<Response<Bytes>, Error> {
    let (head, body) = request.into_parts();
    // With an empty body, as opposed to none, a GET would announce one.
    let (mut none, mut some) = ((), &body[..]);
    let body = if body.is_empty() { none.as_body() } else { some.as_body() };
    let request = agent.configure_request(Request::from_parts(head, body));
    let request = request.timeout_global(Some(time_limit)).build();
    let (head, mut body) = agent.run(request)?.into_parts();
    let limit = u64::try_from(response_limit).unwrap_or(u64::MAX);
    let body = body.with_config().limit(limit).read_to_vec()?;
    Ok(Response::from_parts(head, body.into()))
}

fn fault(error: &Error) -> Fault {
    // Of a connection that could not be opened.
    if let Error::Other(other) = error
        && let Some(fault) = other.downcast_ref::<Fault>()
    {
        return fault.clone();
    }
    let kind = match error {
        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
            FaultKind::BadResponse
        }
        // What came after the connection stood.
        _ => FaultKind::AnswerLost,
    };
    Fault::new(kind).with_detail(error.to_string())
}

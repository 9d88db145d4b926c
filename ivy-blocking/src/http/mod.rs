//! The HTTP client: sends one request and reports how that failed.

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

/// The most requests in flight, in addition to long polls and requests about leases.
const MAX_REQUESTS: usize = 16;
/// How long an idle connection is kept: less than the 60 s after which common load balancers drop
/// it silently.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// The most bytes of a response's headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// An HTTP/1.1 client with its connection pool, and the threads that wait for responses.
#[derive(Debug)]
pub(crate) struct UreqClient {
    agents: Arc<Agents>,
    requests: ThreadPool,
    /// Long polls, which must not delay other requests. Each queue of a worker has at most one, so
    /// their number needs no limit.
    polls: ThreadPool,
    /// Requests about leases, which are useless once the lease has ended, so they wait for no other
    /// request. There is at most one per reserved message, and each of those has a handler thread.
    leases: ThreadPool,
}

impl UreqClient {
    pub(crate) fn new(tls: Option<Tls>, open: Open) -> Self {
        let agents = Agents { opener: Opener { tls, open }, idle: Mutex::default() };
        UreqClient {
            agents: Arc::new(agents),
            requests: ThreadPool::new("ivy-request", MAX_REQUESTS),
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
        // The caller may be gone.
        threads.run_then(exchange, |answer| drop(give.send(answer)));
        async move {
            let answer = given.await.unwrap_or_else(|_| Err(Fault::new(FaultKind::ResponseLost)));
            drop(wanted);
            answer
        }
        .boxed()
    }
}

/// The connection pool. Each request in flight has an agent, and therefore a connection, to itself:
/// the only way to cancel a request is to shut its agent down, which must not affect other
/// requests.
#[derive(Debug)]
struct Agents {
    opener: Opener,
    /// Idle agents, and since when. The last one is used first, so that surplus agents expire.
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
            return Err(Fault::new(FaultKind::ResponseLost));
        }
        let answer = send(&agent, request, time_left, response_limit);
        if work.end() {
            self.idle().push((Instant::now(), agent));
        }
        answer.map_err(|error| fault(&error))
    }

    /// Takes an idle agent, or creates one.
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
    // With an empty body instead of none, a GET would have a Content-Length.
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
    // The connection could not be opened.
    if let Error::Other(other) = error
        && let Some(fault) = other.downcast_ref::<Fault>()
    {
        return fault.clone();
    }
    let kind = match error {
        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
            FaultKind::BadResponse
        }
        // The connection was established before.
        _ => FaultKind::ResponseLost,
    };
    Fault::new(kind).with_detail(error.to_string())
}

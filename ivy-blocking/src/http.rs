//! The HTTP client: sends one request, and tells how that failed.

mod connect;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use ivy_proto::queue::{Fault, FaultKind};
use rustls::ClientConfig;
use ureq::{Agent, Body, Error};

use crate::cancel::CancellationToken;
use crate::tls::OwnRoots;
use connect::{Connector, NotConnected, Resolver};

/// How long connecting may take, so that a host that does not answer is known to be unreachable
/// before the request's own limit makes that a lost answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: less than the 60 s after which usual load balancers close
/// it, without telling.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// The most bytes of an answer's headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// An HTTP/1.1 client with its pool of connections.
///
/// Each request that is under way has an agent to itself, and with it a connection: the only way to
/// give a request up is to shut its agent down, which must harm no other.
pub(crate) struct HttpClient {
    tls: Arc<ClientConfig>,
    resolver: Resolver,
    /// Agents without a request, and since when. The last is used first, so that those in excess
    /// grow old.
    idle: Mutex<Vec<(Instant, Agent)>>,
}

impl HttpClient {
    pub(crate) fn new(roots: &OwnRoots) -> Self {
        let tls = Arc::new(roots.with_public_roots());
        HttpClient { tls, resolver: Resolver::default(), idle: Mutex::default() }
    }

    /// Sends a request and reads its answer, both within `time_limit`. Redirects are not followed.
    ///
    /// An answer whose body has more than `answer_limit` bytes is not read to its end. Giving the
    /// request up closes its connection.
    pub(crate) fn send(
        &self,
        request: Request<Bytes>,
        time_limit: Duration,
        answer_limit: usize,
        given_up: &CancellationToken,
    ) -> Result<Response<Bytes>, Fault> {
        let agent = self.agent();
        // Whoever takes it has it: this function, or whoever gives the request up.
        let shared = Arc::new(Mutex::new(Some(agent.clone())));
        let take = |shared: &Mutex<Option<Agent>>| {
            shared.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        given_up.on_cancel({
            let shared = Arc::clone(&shared);
            move || {
                if let Some(agent) = take(&shared) {
                    agent.shutdown();
                }
            }
        });
        let answer = exchange(&agent, request, time_limit, answer_limit);
        if let Some(agent) = take(&shared) {
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
        Agent::with_parts(config, Connector::new(Arc::clone(&self.tls)), self.resolver.clone())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Agent)>> {
        // No code that can panic runs while the lock is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

fn exchange(
    agent: &Agent,
    request: Request<Bytes>,
    time_limit: Duration,
    answer_limit: usize,
) -> Result<Response<Bytes>, Fault> {
    let answer = run(agent, request, time_limit).map_err(|error| fault(&error))?;
    let (head, mut body) = answer.into_parts();
    let body = body
        .with_config()
        .limit(u64::try_from(answer_limit).unwrap_or(u64::MAX))
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

#[cfg(test)]
mod tests;

//! One request and its answer.

use std::sync::{Arc, Once};

use bytes::Bytes;
use http::request::Parts;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::access::Access;
use super::answer::Told;
use super::call::Call;
use super::engine::{Asked, Engine};
use super::failure::Failure;
use super::faults::{Faults, Spoil, Trouble};
use super::intake::{Intake, discard};
use super::no_answer::NoAnswer;
use super::reply_body::ReplyBody;
use super::responding::{Answering, Given, Read, Responding, Stage};
use super::route::{Place, Query};
use super::socket::Client;
use super::state::{Outcome, Reply};

/// What some clients name the verb with, since they cannot send a body with every verb.
const METHOD_OVERRIDE: &str = "x-http-method-override";

/// The size of a head from which on its connection ends after the answer, in bytes.
const LARGE_HEAD: usize = 8 * 1024;

/// Without a charset: some clients compare the whole text.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// Answers the requests of all connections.
#[derive(Debug)]
pub(crate) struct Service {
    engine: Engine,
    access: Access,
    faults: Faults,
    strict: bool,
    intake: Intake,
    push_warning: Once,
}

impl Service {
    pub(crate) fn new(engine: Engine, access: Access, faults: Faults, strict: bool) -> Self {
        Service { engine, access, faults, strict, intake: Intake::new(), push_warning: Once::new() }
    }

    /// Answers a request of this client, as well as the faults allow.
    pub(crate) fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> Responding<Service> {
        let Trouble { delay, spoil } = self.faults.draw();
        // Its connection would keep the memory of the head until it ends.
        let is_last = has_large_head(&request);
        let asking = Box::pin(Arc::clone(&self).ask(request, spoil));
        let (service, client, stage) = (self, client.clone(), Stage::Asking(asking));
        Responding { service, client, is_last, delay, spoil, stage }
    }

    /// Ends all long polls, now and later.
    pub(crate) fn close(&self) {
        self.engine.close();
    }

    async fn ask(
        self: Arc<Self>,
        request: Request<Incoming>,
        spoil: Option<Spoil>,
    ) -> Result<Read, NoAnswer> {
        let (head, body) = request.into_parts();
        let call = match self.admitted(&head) {
            Ok((place, query)) => match self.intake.read(body).await? {
                Ok(held) => self.call(&head, place, &query, &held.bytes),
                Err(failure) => Err(failure),
            },
            // Nothing of what a stranger sends is kept.
            Err(failure) => {
                discard(body).await?;
                Err(failure)
            }
        };
        if let Some(Spoil::Status(status)) = spoil {
            return Ok(Read::Answered(Ok(refused_in_front(status))));
        }
        let outcome = match call.map(|call| self.engine.call(call)) {
            Ok(Asked::Waits(waits)) => return Ok(Read::Waits(waits)),
            Ok(Asked::Answered(outcome)) => outcome,
            Err(failure) => Err(failure),
        };
        Ok(Read::Answered(self.tell(outcome, spoil)))
    }

    /// Where a request goes, if it may.
    fn admitted<'a>(&self, head: &'a Parts) -> Result<(Place<'a>, Query), Failure> {
        let place = Place::parse(head.uri.path())?;
        let query = Query::parse(head.uri.query());
        if !self.access.allows(&place.project, &head.headers, &query) {
            return Err(Failure::unauthorized());
        }
        Ok((place, query))
    }

    /// What a request asks for.
    fn call(
        &self,
        head: &Parts,
        place: Place<'_>,
        query: &Query,
        body: &Bytes,
    ) -> Result<Call, Failure> {
        Call::read(&method(head)?, place.resource()?, query, body, self.strict)
    }

    fn warn_of_push_queues(&self, outcome: &Outcome) {
        if let Ok(Reply::Queue(told)) = outcome
            && told.extras.push.is_some()
        {
            self.push_warning.call_once(|| {
                eprintln!(
                    "ivy serve: push queues are kept and told, but nothing is pushed to subscribers"
                );
            });
        }
    }
}

impl Answering for Service {
    fn tell(&self, outcome: Outcome, spoil: Option<Spoil>) -> Given {
        self.warn_of_push_queues(&outcome);
        spoiled(Told::new(outcome, self.access.project.as_str()), spoil)
    }
}

/// Whether the head of a request takes much more memory than those that clients send.
fn has_large_head(request: &Request<Incoming>) -> bool {
    let uri = request.uri();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    uri.path().len() + uri.query().map_or(0, str::len) + headers > LARGE_HEAD
}

fn method(head: &Parts) -> Result<Method, Failure> {
    match head.headers.get(METHOD_OVERRIDE) {
        Some(name) if head.method == Method::POST => Method::from_bytes(name.as_bytes())
            .map_err(|_| Failure::bad_request("X-HTTP-Method-Override must name a verb")),
        _ => Ok(head.method.clone()),
    }
}

fn spoiled(told: Told, spoil: Option<Spoil>) -> Given {
    let Told { status, allow, body, has_messages } = told;
    let body = match spoil {
        Some(Spoil::DropReply) => return Err(NoAnswer),
        Some(Spoil::EmptyReply) => ReplyBody::whole(Bytes::new()),
        Some(Spoil::PartialReply) => ReplyBody::cut(&body),
        Some(Spoil::NullMessages) if has_messages => {
            ReplyBody::whole(Bytes::from_static(b"{\"messages\":null}"))
        }
        _ => ReplyBody::whole(body),
    };
    let mut response = response(status, JSON, body);
    if let Some(verbs) = allow {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(verbs));
    }
    Ok(response)
}

/// What a proxy in front of the server would say, or for a fault of the server itself, what the
/// server would say.
fn refused_in_front(status: StatusCode) -> Response<ReplyBody> {
    let reason = status.canonical_reason().unwrap_or("Error");
    if matches!(status.as_u16(), 502..=504) {
        let page = format!("<html><body><h1>{} {reason}</h1></body></html>\n", status.as_u16());
        return response(status, HTML, ReplyBody::whole(page.into()));
    }
    let body = Told::failure(Failure { status, message: reason.into(), allow: None }).body;
    response(status, JSON, ReplyBody::whole(body))
}

fn response(status: StatusCode, kind: HeaderValue, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

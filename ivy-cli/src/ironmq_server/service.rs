//! Handles one request.

use std::sync::{Arc, Once};

use bytes::Bytes;
use http::request::Parts;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::access::Access;
use super::api_call::ApiCall;
use super::body_reader::{BodyReader, discard};
use super::failure::Failure;
use super::faults::{Faults, InjectedFaults, ResponseFault};
use super::json_response::JsonResponse;
use super::no_response::NoResponse;
use super::response_body::ResponseBody;
use super::response_future::{MaybeResponse, RequestState, Responder, ResponseFuture, Stage};
use super::route::{Query, Route};
use super::shared_state::{SharedState, Submitted};
use super::socket::Client;
use super::state::{Outcome, Reply};

/// The header in which some clients send the verb, because they cannot send a body with every verb.
const METHOD_OVERRIDE: &str = "x-http-method-override";

/// The size of a head from which on its connection ends after the response, in bytes.
const LARGE_HEAD: usize = 8 * 1024;

/// Without a charset, because some clients compare the whole value.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// Handles the requests of all connections.
#[derive(Debug)]
pub(crate) struct Service {
    state: SharedState,
    access: Access,
    faults: Faults,
    strict: bool,
    body_reader: BodyReader,
    push_warning: Once,
}

impl Service {
    pub(crate) fn new(state: SharedState, access: Access, faults: Faults, strict: bool) -> Self {
        Service {
            state,
            access,
            faults,
            strict,
            body_reader: BodyReader::new(),
            push_warning: Once::new(),
        }
    }

    /// Responds to a request of this client, as far as the injected faults allow.
    pub(crate) fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> ResponseFuture<Service> {
        let InjectedFaults { delay, fault } = self.faults.draw();
        // Otherwise its connection would keep the memory of the head until it ends.
        let is_last = has_large_head(&request);
        let handling = Box::pin(Arc::clone(&self).handle(request, fault));
        let (service, client, stage) = (self, client.clone(), Stage::Reading(handling));
        ResponseFuture { service, client, is_last, delay, fault, stage }
    }

    /// Ends all long polls, now and later.
    pub(crate) fn close(&self) {
        self.state.close();
    }

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        fault: Option<ResponseFault>,
    ) -> Result<RequestState, NoResponse> {
        let (head, body) = request.into_parts();
        let call = match self.authorize(&head) {
            Ok((route, query)) => match self.body_reader.read(body).await? {
                Ok(held) => self.call(&head, route, &query, &held.bytes),
                Err(failure) => Err(failure),
            },
            // Nothing of an unauthorized request is kept.
            Err(failure) => {
                discard(body).await?;
                Err(failure)
            }
        };
        if let Some(ResponseFault::Status(status)) = fault {
            return Ok(RequestState::Done(Ok(status_response(status))));
        }
        let outcome = match call.map(|call| self.state.call(call)) {
            Ok(Submitted::Pending(pending)) => return Ok(RequestState::Pending(pending)),
            Ok(Submitted::Done(outcome)) => outcome,
            Err(failure) => Err(failure),
        };
        Ok(RequestState::Done(self.response_to(outcome, fault)))
    }

    /// The target of a request, if access is allowed.
    fn authorize<'a>(&self, head: &'a Parts) -> Result<(Route<'a>, Query), Failure> {
        let route = Route::parse(head.uri.path())?;
        let query = Query::parse(head.uri.query());
        if !self.access.allows(&route.project, &head.headers, &query) {
            return Err(Failure::unauthorized());
        }
        Ok((route, query))
    }

    /// The call of a request.
    fn call(
        &self,
        head: &Parts,
        route: Route<'_>,
        query: &Query,
        body: &Bytes,
    ) -> Result<ApiCall, Failure> {
        ApiCall::read(&method(head)?, route.resource()?, query, body, self.strict)
    }

    fn warn_of_push_queues(&self, outcome: &Outcome) {
        if let Ok(Reply::Queue(queue)) = outcome
            && queue.extras.push.is_some()
        {
            self.push_warning.call_once(|| {
                eprintln!(
                    "ivy serve: push queues are stored and returned, but nothing is pushed to subscribers"
                );
            });
        }
    }
}

impl Responder for Service {
    fn response_to(&self, outcome: Outcome, fault: Option<ResponseFault>) -> MaybeResponse {
        self.warn_of_push_queues(&outcome);
        with_fault(JsonResponse::new(outcome, self.access.project.as_str()), fault)
    }
}

/// Whether the head of a request takes much more memory than usual ones.
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

fn with_fault(json: JsonResponse, fault: Option<ResponseFault>) -> MaybeResponse {
    let JsonResponse { status, allow, body, has_messages } = json;
    let body = match fault {
        Some(ResponseFault::DropReply) => return Err(NoResponse),
        Some(ResponseFault::EmptyReply) => ResponseBody::complete(Bytes::new()),
        Some(ResponseFault::PartialReply) => ResponseBody::truncated(&body),
        Some(ResponseFault::NullMessages) if has_messages => {
            ResponseBody::complete(Bytes::from_static(b"{\"messages\":null}"))
        }
        _ => ResponseBody::complete(body),
    };
    let mut response = response(status, JSON, body);
    if let Some(verbs) = allow {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(verbs));
    }
    Ok(response)
}

/// The response of a proxy in front of the server, or, for a fault of the server itself, its own
/// response.
fn status_response(status: StatusCode) -> Response<ResponseBody> {
    let reason = status.canonical_reason().unwrap_or("Error");
    if matches!(status.as_u16(), 502..=504) {
        let page = format!("<html><body><h1>{} {reason}</h1></body></html>\n", status.as_u16());
        return response(status, HTML, ResponseBody::complete(page.into()));
    }
    let body = JsonResponse::failure(Failure { status, message: reason.into(), allow: None }).body;
    response(status, JSON, ResponseBody::complete(body))
}

fn response(status: StatusCode, kind: HeaderValue, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

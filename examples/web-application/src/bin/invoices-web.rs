//! The web application: accepts orders, and says what became of their invoices.
//!
//! ```text
//! export IVY_QUEUE_URL=redis://127.0.0.1
//! cargo run -p ivy-example-web --bin invoices-web
//! ```

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ivy_example_web::{DRAIN, Invoice, Order, RENDER, log_as_json, stop_signal};
use ivy_tokio::{CallOptions, CancellationToken, ErrorKind, Handle, Ivy, TaskId, TraceParent};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracing::Instrument;

/// How long a request waits until the queue has accepted its task.
const WITHIN: Duration = Duration::from_secs(2);
/// How long a check of the queue may take.
const CHECK: Duration = Duration::from_secs(4);
/// How many invoices the process knows, the latest ones.
const KNOWN: usize = 10_000;

/// The state that all requests share.
struct Web {
    ivy: Ivy,
    invoices: Mutex<Invoices>,
}

/// The invoices that this process has started.
#[derive(Default)]
struct Invoices {
    by_id: HashMap<TaskId, Started>,
    oldest_first: VecDeque<TaskId>,
}

/// An invoice whose task was sent, or perhaps was.
struct Started {
    order: Order,
    handle: Handle<Invoice>,
    is_accepted: bool,
}

impl Invoices {
    fn insert(&mut self, id: TaskId, started: Started) {
        if self.by_id.insert(id, started).is_none() {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > KNOWN {
            let oldest = self.oldest_first.pop_front();
            oldest.map(|id| self.by_id.remove(&id));
        }
    }
}

fn routes(web: Web) -> Router {
    Router::new()
        .route("/invoices", post(create))
        .route("/invoices/{id}", get(show))
        .route("/livez", get(async || "alive"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(web))
}

/// `POST /invoices` starts the task of an invoice.
async fn create(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Json(order): Json<Order>,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(key) = header("idempotency-key") else {
        return refuse(StatusCode::BAD_REQUEST, "the header Idempotency-Key is missing");
    };
    // Tenants choose their keys independently of each other.
    let id = TaskId::derived(&format!("invoices/{}", order.tenant), key);
    let trace = header("traceparent").and_then(TraceParent::parse).or_else(new_trace);
    let span = tracing::info_span!(
        "request",
        task_id = %id,
        trace_id = trace.as_ref().map(TraceParent::trace_id),
        tenant = order.tenant,
    );
    web.start(id, order, trace).instrument(span).await
}

impl Web {
    async fn start(&self, id: TaskId, order: Order, trace: Option<TraceParent>) -> Response {
        if let Some(started) = self.invoices().by_id.get(&id) {
            if started.order != order {
                return refuse(StatusCode::CONFLICT, "the key belongs to another order");
            }
            if started.is_accepted || started.handle.try_result().is_some() {
                return accepted(id, "accepted");
            }
        }
        let mut options = CallOptions::new().id(id).within(WITHIN);
        if let Some(trace) = trace {
            options = options.trace(trace);
        }
        let (handle, is_accepted) =
            match self.ivy.call_with(&RENDER, (order.clone(),), options).await {
                Ok(handle) => (handle, true),
                Err(error) => {
                    tracing::warn!("{error}");
                    let kind = error.kind();
                    match error.into_handle(&RENDER) {
                        // `ErrorKind::Unknown`: the reply was lost, and the result may come.
                        Some(handle) => (handle, false),
                        None => return not_started(kind),
                    }
                }
            };
        tracing::info!(is_accepted, "started");
        self.invoices().insert(id, Started { order, handle, is_accepted });
        accepted(id, if is_accepted { "accepted" } else { "unknown" })
    }

    fn invoices(&self) -> MutexGuard<'_, Invoices> {
        self.invoices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The response if the task was certainly not sent.
fn not_started(kind: ErrorKind) -> Response {
    match kind {
        ErrorKind::Withdrawn
        | ErrorKind::NotSent
        | ErrorKind::NotifierUnavailable
        | ErrorKind::Full => {
            let busy = refuse(StatusCode::SERVICE_UNAVAILABLE, "not now; send it again");
            ([(header::RETRY_AFTER, "1")], busy).into_response()
        }
        ErrorKind::IdConflict => refuse(StatusCode::CONFLICT, "the key belongs to another order"),
        ErrorKind::TooLarge => refuse(StatusCode::PAYLOAD_TOO_LARGE, "the order is too large"),
        _ => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the invoice was not started"),
    }
}

/// `GET /invoices/{id}` shows what this process knows about an invoice.
async fn show(State(web): State<Arc<Web>>, Path(id): Path<String>) -> Response {
    let invoices = web.invoices();
    let started = id.parse().ok().and_then(|id: TaskId| invoices.by_id.get(&id));
    let Some(started) = started else {
        return refuse(StatusCode::NOT_FOUND, "not started by this process");
    };
    let body = match started.handle.try_result() {
        None if started.is_accepted => json!({"id": id, "status": "accepted"}),
        None => json!({"id": id, "status": "unknown"}),
        Some(Ok(invoice)) => json!({"id": id, "status": "rendered", "invoice": invoice}),
        Some(Err(error)) => json!({"id": id, "status": "failed", "error": error.to_string()}),
    };
    reply(StatusCode::OK, body)
}

/// `GET /readyz` checks queue, notifier and keys.
async fn ready(State(web): State<Arc<Web>>) -> Response {
    match web.ivy.check(CHECK).await {
        Ok(_) => reply(StatusCode::OK, json!({"status": "ready"})),
        Err(error) => {
            tracing::warn!("not ready: {error}");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    }
}

fn accepted(id: TaskId, status: &str) -> Response {
    reply(StatusCode::ACCEPTED, json!({"id": id.to_string(), "status": status}))
}

fn refuse(status: StatusCode, why: &str) -> Response {
    reply(status, json!({"error": why}))
}

fn reply(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

/// The trace context of a request that brings none.
fn new_trace() -> Option<TraceParent> {
    let random = || getrandom::u64().ok();
    let (high, low, span) = (random()?, random()?, random()?);
    TraceParent::parse(&format!("00-{high:016x}{low:016x}-{span:016x}-01"))
}

async fn serve() -> Result<(), Box<dyn Error>> {
    // Before it listens: a signal in between would end the process at once.
    let stop = stop_signal()?;
    let web = Web { ivy: Ivy::from_env()?, invoices: Mutex::default() };
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let stopping = CancellationToken::new();
    let server = axum::serve(listener, routes(web))
        .with_graceful_shutdown(stopping.clone().cancelled_owned());
    let server = tokio::spawn(server.into_future());
    stop.await;
    tracing::info!("finishing the requests");
    stopping.cancel();
    if tokio::time::timeout(DRAIN, server).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    log_as_json();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

//! What the web application and its worker share: the contract of their task, their log, and when
//! they end.

use std::io;
use std::time::Duration;

use ivy_tokio::Task;
use serde::{Deserialize, Serialize};

/// Renders an invoice.
pub const RENDER: Task<(Order,), Invoice> = Task::new("invoices.render").queue("invoices");

/// How long a program that receives SIGTERM has to finish what it has begun. Less than the 10 s after which the
/// process manager kills it: the rest is for the release of what it has not finished.
pub const DRAIN: Duration = Duration::from_secs(8);

/// What a customer is to pay for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The tenant who sends the invoice.
    pub tenant: String,
    /// What is sold.
    pub lines: Vec<Line>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is.
    pub text: String,
    /// What it costs.
    pub cents: u32,
}

/// A rendered invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// The sum of its lines.
    pub cents: u64,
    /// Its page.
    pub page: String,
}

/// Writes a JSON object to standard output for each line of the log, with the fields of its span.
pub fn log_as_json() {
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).init();
}

/// Registers the handlers of SIGTERM and SIGINT (Ctrl-C). The future completes with the first signal.
///
/// # Errors
/// If the system refuses a handler.
#[cfg(unix)]
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Registers the handler of Ctrl-C. The future completes with it.
///
/// # Errors
/// If the system refuses the handler.
#[cfg(windows)]
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

//! The worker: renders invoices.
//!
//! ```text
//! export IVY_QUEUE_URL=redis://127.0.0.1
//! cargo run -p ivy-example-web --bin invoices-worker -- 1000
//! ```
//!
//! The argument is the time that a line of an invoice takes, in milliseconds, so that one can watch
//! what happens meanwhile. Default: 0.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivy_example_web::{DRAIN, Invoice, Order, RENDER, log_as_json, stop_signal};
use ivy_tokio::{Ctx, Done, Ivy, Next, State, TaskError, TraceParent, WorkerBuilder};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// How many invoices of one tenant this worker renders at a time.
const PER_TENANT: usize = 2;
/// When an invoice beyond that is tried again.
const LATER: Duration = Duration::from_secs(5);

/// How long a line takes.
struct TimePerLine(Duration);

/// How many invoices of each tenant are being rendered.
#[derive(Clone, Default)]
struct Tenants(Arc<Mutex<HashMap<String, usize>>>);

/// One of a tenant's places, until it is dropped.
struct Place {
    tenants: Tenants,
    tenant: String,
}

/// The handler. It may run more than once for an order, and has no effects besides its result.
async fn render(
    State(time): State<TimePerLine>,
    State(tenants): State<Tenants>,
    order: Order,
) -> Result<Invoice, TaskError> {
    Span::current().record("tenant", &order.tenant);
    // Dropped when the handler ends, also if it is cancelled.
    let Some(_place) = tenants.place(&order.tenant) else {
        return Err(TaskError::later(LATER).with_message("the tenant has no place left"));
    };
    tracing::info!("rendering");
    let mut invoice = Invoice { cents: 0, page: format!("Invoice of {}\n", order.tenant) };
    for line in &order.lines {
        tokio::time::sleep(time.0).await;
        invoice.cents += u64::from(line.cents);
        invoice.page += &format!("{}: {}\n", line.text, euros(line.cents.into()));
    }
    invoice.page += &format!("Total: {}\n", euros(invoice.cents));
    Ok(invoice)
}

fn euros(cents: u64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

impl Tenants {
    /// Takes a place of this tenant, if one is left.
    fn place(&self, tenant: &str) -> Option<Place> {
        let mut taken = self.taken();
        let count = taken.entry(tenant.to_owned()).or_default();
        if *count == PER_TENANT {
            return None;
        }
        *count += 1;
        Some(Place { tenants: self.clone(), tenant: tenant.to_owned() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.tenants.taken();
        match taken.get_mut(&self.tenant) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.tenant)),
        }
    }
}

/// The layer: each line of the log names task, trace and tenant. The handler, which has the
/// arguments, records the tenant.
async fn logged(next: Next, ctx: Ctx) -> Result<Done, TaskError> {
    let span = tracing::info_span!(
        "task",
        task_id = %ctx.task_id(),
        trace_id = ctx.trace().map(TraceParent::trace_id),
        tenant = Empty,
    );
    let run = async move {
        let result = next.run(ctx).await;
        match &result {
            Ok(_) => tracing::info!("rendered"),
            Err(why) if why.postponed_by().is_some() => {
                tracing::info!(why = why.message(), "postponed");
            }
            Err(why) => tracing::warn!(why = why.message(), "failed"),
        }
        result
    };
    run.instrument(span).await
}

/// The tasks of the worker, here and in its tests.
fn tasks(worker: WorkerBuilder, time: TimePerLine, tenants: Tenants) -> WorkerBuilder {
    worker.state(time).state(tenants).layer(logged).register(&RENDER, render)
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let time = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    let time = TimePerLine(Duration::from_millis(time));
    // Before the worker starts: a signal in between would end the process without a drain.
    let stop = stop_signal()?;
    let ivy = Ivy::from_env()?;
    let worker = tasks(ivy.worker(), time, Tenants::default()).start().await?;
    tracing::info!("serving");
    stop.await;
    tracing::info!("draining");
    worker.drain(DRAIN).await;
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

#[cfg(test)]
mod tests {
    use ivy_example_web::Line;
    use ivy_tokio::testing::TestWorker;

    use super::*;

    fn order(tenant: &str) -> Order {
        let line = |text: &str, cents| Line { text: text.to_owned(), cents };
        Order { tenant: tenant.to_owned(), lines: vec![line("Tea", 450), line("Milk", 155)] }
    }

    fn worker(tenants: &Tenants) -> ivy_tokio::Result<TestWorker> {
        let time = TimePerLine(Duration::ZERO);
        Ok(TestWorker::new()?.with(|worker| tasks(worker, time, tenants.clone())))
    }

    #[tokio::test]
    async fn an_invoice_shows_the_sum_of_its_lines() -> Result<(), Box<dyn Error>> {
        let test = worker(&Tenants::default())?;
        let invoice = test.run(&RENDER, (order("acme"),)).await?;
        assert_eq!(invoice.cents, 605);
        let page = "Invoice of acme\nTea: 4.50 EUR\nMilk: 1.55 EUR\nTotal: 6.05 EUR\n";
        assert_eq!(invoice.page, page);
        Ok(())
    }

    #[tokio::test]
    async fn a_third_invoice_of_a_tenant_waits_for_a_place() -> Result<(), Box<dyn Error>> {
        let tenants = Tenants::default();
        let test = worker(&tenants)?;
        let places = (tenants.place("acme"), tenants.place("acme"));
        let failure = test.run(&RENDER, (order("acme"),)).await.unwrap_err();
        assert_eq!(failure.postponed_by(), Some(LATER));
        test.run(&RENDER, (order("other"),)).await?;
        drop(places);
        test.run(&RENDER, (order("acme"),)).await?;
        assert!(tenants.taken().is_empty());
        Ok(())
    }
}

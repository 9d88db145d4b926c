//! What traces cost a task if the sampler drops all of them: `cargo bench -p ivy-otel`.
//!
//! A call in memory, its handler and its result, on one thread, without a subscriber and with one.
//! The aim is at most 2 µs a task. The time is that of the thread, so that a busy host matters less.

use std::time::Duration;

use ivy_otel::OpenTelemetry;
use ivy_tokio::{Ivy, IvyBuilder, Task, TaskError};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use rustix::time::{ClockId, clock_gettime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const DOUBLE: Task<(u64,), u64> = Task::new("bench.double").queue("bench");
const SOON: Duration = Duration::from_secs(60);
const ROUNDS: usize = 10;
const CALLS: u32 = 5_000;

/// The thread's time for one task, of the fastest round.
fn time_per_task(builder: IvyBuilder) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let builder = builder.queue_url("memory://").notifier_url("memory://");
        let ivy = builder.build().expect("a valid configuration");
        let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
        let worker = ivy.worker().register(&DOUBLE, double).start().await.expect("a worker");
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS {
            let begun = thread_time();
            for n in 0..CALLS {
                let handle = ivy.call(&DOUBLE, (n.into(),)).await.expect("it is sent");
                handle.result(SOON).await.expect("it is doubled");
            }
            fastest = fastest.min((thread_time() - begun) / CALLS);
        }
        worker.drain(SOON).await;
        fastest
    })
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is positive")
}

#[allow(clippy::print_stdout, reason = "it reports to a person")]
fn main() {
    // `cargo test` runs it as well, with this argument or none.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let without = time_per_task(Ivy::builder());
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    tracing_subscriber::registry().with(layer).init();
    let dropped = time_per_task(Ivy::builder().propagation(OpenTelemetry::new()));
    println!("without traces {without:?} a task, with dropped ones {dropped:?}");
    println!("traces cost {:?} a task", dropped.saturating_sub(without));
}

//! What every backend must do, at the level of [`Queue`](ivy_proto::backend::Queue) and
//! [`Notifier`](ivy_proto::backend::Notifier): each case is written once and run against each
//! backend.
//!
//! A case knows its backend only by its [`Capabilities`](ivy_proto::queue::Capabilities). It uses a
//! queue of its own, and runs in virtual time if the backend is in this process. A new backend is a
//! line in [`backends`], and must pass before a worker uses it.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod backends;
mod late_receipts;
mod notifier;
mod queue;

use std::process::ExitCode;
use std::sync::Arc;

use ivy_proto::backend::BoxFuture;
use libtest_mimic::{Arguments, Trial};

use crate::backends::{Backend, Servers};

/// How many cases run concurrently if the command line does not specify it. They mostly wait.
const CONCURRENT_CASES: usize = 16;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CONCURRENT_CASES);
    let servers = Arc::new(Servers::default());
    let mut trials = Vec::new();
    for backend in backends::queues() {
        trials.extend(trials_of(backend, &servers, queue::CASES, |queue, case| {
            (case.run)(queue::Fixture::new(queue, case.name))
        }));
    }
    for backend in backends::notifiers() {
        trials.extend(trials_of(backend, &servers, notifier::CASES, |notifier, case| {
            (case.run)(notifier::Fixture::new(notifier, case.name))
        }));
    }
    drop(servers);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A case that runs with a fixture of this type.
pub(crate) struct Case<Fixture> {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Fixture) -> BoxFuture<()>,
}

/// A test for each case, named after its backend and itself. The servers end with the last test.
fn trials_of<B: ?Sized + 'static, Fixture: 'static>(
    backend: Backend<B>,
    servers: &Arc<Servers>,
    cases: &'static [Case<Fixture>],
    run: fn(Arc<B>, &Case<Fixture>) -> BoxFuture<()>,
) -> impl Iterator<Item = Trial> {
    let Backend { name, in_virtual_time, is_installed, open } = backend;
    let servers = Arc::clone(servers);
    cases.iter().map(move |case| {
        let servers = Arc::clone(&servers);
        Trial::test(format!("{name}::{}", case.name), move || {
            let backend = open(&servers);
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().start_paused(in_virtual_time).build().unwrap();
            runtime.block_on(run(backend, case));
            Ok(())
        })
        .with_ignored_flag(!is_installed())
    })
}

/// Lists the cases of a file by their names.
macro_rules! cases {
    ($fixture:ty: $($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[crate::Case<$fixture>] = &[$(crate::Case {
            name: stringify!($name),
            run: |fixture| Box::pin($name(fixture)),
        }),*];
    };
}
pub(crate) use cases;

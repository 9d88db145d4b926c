//! A worker in a process of its own, which can be killed: this program, started a second time.

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::{env, thread};

use ivy_test_kit::Process;

use crate::fixture::{Fixture, LEASE};
use crate::harness::{Builder, Harness, HarnessConfig};
use crate::runtime::runtime;
use crate::tasks::DOUBLE;

/// Names the adapter that the child uses.
const ADAPTER: &str = "IVY_CONFORMANCE_ADAPTER";
const QUEUE: &str = "IVY_CONFORMANCE_QUEUE";
const NOTIFIER: &str = "IVY_CONFORMANCE_NOTIFIER";
const NAME: &str = "IVY_CONFORMANCE_NAME";

/// What the child prints when its handler has begun.
pub(crate) const BEGUN: &str = "begun";

/// Starts a worker that serves the `DOUBLE` tasks of the scenario's queue and never finishes one.
pub(crate) fn start<H: Harness>(fixture: &Fixture<H>) -> Process {
    let HarnessConfig { queue, notifier, .. } = fixture.config();
    let variables = [(ADAPTER, H::ADAPTER), (QUEUE, queue), (NAME, fixture.name)];
    let notifier = notifier.as_deref().map(|notifier| (NOTIFIER, notifier));
    let variables = variables.into_iter().chain(notifier);
    let program = env::current_exe().expect("a test knows its own path");
    let _runtime = runtime().enter();
    Process::spawn(
        "a worker",
        program.as_os_str(),
        [""; 0],
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
}

/// Runs such a worker if this process is a child that was started for this adapter.
pub(crate) fn serve<H: Harness>() -> Option<ExitCode> {
    let variable = |name| env::var(name).expect("the parent sets it");
    if env::var(ADAPTER).ok()? != H::ADAPTER {
        return None;
    }
    let name: &'static str = variable(NAME).leak();
    let config = HarnessConfig {
        queue: variable(QUEUE),
        notifier: env::var(NOTIFIER).ok(),
        channel: name.to_owned(),
        encryption_password: None,
        encryption: None,
        root_certificates: None,
        node_peers: true,
        within: None,
    };
    let ivy = H::connect(&config).expect("the place is valid");
    let never_ending = |_, (_,)| {
        writeln!(stdout(), "{BEGUN}").expect("the parent listens");
        loop {
            thread::park();
        }
    };
    let worker = ivy.worker().lease(LEASE).register(&DOUBLE.queue(name), never_ending);
    let _worker = worker.start().expect("a valid task");
    loop {
        thread::park();
    }
}

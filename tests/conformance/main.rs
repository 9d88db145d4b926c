//! One suite for all adapters. Each scenario is written once and run on real sockets: by each
//! adapter over one pair of servers, and by one adapter over every pair of a queue and a notifier.
//!
//! A scenario is a function that knows its adapter only as a [`Harness`]. Its name states the
//! behaviour. The scenarios of one pair run concurrently on the same servers, each with its own
//! queue and channel. They assert what happens, how often and in which order, never how fast: their
//! timeouts are long enough for a slow host.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
mod child;
mod fixture;
mod futures;
mod harness;
mod helpers;
mod kills;
mod leak_search;
mod on_async_std;
mod on_blocking;
mod on_tokio;
mod pairs;
mod runtime;
mod scenarios;
mod servers;
mod tasks;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::fixture::Fixture;
use crate::futures::Futures;
use crate::harness::Harness;
use crate::pairs::{Coverage, PAIRS, Pair};
use crate::scenarios::{Scenario, scenarios, scenarios_of_futures};
use crate::servers::Servers;

/// How many scenarios run at a time if the command line does not specify it. They mostly wait.
const AT_A_TIME: usize = 16;

fn main() -> ExitCode {
    let child = child::serve::<ivy_tokio::Ivy>()
        .or_else(child::serve::<ivy_async_std::Ivy>)
        .or_else(child::serve::<ivy_blocking::Ivy>)
        .or_else(kills::serve);
    if let Some(code) = child {
        return code;
    }
    helpers::expect_panics();
    leak_search::listen();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_A_TIME);
    let mut trials = Vec::new();
    trials.extend(all::<ivy_tokio::Ivy>(Coverage::AllPairs, with_futures));
    trials.extend(all::<ivy_async_std::Ivy>(Coverage::OwnPart, with_futures));
    trials.extend(all::<ivy_blocking::Ivy>(Coverage::OwnPart, scenarios));
    trials.extend(kills::trials());
    let run = libtest_mimic::run(&arguments, trials);
    match leak_search::verdict(&run) {
        Ok(searched) => {
            eprintln!("{searched}");
            run.exit_code()
        }
        Err(printed) => {
            eprintln!("{printed}");
            ExitCode::FAILURE
        }
    }
}

/// The scenarios of an adapter whose methods are futures.
fn with_futures<H: Futures>() -> Vec<Scenario<H>> {
    [scenarios(), scenarios_of_futures()].concat()
}

/// All scenarios of an adapter. The servers of a pair end with its last scenario.
fn all<H: Harness>(
    coverage: Coverage,
    scenarios: fn() -> Vec<Scenario<H>>,
) -> impl Iterator<Item = Trial> {
    PAIRS.iter().flat_map(move |pair| {
        let servers = Arc::new(Servers::default());
        scenarios()
            .into_iter()
            .map(move |scenario| trial(&scenario, coverage, pair, Arc::clone(&servers)))
    })
}

fn trial<H: Harness>(
    scenario: &Scenario<H>,
    coverage: Coverage,
    pair: &'static Pair,
    servers: Arc<Servers>,
) -> Trial {
    let Scenario { part, name, run, .. } = *scenario;
    let full_name = format!("{}::{}::{part}::{name}", H::ADAPTER, pair.name);
    if let Some(reason) = scenario.left_out(coverage, pair) {
        // It stays in the list, so that the output shows what is not tested and why.
        let explain = move || Err(format!("left out: {reason}").into());
        return Trial::test(full_name, explain).with_kind(reason).with_ignored_flag(true);
    }
    Trial::test(full_name, move || {
        run(&Fixture::new(name, pair, servers));
        Ok(())
    })
}

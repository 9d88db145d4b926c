//! The promise, tried: the very machines of ivy against a broker, a notifier and a network that
//! do everything wrong, in virtual time.
//!
//! # The laws, and where each is checked
//!
//! | law | what it says | where |
//! | --- | --- | --- |
//! | S1 | each accepted task is queued, held, done or put aside; the broker has what the ledger says | `LawChecker::deleted`, `LawChecker::posted`, `World::check_sizes` |
//! | S2 | no delete without a handler that returned `Ok`, or an accepted copy or successor | `LawChecker::deleted`, `LawChecker::put_aside` |
//! | S3 | no `Ok` without a stored message; no second one without an `Unknown` or a doubled request; every call is told of once | `LawChecker::accepted`, `World::sent`, `World::end_calls` |
//! | S4 | a stale reservation changes nothing; at a server that takes it, no worker that is awake sends one; none is sent with a connection that its worker knows to have ended, whose handlers are stopped | `LawChecker::check_reservation`, `LawChecker::reserved`, `World::check_receipts`, `World::check_stopped` |
//! | S5 | runs are bounded, and each second one has a cause | `LawChecker::run` |
//! | S6 | no handler starts without its margin | `World::check_margin` |
//! | S7 | running handlers, messages that wait for one, unsent calls, and bytes of notices are bounded; only handles that are kept keep a call out; deadlines advance; no busy loop | `World::check_load`, `World::check_outbox`, `World::check_handles`, `World::set_tick`, `World::step` |
//! | S8 | a server that is gone is asked at most twice a second; `Retry-After` is kept; nothing is asked for in vain | `rates`, `World::check_renewal` |
//! | S9 | who has finished holds nothing, wants nothing, and has given back what it had not begun | `World::finished` |
//! | S10 | notices are true, and delay no delete | `World::check_notice`, `World::resumed`, `LawChecker::deletes_asked` |
//! | S11 | each pair of state and input is listed and comes; no input is refused | `pairs`, `World::tell_worker`, `World::tell_producer` |
//! | S12 | no secret and no argument in what is told | `Trace::secrets` |
//! | S13 | a handler gets the arguments that its caller gave, and none that nobody could read; no altered frame opens | `World::run_handler`, `frames` |
//! | S14 | one seed, one run | `Case::run_and_check` |
//! | S15 | a worker that is woken in time does not report that it was not | `World::check_lateness` |
//! | S16 | waits of handlers are ended by a drain only, and all slots are said to wait only where all do | `World::interrupt_handler`, `World::check_standstill` |
//! | S17 | a message says when its attempt is due, its delay after the call or the attempt before it; copies keep that, as all messages of a task keep its counts; no handler starts a second before it is due | `World::check_due`, `LawChecker::begins` |
//! | L1 | every accepted task comes to its end | `World::report_unsettled` |
//! | L2 | reasons in dead letters are true | `LawChecker::check_reason` |
//! | L3 | a drain ends within its limit | `World::finished`, `World::check_load` |
//! | L4 | after the storm a task is served at once | `World::check_last` |
//! | L5 | when nothing is to be done, only the poll is waited for | `World::check_quiet` |
//! | L6 | honest work keeps half of its rate beside whatever nobody understands | `World::check_progress` |
//! | L7 | among workers that do not know a task, the one that does gets it soon | `World::check_waits` |
//! | P10 | no panic | `run` |
//!
//! A run ends at the first breach; `replay` tells of it, and looks for the fewest faults that lead
//! to it. `exhaustive` leaves nothing to chance for one task; `planted` shows that bugs are found;
//! `crowd` is about large numbers. That the models of servers do what real servers do is shown by the
//! tests `models` of the package `ivy-contract`.

#![allow(clippy::print_stdout, reason = "a run says what it came to")]

mod app;
mod backend;
mod choices;
mod clock;
mod coverage;
mod event_queue;
mod exhaustive;
mod fault;
mod fault_injection;
mod flood;
mod frames;
mod handlers;
mod host;
mod interrupted;
mod keys;
mod laws;
mod machines;
mod many_messages;
mod network;
mod original;
mod pairs;
#[cfg(ivy_planted)]
mod planted;
mod pubsub;
mod quiet_phase;
mod rates;
mod regressions;
mod replay;
mod run;
mod seeds;
mod setup;
mod shared;
mod strays;
mod task;
mod trace;
mod world;

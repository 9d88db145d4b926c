//! The simulator: ivy's real state machines against models of a broker, a notifier and a network
//! that inject every kind of fault, in virtual time.
//!
//! # The laws, and where each is checked
//!
//! | law | what it requires | where |
//! | --- | --- | --- |
//! | S1 | each accepted task is queued, held, done or dead-lettered; the broker contains what the law checker expects | `LawChecker::deleted`, `LawChecker::posted`, `World::check_sizes`; on Redis each write is checked, and that every reservation has a lease: `redis_sessions::accounting` |
//! | S2 | a message is deleted only after its handler returned `Ok`, or its copy or successor was accepted | `LawChecker::deleted`, `LawChecker::dead_lettered` |
//! | S3 | `Ok` means that the message is stored; a second copy exists only after an `Unknown` or a duplicated request; the outcome of every call is reported once | `LawChecker::accepted`, `World::sent`, `World::end_calls` |
//! | S4 | a stale receipt changes nothing; if a server accepts one, no worker that is awake uses it; a worker that knows its connection to have ended uses none of its receipts and has cancelled their handlers | `LawChecker::check_reservation`, `LawChecker::reserved`, `World::check_receipts`, `World::check_stopped`, `laws::message_lifecycle` |
//! | S5 | runs are bounded, and each repeated run has a cause | `LawChecker::run` |
//! | S6 | no handler starts without the margin of its lease | `World::check_margin` |
//! | S7 | running handlers, messages that wait for one, unsent calls, and bytes of notices are bounded; a call is refused only because of handles that are held; deadlines advance; no busy loop | `World::check_load`, `World::check_outbox`, `World::check_handles`, `World::set_tick`, `World::step` |
//! | S8 | a server that is down gets at most two requests a second; `Retry-After` is respected; no request is pointless | `rates`, `World::check_renewal` |
//! | S9 | a finished machine holds nothing, has no outputs left, and has released every message that it had not begun | `World::finished` |
//! | S10 | notices are true, and delay no delete | `World::check_notice`, `World::receive_result`, `LawChecker::check_delete_request` |
//! | S11 | the table contains exactly the pairs of state and input that occur; no input is refused | `state_coverage`, `World::feed_worker`, `World::feed_producer` |
//! | S12 | no output contains a secret or an argument | `Trace::secrets` |
//! | S13 | a handler gets its caller's arguments, and none that cannot be decrypted; no altered frame opens | `World::run_handler`, `frames` |
//! | S14 | one seed always gives the same run | `Case::run_and_check` |
//! | S15 | a worker that is polled in time does not report that it was late | `World::check_lateness` |
//! | S16 | only a drain ends the waits of handlers; a worker reports that all slots wait only if they do | `World::interrupt_handler`, `World::check_standstill` |
//! | S17 | a message states when its attempt is due: its delay after the call or after the previous attempt; copies keep this time, and all messages of a task keep the number of its requeues; no handler starts a second before it is due | `World::check_due`, `LawChecker::check_start` |
//! | S18 | presence records are true and open with the worker's keys, one is in flight at a time, a worker that drains publishes a last one, and none follows it | `presence` |
//! | S19 | a task that its handler postpones keeps its attempt, and its count is the number of times that handlers have postponed it; the message of a further attempt follows a failed one | `LawChecker::check_succession` |
//! | S20 | a withdrawn call was in no request that may have stored it; no call is posted after its outcome was reported | `call_limits` |
//! | L1 | every accepted task reaches its end | `World::report_unsettled` |
//! | L2 | the reasons in dead letters are true | `LawChecker::check_reason` |
//! | L3 | a drain ends within its limit | `World::finished`, `World::check_load` |
//! | L4 | after the fault phase a task is run immediately; the script behind a wait takes what the wait moved | `World::check_last`, `World::check_claimed_is_empty` |
//! | L5 | when there is no work, machines wait only for the next poll and presence record | `World::check_quiet` |
//! | L6 | valid work keeps half of its rate during a flood of messages that no worker can process | `World::check_progress` |
//! | L7 | among workers that do not know a task, the one that knows it gets it soon | `World::check_waits` |
//! | L8 | a valid task behind tasks of another program is done as soon as the worker has received those | `World::check_waits_behind_flood` |
//! | P10 | no panic | `run` |
//!
//! A run ends at the first breach; `failure_report` reports it and searches for the fewest faults that lead
//! to it. `exhaustive` tries all faults for one task, and `dead_letter_sweeps`, with laws A1 to A7 of its own, all
//! faults for an operator's sweep of dead letters; `planted` checks that planted bugs are found;
//! `many_messages` tests large numbers. The tests `models_match_servers` of the package `ivy-contract` compare the
//! models of servers with real servers.

#![allow(clippy::print_stdout, reason = "a run prints its outcome")]

mod app;
mod backend;
mod call_limits;
mod choices;
mod clock;
mod coverage;
mod event_queue;
mod exhaustive;
mod failure_report;
mod fault;
mod fault_injection;
mod flood;
mod frames;
mod handlers;
mod host;
mod interrupted;
mod keys;
mod laws;

mod foreign_messages;
mod machine_driver;
mod many_messages;
mod network;
mod node_peer;
#[cfg(ivy_planted)]
mod planted;
mod presence;
mod pubsub;
mod quiet_phase;
mod rates;
mod redis_sessions;
mod regressions;

mod dead_letter_sweeps;
mod run;
mod seeds;
mod setup;
mod shared;
mod state_coverage;
mod task;
mod trace;
mod world;

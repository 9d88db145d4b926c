//! Faults of connections and of the server.

use std::time::Duration;

use ivy_proto::backend::LinkFaultKind;
use ivy_proto::queue::QueueOp;
use ivy_proto::{Moment, OpId};
use ivy_sim::redis::Kind;

use super::ConnectionDue;
use crate::fault::{Fault, Opportunity};
use crate::fault_injection::{InjectedFault, one_in, one_of};
use crate::setup::OutageKind;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// A fault of the next request on a connection, or of its response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConnectionFault {
    /// The connection is cut at this byte of the request. If neither side notices, it stays silent.
    TruncateRequest { at: u64, is_noticed: bool },
    /// The request and everything after it is delayed by this much.
    DelayRequest(Duration),
    /// The connection is cut at this byte of the response.
    TruncateResponse { at: u64, is_noticed: bool },
    /// The response and everything after it is delayed by this much.
    DelayResponse(Duration),
    /// Other bytes are inserted into the response at this position.
    DamageResponse(u64),
}

/// The keys of a queue that may be evicted. The leases are evicted more often.
pub(crate) const EVICTED_KEYS: [&str; 5] = ["l", "l", "h", "r", "d"];

impl World {
    /// A machine's session executes an operation, with a fault.
    pub(crate) fn execute_with_fault(
        &mut self,
        who: ProcessId,
        op_id: OpId,
        op: QueueOp,
        mut injected: InjectedFault,
    ) {
        let rng = &mut injected.detail;
        let (at, is_noticed) = (rng.next_u64(), one_in(rng, 2));
        let fault = match injected.fault {
            Fault::RequestLost => Some(ConnectionFault::TruncateRequest { at: 0, is_noticed }),
            Fault::RequestTwice => Some(ConnectionFault::TruncateRequest { at, is_noticed }),
            Fault::RequestDelayed => {
                Some(ConnectionFault::DelayRequest(Duration::from_millis(100 + rng.up_to(30_000))))
            }
            Fault::ResponseLost => Some(ConnectionFault::TruncateResponse { at: 0, is_noticed }),
            Fault::BodyTruncated => Some(ConnectionFault::TruncateResponse { at, is_noticed }),
            Fault::BodyEndless => Some(ConnectionFault::TruncateResponse { at, is_noticed: false }),
            Fault::ResponseLate | Fault::ResponseOfEarlier => {
                Some(ConnectionFault::DelayResponse(Duration::from_millis(100 + rng.up_to(20_000))))
            }
            Fault::BodyDamaged | Fault::ProxyResponds => Some(ConnectionFault::DamageResponse(at)),
            _ => None,
        };
        match injected.fault {
            Fault::Unreachable | Fault::NotSecure => {
                self.add_cause_to_connections(who, Cause::Connection);
                let until = self.now + Duration::from_millis(rng.up_to(8_000));
                if let Some(process) = self.sessions.processes.get_mut(&who) {
                    process.unreachable_until = until;
                    process.unreachable = match injected.fault {
                        Fault::NotSecure => LinkFaultKind::Tls,
                        _ => LinkFaultKind::Unreachable,
                    };
                }
            }
            Fault::Refused | Fault::FailedBefore | Fault::TouchFails => {
                let kinds = [Kind::Loading, Kind::ReadOnly, Kind::Full, Kind::NoDisk];
                let time = one_of(rng, &[50, 1_000, 8_000]);
                self.refuse_commands(one_of(rng, &kinds), Duration::from_millis(time));
            }
            Fault::DeadLettersFull => {
                self.refuse_commands(Kind::Full, Duration::from_secs(2));
            }
            Fault::FailedAfter => {
                self.add_cause_to_all(Cause::Delivery);
                self.sessions.requests_were_cut = true;
                self.sessions.server.fail_script_after(rng.up_to(12) as u32);
            }
            Fault::PausesWhileRenewing => {
                if let QueueOp::Touch { lease, .. } = &op {
                    let pause = lease.mul_f64(0.52 + rng.up_to(40) as f64 / 100.0);
                    self.stall_process(who, pause);
                }
            }
            _ => {}
        }
        if fault.is_some() {
            self.add_cause_to_connections(who, Cause::Connection);
            self.checker.add_cause_to_request(&op, Cause::Connection);
        }
        self.execute_by_session(who, op_id, op, fault);
    }

    /// The server refuses commands for this long.
    fn refuse_commands(&mut self, kind: Kind, time: Duration) {
        self.add_cause_to_all(Cause::Request);
        self.sessions.server.enter_error_state(kind);
        let until = self.now + time;
        self.sessions.refusing_until = Some(until);
        self.event_queue.add(until, Due::Connection(ConnectionDue::ServerRecovers));
        self.after_server();
    }

    /// The server is unreachable until then, or refuses commands.
    pub(crate) fn take_server_down(&mut self, how: OutageKind, until: Moment) {
        let kind = match how {
            OutageKind::Unreachable => return self.end_all_connections(until),
            OutageKind::Unavailable => Kind::Loading,
            OutageKind::TooManyRequests => Kind::NoDisk,
        };
        if self.sessions.refusing_until != Some(until) {
            self.refuse_commands(kind, until.since(self.now));
        }
    }

    /// All connections end, and no process can open another one until then.
    fn end_all_connections(&mut self, until: Moment) {
        for process in self.sessions.processes.values_mut() {
            process.unreachable_until = until;
            process.unreachable = LinkFaultKind::Unreachable;
        }
        self.sessions.requests_were_cut = true;
        let all: Vec<_> = self.sessions.clients.values().copied().collect();
        for (who, id) in all {
            self.end_at_server(who, id);
            self.notify_closed(who, id);
        }
    }

    /// The server accepts commands again.
    pub(crate) fn recover_server(&mut self) {
        self.sessions.refusing_until = None;
        self.sessions.server.recover();
        self.sessions.server.fail_no_script();
    }

    /// Draws a random fault of the server itself, and injects it.
    pub(super) fn inject_server_fault(&mut self) {
        let server = self.hosts.len();
        let Some(mut injected) = self.draw_fault(server, Opportunity::Server) else { return };
        let rng = &mut injected.detail;
        self.add_cause_to_all(Cause::Delivery);
        match injected.fault {
            Fault::FailsOver => {
                let lost = rng.up_to(6) as usize;
                self.sessions.server.fail_over(lost);
                self.sessions.leases_were_lost = true;
                self.on_server_restart();
            }
            Fault::RestartsEmpty => {
                self.sessions.server.restart_empty();
                self.on_server_restart();
            }
            Fault::Evicts => {
                let part = one_of(rng, &EVICTED_KEYS);
                self.sessions.leases_were_lost |= part == "l";
                self.sessions.requests_were_cut = true;
                for kind in 0..self.kinds.len() {
                    let queue = self.kinds[kind].queue.as_str().to_owned();
                    self.sessions.server.evict(format!("ivy1:{{{queue}}}:{part}").as_bytes());
                }
                self.account_for_fault();
            }
            Fault::ServerClockSet => {
                self.sessions.clock_was_set = true;
                self.add_cause_to_all(Cause::Clock);
                let time = Duration::from_millis(one_of(rng, &[700, 20_000, 400_000]));
                let now = self.now;
                match one_in(rng, 2) {
                    true => self.broker_clock.leap(now, time),
                    false => self.broker_clock.leap_back(now, time.min(Duration::from_secs(20))),
                }
                // The waits end at another true time.
                self.sessions.server_tick = None;
            }
            other => unreachable!("{other:?} is not on the menu of servers"),
        }
        self.after_server();
    }

    /// The server has other keys, and all connections have ended.
    fn on_server_restart(&mut self) {
        #[cfg(ivy_planted)]
        ivy_redis::planted::begin_counter();
        self.sessions.requests_were_cut = true;
        self.account_for_fault();
        let all: Vec<_> = self.sessions.clients.values().copied().collect();
        for (who, id) in all {
            self.end_at_server(who, id);
            self.notify_closed(who, id);
        }
        self.sessions.clients.clear();
        self.sessions.other_program = None;
    }

    /// A fault of the server may affect every task.
    fn add_cause_to_all(&mut self, cause: Cause) {
        for task in &mut self.checker.tasks {
            task.causes.add(cause);
        }
        for host in &mut self.hosts {
            host.had_fault = true;
        }
    }

    /// Posts messages that no process of ivy wrote.
    pub(crate) fn post_as_other_program(&mut self, op: &QueueOp) {
        let QueueOp::Post { queue, messages } = op else { return };
        let server = &mut self.sessions.server;
        let client = *self.sessions.other_program.get_or_insert_with(|| server.connect());
        let mut command =
            format!("*{}\r\n$5\r\nRPUSH\r\n", messages.items().len() + 2).into_bytes();
        let mut add = |text: &str| {
            command.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
        };
        add(&format!("ivy1:{{{}}}:r", queue.as_str()));
        for message in messages.items() {
            self.sessions.foreign_messages += 1;
            add(&format!(
                "stranger{:010}0000{}",
                self.sessions.foreign_messages,
                message.body.as_str()
            ));
        }
        let unix = self.server_unix();
        self.sessions.server.receive(client, &command, unix);
        self.sessions.server.take_replies(client);
        self.after_server();
    }
}

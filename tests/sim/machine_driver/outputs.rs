//! Carries out the outputs of the machines.

use std::time::Duration;

use ivy_proto::event::Event;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::queue::{Fault as QueueFault, FaultKind};
use ivy_proto::worker::{self, CancelReason};
use ivy_proto::{Moment, OpId, producer};

use crate::fault::{Fault, Opportunity};
use crate::fault_injection::{InjectedFault, one_of};
use crate::host::{Machine, ProcessInput};
use crate::state_coverage::SubscriptionState;
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// When a process dies while it carries out its machine's outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Death {
    /// After this many outputs.
    after: u32,
}

impl World {
    /// Carries out the outputs of a machine. Returns whether its process still runs.
    pub(super) fn execute_outputs(
        &mut self,
        who: ProcessId,
        injected: Option<&InjectedFault>,
    ) -> bool {
        let yields_after = injected.filter(|injected| injected.fault == Fault::YieldsEarly);
        let yields_after = yields_after.map(|injected| injected.detail.clone().up_to(2) as u32);
        let death = injected.and_then(|injected| match injected.fault {
            Fault::CrashBefore => Some(Death { after: 0 }),
            Fault::CrashMidway => {
                Some(Death { after: 1 + injected.detail.clone().up_to(2) as u32 })
            }
            _ => None,
        });
        let mut outputs = 0;
        loop {
            if death == Some(Death { after: outputs }) {
                self.crash(who.host);
                return false;
            }
            if yields_after == Some(outputs) {
                self.yield_early(who);
                return true;
            }
            let more = match &mut self.hosts[who.host].machine {
                Machine::Worker(worker) => {
                    let output = worker.poll_output();
                    self.do_for_worker(who, output)
                }
                Machine::Producer(producer) => {
                    let output = producer.poll_output();
                    self.do_for_producer(who, output)
                }
                _ => false,
            };
            if self.hosts[who.host].process != who {
                return false;
            }
            if !more {
                return true;
            }
            outputs += 1;
        }
    }

    fn do_for_worker(&mut self, who: ProcessId, output: worker::Output) -> bool {
        let now = self.now;
        match output {
            worker::Output::Wait(deadline) => {
                self.set_tick(who, deadline.map(|deadline| deadline.at));
                return false;
            }
            worker::Output::Event(event) => {
                self.trace.note(now, who, || format!("reports {event:?}"));
                self.coverage.event(&event);
                self.check_lateness(who, &event);
                self.check_deadline(who, &event);
                self.check_standstill(who, &event);
            }
            worker::Output::Queue(op, queue_op) => {
                self.trace.note(now, who, || format!("requests {op:?} {queue_op:?}"));
                self.trace.mix(now.as_nanos());
                self.request(who, op, queue_op);
            }
            worker::Output::CancelQueue(op) => self.cancel(who, op),
            worker::Output::Publish(op, publication) => {
                self.trace.note(now, who, || format!("publishes on {}", publication.channel));
                self.publish(who, op, publication);
            }
            worker::Output::Run(run) => {
                self.trace.note(now, who, || format!("runs {run:?}"));
                self.presence.started(who);
                self.run_handler(who, run);
            }
            worker::Output::Interrupt(job) => {
                self.trace.note(now, who, || format!("ends the wait of {job:?}"));
                self.interrupt_handler(who, job);
            }
            worker::Output::Cancel(job, reason) => {
                self.trace.note(now, who, || format!("cancels {job:?}: {reason:?}"));
                // A lost lease is not a cause in itself: something must have led to it.
                if reason != CancelReason::TimeLimit {
                    let cause = (reason == CancelReason::Drain).then_some(Cause::Shutdown);
                    self.checker.outcome_is_void(who, job, cause);
                }
                self.stop_handler(who, job);
            }
            worker::Output::Finished => self.finished(who),
        }
        true
    }

    /// A worker that is polled in time does not report that it was late.
    fn check_lateness(&mut self, who: ProcessId, event: &Event) {
        if matches!(event, Event::WokenLate { .. }) && self.hosts[who.host].is_undisturbed {
            self.checker.broken("S15", || format!("{who:?} was polled in time: {event}"));
        }
    }

    fn do_for_producer(&mut self, who: ProcessId, output: producer::Output) -> bool {
        let now = self.now;
        match output {
            producer::Output::Wait(deadline) => {
                self.set_tick(who, deadline.map(|deadline| deadline.at));
                return false;
            }
            producer::Output::Event(event) => {
                self.trace.note(now, who, || format!("reports {event:?}"));
                self.coverage.event(&event);
            }
            producer::Output::Queue(op, queue_op) => {
                self.trace.note(now, who, || format!("requests {op:?} {queue_op:?}"));
                self.trace.mix(now.as_nanos());
                self.note_post(who, op, &queue_op);
                self.request(who, op, queue_op);
            }
            producer::Output::Subscribe(channels) => self.subscribe(who, channels),
            producer::Output::Sent(id, result) => {
                self.trace.note(now, who, || format!("sent {id} {result:?}"));
                self.sent(who, id, result);
            }
            producer::Output::Result { id, outcome, args, .. } => {
                self.trace.note(now, who, || format!("resumes {id} {outcome:?}"));
                self.receive_result(who, id, &outcome, args.is_some());
            }
            producer::Output::Released { id, release } => {
                self.trace
                    .note(now, who, || format!("is informed that {id} was released: {release}"));
                self.released(id);
            }
            producer::Output::Finished => self.finished(who),
        }
        true
    }

    fn set_tick(&mut self, who: ProcessId, deadline: Option<Moment>) {
        let now = self.now;
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let Some(deadline) = deadline else {
            host.tick_at = None;
            host.has_outputs_left = false;
            return;
        };
        // A process that polls late finds what became due meanwhile.
        if deadline <= local && !host.has_outputs_left {
            let what = format!("{who:?} waits for {deadline:?} and it is {local:?}");
            return self.checker.broken("S7", || what);
        }
        let at = host.clock.when(deadline).max(now);
        host.has_outputs_left = false;
        if host.tick_at != Some(at) {
            host.tick_at = Some(at);
            self.event_queue.add(at, Due::ProcessInput(who, ProcessInput::Tick));
        }
    }

    fn cancel(&mut self, who: ProcessId, op: OpId) {
        if self.hosts[who.host].pending.contains_key(&op) {
            match self.setup.capabilities().takes_back_reserves {
                true if self.has_sessions() => self.cancel_by_session(who, op),
                true => self.cancel_request(who, op),
                false => self.abandon_requests(who, Some(op)),
            }
            let lost = Err(QueueFault::new(FaultKind::ReplyLost));
            let input = ProcessInput::Reply(op, lost, Moment::EPOCH);
            self.schedule(Duration::from_millis(1), Due::ProcessInput(who, input));
        }
    }

    /// A machine has finished: nothing may be left of it.
    fn finished(&mut self, who: ProcessId) {
        let now = self.now;
        self.trace.note(now, who, || "has finished".to_owned());
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let late = host.finish_deadline.is_none_or(|by| local > by) && host.is_undisturbed;
        let is_orderly = host.is_undisturbed && host.drain_limit.is_some_and(|by| local < by);
        let (is_quiet, misuse, held) = match &mut host.machine {
            Machine::Worker(worker) => {
                let quiet = matches!(worker.poll_output(), worker::Output::Wait(None));
                let load = worker.load().held;
                (quiet, worker.handle_input(worker::Input::Tick, local).is_err(), load)
            }
            Machine::Producer(producer) => {
                let quiet = matches!(producer.poll_output(), producer::Output::Wait(None));
                (quiet, producer.handle_input(producer::Input::Tick, local).is_err(), 0)
            }
            _ => return,
        };
        if is_orderly {
            self.check_last_record(who);
        }
        let had_fault = self.hosts[who.host].had_fault;
        if let Some(message) =
            self.checker.still_held(who, self.broker_now()).filter(|_| !had_fault)
        {
            self.checker
                .broken("S9", || format!("{who:?} has finished, and still holds {message}"));
        }
        if !is_quiet || !misuse || held > 0 {
            self.checker.broken("S9", || format!("{who:?} has finished and is not quiet"));
        }
        if late {
            self.checker
                .broken("L3", || format!("{who:?} has finished too late, or without a request"));
        }
        self.end_calls(who);
        match &mut self.quiet_phase {
            Some(quiet_phase) if quiet_phase.finishing => {
                quiet_phase.finished += 1;
                self.kill(who.host);
            }
            _ => self.go_down(who.host),
        }
    }

    /// No more calls wait to be sent than the outbox can hold.
    pub(super) fn check_outbox(&mut self, who: ProcessId) {
        let host = &self.hosts[who.host];
        let (unsent, max) = (host.calls.len(), self.setup.outbox);
        if unsent > max && !host.has_outputs_left {
            self.checker
                .broken("S7", || format!("{who:?} stores {unsent} calls, the limit is {max}"));
        }
    }

    /// The process carries out its remaining outputs a little later.
    fn yield_early(&mut self, who: ProcessId) {
        self.checker.add_cause_to_held(who.host, Cause::Pause);
        let host = &mut self.hosts[who.host];
        host.is_undisturbed = false;
        host.has_outputs_left = true;
        let pause = Duration::from_millis(self.injector.variation(who.host).up_to(50));
        self.schedule(pause, Due::ProcessInput(who, ProcessInput::Continue));
    }

    pub(super) fn check_load(&mut self, who: ProcessId) {
        let Machine::Worker(worker) = &self.hosts[who.host].machine else { return };
        let load = worker.load();
        self.coverage.max_held = self.coverage.max_held.max(load.held);
        let max = self.setup.concurrency;
        if load.running > max {
            self.checker.broken("S7", || {
                format!("{who:?} runs {} handlers, the limit is {max}", load.running)
            });
        }
        // One more may wait in each physical queue.
        let max = max + self.kinds.len();
        if load.running + load.waiting > max {
            self.checker.broken("S7", || format!("{who:?} has {load:?}, and at most {max} to run"));
        }
        let max = self.setup.notice_bytes;
        if load.notice_bytes > max {
            let bytes = load.notice_bytes;
            self.checker.broken("S7", || {
                format!("{who:?} stores {bytes} bytes of notices, the limit is {max}")
            });
        }
        // The machine keeps half of them, so that the newest have room.
        let host = &self.hosts[who.host];
        let in_flight: usize = host.publishing.values().sum();
        if in_flight > max / 2 && host.publishing.len() > 1 {
            self.checker.broken("S7", || {
                format!("{who:?} publishes {in_flight} notices at a time, the limit is {max}")
            });
        }
        if let Some(by) = self.hosts[who.host].finish_deadline {
            let host = &self.hosts[who.host];
            if host.is_undisturbed && host.clock.show(self.now) > by {
                self.checker.broken("L3", || format!("{who:?} should have finished by {by:?}"));
            }
        }
    }

    fn subscribe(&mut self, who: ProcessId, channels: Vec<ivy_proto::ChannelName>) {
        self.redis.disconnect(who.host);
        let host = &mut self.hosts[who.host];
        host.subscription_state = SubscriptionState::Requested;
        host.subscription += 1;
        let number = host.subscription;
        let fault = self.draw_fault(who.host, Opportunity::Subscribe).map(|mut injected| {
            let kinds = match injected.fault {
                Fault::SubscribeRefused => {
                    &[NotifyFaultKind::Unauthorized, NotifyFaultKind::Refused]
                }
                _ => &[NotifyFaultKind::ConnectionLost, NotifyFaultKind::Unreachable],
            };
            NotifyFault::new(one_of(&mut injected.detail, kinds))
        });
        match fault {
            Some(fault) => self.schedule_soon(who, ProcessInput::SubscriptionLost(number, fault)),
            None => {
                let latency = self.latency(who.host);
                self.schedule(latency, Due::Subscribe { who, number, channels });
            }
        }
    }
}

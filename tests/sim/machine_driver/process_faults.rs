//! Faults of processes: they die, stall, lose their clocks, are requested to finish.

use std::time::Duration;

use ivy_proto::{producer, worker};

use crate::fault::Fault;
use crate::fault_injection::{InjectedFault, one_of};
use crate::host::{Machine, OperatorAction, ProcessInput};
use crate::task::{Cause, ProcessId};
use crate::world::{Due, World};

/// How long a process may stall, in milliseconds.
pub(crate) const PAUSES: [u64; 6] = [10, 300, 2_000, 15_000, 60_000, 400_000];

impl World {
    /// A fault hits a process after its step.
    pub(super) fn apply_fault(&mut self, who: ProcessId, injected: Option<InjectedFault>) {
        let Some(InjectedFault { fault, detail: mut rng }) = injected else { return };
        let now = self.now;
        match fault {
            Fault::CrashAfter => self.crash(who.host),
            Fault::Pause => {
                let time = Duration::from_millis(one_of(&mut rng, &PAUSES));
                self.stall_process(who, time);
            }
            Fault::ClockStalls | Fault::ClockLeaps => {
                let times = [5, 500, 5_000, 40_000, 4_000_000];
                let time = Duration::from_millis(one_of(&mut rng, &times));
                self.checker.add_cause_to_held(who.host, Cause::Clock);
                let host = &mut self.hosts[who.host];
                host.is_undisturbed = false;
                match fault {
                    // A clock that stops for an hour stalls its process as well.
                    Fault::ClockStalls => host.clock.stall(now, time.min(Duration::from_secs(40))),
                    _ => host.clock.leap(now, time),
                }
                self.poll_again(who);
            }
            Fault::Drain | Fault::DrainTwice => {
                let limits = [0, 1, 700, 5_000, 30_000];
                let limit = Duration::from_millis(one_of(&mut rng, &limits));
                self.schedule_soon(who, ProcessInput::Drain(limit));
                if fault == Fault::DrainTwice {
                    let sooner = Duration::from_millis(rng.up_to(3_000));
                    self.schedule_soon(who, ProcessInput::Drain(sooner));
                }
            }
            Fault::OperatorActs => {
                use OperatorAction::{Pause, PauseNotifier, Resume, ResumeNotifier};
                let by_operator = |first, second| {
                    (ProcessInput::OperatorAction(first), ProcessInput::OperatorAction(second))
                };
                let (first, second) = match one_of(&mut rng, &[0, 1, 2]) {
                    0 => by_operator(Pause, Resume),
                    1 => by_operator(PauseNotifier, ResumeNotifier),
                    _ => (ProcessInput::Nudge, ProcessInput::Nudge),
                };
                self.schedule_soon(who, first);
                let pause = Duration::from_millis(rng.up_to(20_000));
                self.schedule(pause, Due::ProcessInput(who, second));
            }
            _ => {}
        }
    }

    /// A process stalls for this long.
    pub(crate) fn stall_process(&mut self, who: ProcessId, time: Duration) {
        self.checker.add_cause_to_held(who.host, Cause::Pause);
        let host = &mut self.hosts[who.host];
        host.is_undisturbed = false;
        host.paused_until = self.now + time;
    }

    /// The clock has changed: the machine's deadline is at another true time now.
    fn poll_again(&mut self, who: ProcessId) {
        let deadline = match &mut self.hosts[who.host].machine {
            Machine::Worker(worker) => match worker.poll_output() {
                worker::Output::Wait(deadline) => deadline.map(|deadline| deadline.at),
                _ => None,
            },
            Machine::Producer(producer) => match producer.poll_output() {
                producer::Output::Wait(deadline) => deadline.map(|deadline| deadline.at),
                _ => None,
            },
            _ => None,
        };
        let now = self.now;
        let host = &mut self.hosts[who.host];
        if let Some(deadline) = deadline {
            let at = host.clock.when(deadline).max(now);
            host.tick_at = Some(at);
            self.event_queue.add(at, Due::ProcessInput(who, ProcessInput::Tick));
        }
        self.reset_session_tick(who);
    }

    /// A process dies and is restarted after some time.
    pub(crate) fn crash(&mut self, host: usize) {
        let who = self.hosts[host].process;
        let now = self.now;
        self.trace.note(now, who, || "dies".to_owned());
        self.checker.add_cause_to_held(host, Cause::Crash);
        self.go_down(host);
    }

    /// A process has ended, for whatever reason.
    pub(crate) fn go_down(&mut self, host: usize) {
        let who = self.hosts[host].process;
        self.abandon_requests(who, None);
        self.close_connection(who);
        self.end_session(who);
        self.redis.disconnect(host);
        self.hosts[host].die();
        let pause = Duration::from_millis(10 + self.injector.variation(host).up_to(8_000));
        self.schedule(pause, Due::Start(host));
    }
}

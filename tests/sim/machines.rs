//! Driving the machines: each input is fed, each output carried out, as an adapter would do it.

use std::time::Duration;

use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::producer::{self, Producer, ProducerConfig};
use ivy_proto::queue::{Fault as QueueFault, FaultKind, QueueOp, QueueReply};
use ivy_proto::worker::{self, CancelReason, Worker, WorkerConfig};
use ivy_proto::{Moment, OpId, WallClock};

use crate::clock::Clock;
use crate::dice::{Hit, one_of};
use crate::fault::{Class, Fault, Menu};
use crate::host::{Heard, Host, Machine, Meddling};
use crate::network::receipts;
use crate::setup::{UNIX_AT_START, shared_channel};
use crate::task::{Cause, Who};
use crate::world::{Due, World, seed_bytes};

/// When a process dies in the midst of carrying out what its machine wants.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Death {
    /// After so many outputs.
    after: u32,
}

impl World {
    /// A process is started, if none runs here.
    pub(crate) fn start(&mut self, host: usize) {
        if self.hosts[host].is_up() || self.is_out_of_service(host) {
            return;
        }
        let machine = self.new_machine(host);
        let clocks = self.setup.has(Class::Clocks) && self.calm.is_none();
        let rng = self.dice.nature(host);
        let speed = if clocks { one_of(rng, &[1_000, 1_000, 990, 1_010, 1_100]) } else { 1_000 };
        let clock = Clock::new(self.now, speed);
        self.hosts[host].come_up(machine, clock, speed == 1_000);
        let who = self.hosts[host].who;
        let now = self.now;
        self.trace.note(now, || format!("{who:?} comes up"));
        match self.hosts[host].machine {
            Machine::OriginalWorker => self.start_original_worker(who),
            Machine::OriginalProducer => self.start_original_producer(who),
            _ => {
                self.hosts[host].tick_at = Some(now);
                self.tell(who, Heard::Tick);
            }
        }
    }

    fn new_machine(&mut self, host: usize) -> Machine {
        let setup = &self.setup;
        let seed =
            seed_bytes(setup.seed, (u64::from(self.hosts[host].who.life) << 16) + host as u64 + 1);
        if host < setup.producers {
            let wall = self.wall_clock(host);
            return Machine::Producer(Box::new(Producer::new(self.producer_config(), seed, wall)));
        }
        if self.ledger.workers.contains(&host) {
            let wall = self.wall_clock(host);
            let config = self.worker_config(host);
            let worker = Worker::new(config, seed, wall).expect("the settings keep the rules");
            return Machine::Worker(Box::new(worker));
        }
        if host < setup.hosts() - setup.original_workers {
            Machine::OriginalProducer
        } else {
            Machine::OriginalWorker
        }
    }

    /// What the clock on the wall shows at the start of a process.
    fn wall_clock(&mut self, host: usize) -> WallClock {
        let started = UNIX_AT_START + self.now.since(Moment::EPOCH);
        let wrong = self.setup.has(Class::Clocks) && self.calm.is_none();
        let rng = self.dice.nature(host);
        let shown = match one_of(rng, &[0, 0, 1, 2, 3, 4]) {
            _ if !wrong => started,
            0 => started,
            1 => started + Duration::from_secs(300),
            2 => started - Duration::from_secs(300),
            3 => started + Duration::from_secs(10 * 365 * 86_400),
            _ => Duration::ZERO,
        };
        WallClock::new(shown)
    }

    fn producer_config(&self) -> ProducerConfig {
        let setup = &self.setup;
        let config = ProducerConfig::new(setup.capabilities(), setup.codec())
            .with_outbox(setup.outbox)
            .with_waiting(setup.waiting)
            .with_posts_in_flight(setup.posts_in_flight);
        if setup.notifier {
            config.with_notifier(shared_channel()).expect("it is short")
        } else {
            config
        }
    }

    fn worker_config(&self, host: usize) -> WorkerConfig {
        let setup = &self.setup;
        let codec = match self.calm {
            Some(_) => setup.codec(),
            None => self.codecs[host - setup.producers].clone(),
        };
        let mut config = WorkerConfig::new(setup.capabilities(), codec)
            .with_concurrency(setup.concurrency)
            .with_lease(setup.lease())
            .with_backoff(setup.backoff())
            .with_max_deliveries(setup.max_deliveries);
        for kind in &self.kinds {
            config = config.with_task(kind.name.clone(), kind.settings.clone());
        }
        if setup.notifier { config.with_notifier(shared_channel()) } else { config }
    }

    /// A process is told something, and does what follows from it.
    pub(crate) fn tell(&mut self, who: Who, heard: Heard) {
        let host = &mut self.hosts[who.host];
        if let Heard::Tick = heard {
            // Only the tick that was set last counts.
            if host.tick_at != Some(self.now) {
                return;
            }
            host.tick_at = None;
        }
        match &host.machine {
            Machine::Worker(_) => self.tell_worker(who, heard),
            Machine::Producer(_) => self.tell_producer(who, heard),
            Machine::OriginalWorker | Machine::OriginalProducer => {
                self.tell_original(who, heard);
            }
            Machine::Down => {}
        }
    }

    fn tell_worker(&mut self, who: Who, heard: Heard) {
        let input = match heard {
            Heard::Tick => worker::Input::Tick,
            Heard::Answer(op, answer, granted) => {
                if self.hosts[who.host].asked.remove(&op).is_none() {
                    return;
                }
                self.ledger.arrived(who, receipts(&answer), granted, self.now);
                worker::Input::Queue(op, answer)
            }
            Heard::Published(op, answer) => worker::Input::Published(op, answer),
            Heard::JobEnds(job, plan) => match self.end_job(who, job, plan) {
                Some(outcome) => worker::Input::Job(job, outcome),
                None => return,
            },
            Heard::Meddle(Meddling::Pause) => worker::Input::Pause,
            Heard::Meddle(Meddling::Resume) => worker::Input::Resume,
            Heard::Meddle(Meddling::PauseNotifier) => worker::Input::PauseNotifier,
            Heard::Meddle(Meddling::ResumeNotifier) => worker::Input::ResumeNotifier,
            Heard::Meddle(Meddling::Nudge) => worker::Input::Nudge,
            Heard::Drain(limit) => {
                self.watch_drain(who, limit, Duration::from_secs(1));
                worker::Input::Drain { limit }
            }
            _ => return,
        };
        let hit = self.throw(who.host, Menu::Step);
        self.trace.mix(who.host as u64);
        let now = self.now;
        self.trace.note(now, || format!("{who:?} hears {input:?}"));
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let Machine::Worker(worker) = &mut host.machine else { return };
        if let Err(misuse) = worker.handle_input(input, local) {
            return self.ledger.broken("S11", || format!("{who:?}: {misuse}"));
        }
        if self.carry_out(who, hit.as_ref()) {
            self.check_load(who);
            self.befall(who, hit);
        }
    }

    fn tell_producer(&mut self, who: Who, heard: Heard) {
        let input = match heard {
            Heard::Tick => producer::Input::Tick,
            Heard::Answer(op, answer, _) => {
                if self.hosts[who.host].asked.remove(&op).is_none() {
                    return;
                }
                producer::Input::Queue(op, answer)
            }
            Heard::Subscribed(number) if number == self.hosts[who.host].subscription => {
                producer::Input::Subscribed
            }
            Heard::SubscriptionLost(number, fault)
                if number == self.hosts[who.host].subscription =>
            {
                producer::Input::SubscriptionLost(fault)
            }
            Heard::Notice(number, channel, payload)
                if number == self.hosts[who.host].subscription =>
            {
                let payload = payload.as_str().as_bytes().to_vec();
                producer::Input::Notice { channel, payload }
            }
            Heard::Calls(tasks) => producer::Input::Calls(self.calls_of(who, tasks)),
            Heard::Await(id, timeout) => producer::Input::Await { id, timeout },
            Heard::Forget(id) => producer::Input::Forget(id),
            Heard::Drain(limit) => {
                self.watch_drain(who, limit, Duration::ZERO);
                producer::Input::Drain { limit }
            }
            _ => return,
        };
        let hit = self.throw(who.host, Menu::Step);
        self.trace.mix(who.host as u64);
        let now = self.now;
        self.trace.note(now, || format!("{who:?} hears {input:?}"));
        self.learn(&input, who);
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let Machine::Producer(producer) = &mut host.machine else { return };
        if let Err(misuse) = producer.handle_input(input, local) {
            return self.ledger.broken("S11", || format!("{who:?}: {misuse}"));
        }
        if self.carry_out(who, hit.as_ref()) {
            self.befall(who, hit);
        }
    }

    /// Carries out what a machine wants. Says whether its process is still there afterwards.
    fn carry_out(&mut self, who: Who, hit: Option<&Hit>) -> bool {
        let death = hit.and_then(|hit| match hit.fault {
            Fault::CrashBefore => Some(Death { after: 0 }),
            Fault::CrashMidway => Some(Death { after: 1 + hit.detail.clone().up_to(2) as u32 }),
            _ => None,
        });
        let mut outputs = 0;
        loop {
            if death == Some(Death { after: outputs }) {
                self.crash(who.host);
                return false;
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
            if self.hosts[who.host].who != who {
                return false;
            }
            if !more {
                return true;
            }
            outputs += 1;
        }
    }

    fn do_for_worker(&mut self, who: Who, output: worker::Output) -> bool {
        let now = self.now;
        match output {
            worker::Output::Wait(deadline) => {
                self.set_tick(who, deadline.map(|deadline| deadline.at));
                return false;
            }
            worker::Output::Event(event) => {
                self.trace.note(now, || format!("{who:?} tells {event:?}"));
                self.census.event(&event);
            }
            worker::Output::Queue(op, ask) => {
                self.trace.note(now, || format!("{who:?} asks {op:?} {ask:?}"));
                self.trace.mix(now.as_nanos());
                self.ask(who, op, ask);
            }
            worker::Output::CancelQueue(op) => self.cancel(who, op),
            worker::Output::Publish(op, publication) => {
                self.trace.note(now, || format!("{who:?} publishes on {}", publication.channel));
                self.publish(who, op, publication);
            }
            worker::Output::Run(run) => {
                self.trace.note(now, || format!("{who:?} runs {run:?}"));
                self.run_handler(who, run);
            }
            worker::Output::Cancel(job, reason) => {
                self.trace.note(now, || format!("{who:?} cancels {job:?}: {reason:?}"));
                // That a lease was lost is no cause: something must have led to it.
                if reason != CancelReason::TimeLimit {
                    let cause = (reason == CancelReason::Drain).then_some(Cause::Shutdown);
                    self.ledger.orphaned(who, job, cause);
                }
                self.stop_handler(who, job);
            }
            worker::Output::Finished => self.finished(who),
        }
        true
    }

    fn do_for_producer(&mut self, who: Who, output: producer::Output) -> bool {
        let now = self.now;
        match output {
            producer::Output::Wait(deadline) => {
                self.set_tick(who, deadline.map(|deadline| deadline.at));
                return false;
            }
            producer::Output::Event(event) => {
                self.trace.note(now, || format!("{who:?} tells {event:?}"));
                self.census.event(&event);
            }
            producer::Output::Queue(op, ask) => {
                self.trace.note(now, || format!("{who:?} asks {op:?} {ask:?}"));
                self.trace.mix(now.as_nanos());
                self.note_post(who, op, &ask);
                self.ask(who, op, ask);
            }
            producer::Output::Subscribe(channels) => self.subscribe(who, channels),
            producer::Output::Sent(id, result) => {
                self.trace.note(now, || format!("{who:?} sent {id} {result:?}"));
                self.sent(who, id, result);
            }
            producer::Output::Resumed { id, outcome, args, .. } => {
                self.trace.note(now, || format!("{who:?} resumes {id} {outcome:?}"));
                self.resumed(who, id, &outcome, args.is_some());
            }
            producer::Output::TimedOut(id) => self.timed_out(who, id),
            producer::Output::Finished => self.finished(who),
        }
        true
    }

    fn set_tick(&mut self, who: Who, deadline: Option<Moment>) {
        let now = self.now;
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let Some(deadline) = deadline else {
            host.tick_at = None;
            return;
        };
        if deadline <= local {
            let what = format!("{who:?} waits for {deadline:?} and it is {local:?}");
            return self.ledger.broken("S7", || what);
        }
        let at = host.clock.when(deadline);
        if host.tick_at != Some(at) {
            host.tick_at = Some(at);
            self.agenda.add(at, Due::Heard(who, Heard::Tick));
        }
    }

    fn cancel(&mut self, who: Who, op: OpId) {
        if let Some(cancelled) = self.hosts[who.host].asked.get_mut(&op) {
            *cancelled = true;
            self.hang_up(who, Some(op));
            let lost = Err(QueueFault::new(FaultKind::AnswerLost));
            let heard = Heard::Answer(op, lost, Moment::EPOCH);
            self.later(Duration::from_millis(1), Due::Heard(who, heard));
        }
    }

    /// Something happens to a process beside what it does.
    fn befall(&mut self, who: Who, hit: Option<Hit>) {
        let Some(Hit { fault, detail: mut rng }) = hit else { return };
        let now = self.now;
        match fault {
            Fault::CrashAfter => self.crash(who.host),
            Fault::Pause => {
                let times = [10, 300, 2_000, 15_000, 60_000, 400_000];
                let time = Duration::from_millis(one_of(&mut rng, &times));
                self.ledger.blame_held(who.host, Cause::Pause);
                self.hosts[who.host].honest = false;
                self.hosts[who.host].paused_until = now + time;
            }
            Fault::ClockStalls | Fault::ClockLeaps => {
                let times = [5, 500, 5_000, 40_000, 4_000_000];
                let time = Duration::from_millis(one_of(&mut rng, &times));
                self.ledger.blame_held(who.host, Cause::Clock);
                let host = &mut self.hosts[who.host];
                host.honest = false;
                match fault {
                    // A clock that stalls for an hour stalls its process as well.
                    Fault::ClockStalls => host.clock.stall(now, time.min(Duration::from_secs(40))),
                    _ => host.clock.leap(now, time),
                }
                self.poll_again(who);
            }
            Fault::Drain | Fault::DrainTwice => {
                let limits = [0, 1, 700, 5_000, 30_000];
                let limit = Duration::from_millis(one_of(&mut rng, &limits));
                self.soon(who, Heard::Drain(limit));
                if fault == Fault::DrainTwice {
                    let sooner = Duration::from_millis(rng.up_to(3_000));
                    self.soon(who, Heard::Drain(sooner));
                }
            }
            Fault::Meddle => {
                let (stop, go) = one_of(
                    &mut rng,
                    &[
                        (Meddling::Pause, Meddling::Resume),
                        (Meddling::PauseNotifier, Meddling::ResumeNotifier),
                        (Meddling::Nudge, Meddling::Nudge),
                    ],
                );
                self.soon(who, Heard::Meddle(stop));
                let rest = Duration::from_millis(rng.up_to(20_000));
                self.later(rest, Due::Heard(who, Heard::Meddle(go)));
            }
            _ => {}
        }
    }

    /// The clock has changed: the machine's deadline is at another true time now.
    fn poll_again(&mut self, who: Who) {
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
            self.agenda.add(at, Due::Heard(who, Heard::Tick));
        }
    }

    /// A process dies, and another takes its place after a while.
    pub(crate) fn crash(&mut self, host: usize) {
        let who = self.hosts[host].who;
        let now = self.now;
        self.trace.note(now, || format!("{who:?} dies"));
        self.ledger.blame_held(host, Cause::Crash);
        self.go_down(host);
    }

    /// A process has ended, for whatever reason.
    pub(crate) fn go_down(&mut self, host: usize) {
        let who = self.hosts[host].who;
        self.hang_up(who, None);
        self.redis.disconnect(host);
        self.hosts[host].die();
        let rest = Duration::from_millis(10 + self.dice.nature(host).up_to(8_000));
        self.later(rest, Due::Start(host));
    }

    fn watch_drain(&mut self, who: Who, limit: Duration, last_words: Duration) {
        self.ledger.blame_held(who.host, Cause::Shutdown);
        let now = self.now;
        let host = &mut self.hosts[who.host];
        // Timers are at least a millisecond long, and there are two.
        let end = host.clock.show(now) + limit + last_words + Duration::from_millis(2);
        host.must_finish = Some(host.must_finish.unwrap_or(end).min(end));
    }

    /// A machine has finished: nothing may be left of it.
    fn finished(&mut self, who: Who) {
        let now = self.now;
        self.trace.note(now, || format!("{who:?} has finished"));
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let late = host.must_finish.is_none_or(|by| local > by) && host.honest;
        let (rest, misuse, held) = match &mut host.machine {
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
        if !rest || !misuse || held > 0 {
            self.ledger.broken("S9", || format!("{who:?} has finished and is not quiet"));
        }
        if late {
            self.ledger.broken("L3", || format!("{who:?} has finished too late, or unasked"));
        }
        self.end_calls(who);
        match &mut self.calm {
            Some(calm) if calm.finishing => {
                calm.finished += 1;
                self.kill(who.host);
            }
            _ => self.go_down(who.host),
        }
    }

    fn check_load(&mut self, who: Who) {
        let Machine::Worker(worker) = &self.hosts[who.host].machine else { return };
        let load = worker.load();
        let most = self.setup.concurrency;
        if load.running > most {
            self.ledger.broken("S7", || format!("{who:?} runs {} of {most}", load.running));
        }
        if let Some(by) = self.hosts[who.host].must_finish {
            let host = &self.hosts[who.host];
            if host.honest && host.clock.show(self.now) > by {
                self.ledger.broken("L3", || format!("{who:?} should have finished by {by:?}"));
            }
        }
    }

    fn subscribe(&mut self, who: Who, channels: Vec<ivy_proto::ChannelName>) {
        self.redis.disconnect(who.host);
        let host = &mut self.hosts[who.host];
        host.subscription += 1;
        let number = host.subscription;
        let fault = self.throw(who.host, Menu::Subscribe).map(|mut hit| {
            let kinds = match hit.fault {
                Fault::SubscribeRefused => {
                    &[NotifyFaultKind::Unauthorized, NotifyFaultKind::Refused]
                }
                _ => &[NotifyFaultKind::ConnectionLost, NotifyFaultKind::Unreachable],
            };
            NotifyFault::new(one_of(&mut hit.detail, kinds))
        });
        match fault {
            Some(fault) => self.soon(who, Heard::SubscriptionLost(number, fault)),
            None => {
                let latency = self.latency(who.host);
                self.later(latency, Due::Subscribe { who, number, channels });
            }
        }
    }

    /// What the world learns from what a producer hears.
    fn learn(&mut self, input: &producer::Input, who: Who) {
        if let producer::Input::Queue(op, answer) = input {
            let tasks = self.posts.remove(&(who, *op)).unwrap_or_default();
            let unknown = match answer {
                Ok(QueueReply::Posted(ids)) => ids.len() != tasks.len(),
                Ok(_) => false,
                Err(fault) => fault.effect() == ivy_proto::queue::Effect::Unknown,
            };
            for task in tasks {
                self.ledger.tasks[task].unknown += u32::from(unknown);
            }
        }
    }

    /// Remembers which tasks a producer posts.
    pub(crate) fn note_post(&mut self, who: Who, op_id: OpId, op: &QueueOp) {
        if who.host < self.setup.producers
            && let QueueOp::Post { messages, .. } = op
        {
            let bodies = messages.items().iter();
            let tasks = bodies.filter_map(|message| self.ledger.task_of(message.body.as_str()));
            let tasks: Vec<usize> = tasks.collect();
            self.posts.insert((who, op_id), tasks);
        }
    }

    pub(crate) fn host(&self, who: Who) -> Option<&Host> {
        self.hosts.get(who.host).filter(|host| host.who == who)
    }
}

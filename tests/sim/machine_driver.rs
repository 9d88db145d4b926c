//! Drives the machines: feeds each input and carries out each output, as an adapter does.

mod outputs;
mod process_faults;
mod wall_clocks;

pub(crate) use process_faults::PAUSES;

use std::time::Duration;

use ivy_proto::producer::{self, Producer, ProducerConfig};
use ivy_proto::queue::{Effect, Fault, QueueOp, QueueReply};
use ivy_proto::worker::{self, Worker, WorkerConfig};
use ivy_proto::{Misuse, OpId, WallClock};

use crate::clock::{Clock, HostWallClock};
use crate::fault::{Class, Opportunity};
use crate::fault_injection::one_of;
use crate::host::{Host, Machine, OperatorAction, ProcessInput};
use crate::network::receipts;
use crate::presence::Presence;
use crate::setup::shared_channel;
use crate::state_coverage::{SubscriptionState, WorkerState, job_name, reply_name};
use crate::task::{Cause, ProcessId};
use crate::world::{World, seed_bytes};

impl World {
    /// Starts a process, if none runs here.
    pub(crate) fn start(&mut self, host: usize) {
        if self.hosts[host].is_up() || self.is_out_of_service(host) {
            return;
        }
        let wall = self.wall(host);
        let machine = self.new_machine(host, wall.known());
        let clocks = self.setup.has(Class::Clocks) && self.quiet_phase.is_none();
        let rng = self.injector.variation(host);
        let speed = if clocks { one_of(rng, &[1_000, 1_000, 990, 1_010, 1_100]) } else { 1_000 };
        let clock = Clock::new(self.now, speed);
        self.hosts[host].start(machine, clock, wall, speed == 1_000);
        let who = self.hosts[host].process;
        let now = self.now;
        self.start_session(who);
        self.trace.note(now, who, || "comes up".to_owned());
        match self.hosts[host].machine {
            Machine::NodeWorker => self.start_node_worker(who),
            Machine::NodeProducer => self.start_node_producer(who),
            _ => {
                self.hosts[host].tick_at = Some(now);
                self.feed(who, ProcessInput::Tick);
            }
        }
    }

    fn new_machine(&mut self, host: usize, wall: WallClock) -> Machine {
        let setup = &self.setup;
        let seed = seed_bytes(
            setup.seed,
            (u64::from(self.hosts[host].process.incarnation) << 16) + host as u64 + 1,
        );
        if host < setup.producers {
            return Machine::Producer(Box::new(Producer::new(
                self.producer_config(host),
                seed,
                wall,
            )));
        }
        if self.checker.workers.contains(&host) {
            let config = self.worker_config(host);
            let worker = Worker::new(config, seed, wall).expect("the settings are valid");
            return Machine::Worker(Box::new(worker));
        }
        if host < setup.hosts() - setup.node_workers {
            Machine::NodeProducer
        } else {
            Machine::NodeWorker
        }
    }

    /// The wall clock of a process that starts.
    fn wall(&mut self, host: usize) -> HostWallClock {
        if !self.setup.has(Class::Clocks) || self.quiet_phase.is_some() {
            return HostWallClock::correct(self.now);
        }
        let (now, fault_seconds) = (self.now, self.setup.fault_seconds);
        HostWallClock::possibly_wrong(now, fault_seconds, self.injector.variation(host))
    }

    fn producer_config(&self, host: usize) -> ProducerConfig {
        let setup = &self.setup;
        let config = ProducerConfig::new(setup.capabilities(), self.keys.codec_of(host))
            .with_outbox(setup.outbox)
            .with_waiting(setup.waiting)
            .with_posts_in_flight(setup.posts_in_flight);
        if setup.notifier {
            config.with_notifier(shared_channel()).expect("the name is short")
        } else {
            config
        }
    }

    fn worker_config(&self, host: usize) -> WorkerConfig {
        let setup = &self.setup;
        let codec = match self.quiet_phase {
            Some(_) => self.keys.reader().clone(),
            None => self.keys.codec_of(host),
        };
        let mut config = WorkerConfig::new(setup.capabilities(), codec)
            .with_concurrency(setup.concurrency)
            .with_lease(setup.lease())
            .with_backoff(setup.backoff())
            .with_max_deliveries(setup.max_deliveries)
            .with_notice_bytes(setup.notice_bytes);
        config = self.with_tasks(host, config);
        if let Some(times) = setup.max_later {
            config = config.with_max_later(times);
        }
        if setup.presence {
            config = config.with_presence(Presence::identity());
        }
        if setup.notifier { config.with_notifier(shared_channel()) } else { config }
    }

    /// Feeds a process an input and carries out the outputs.
    pub(crate) fn feed(&mut self, who: ProcessId, input: ProcessInput) {
        match &input {
            ProcessInput::Connection(id, input) => {
                return self.connection_input(who, *id, input);
            }
            ProcessInput::SessionTick => return self.tick_session(who),
            _ => {}
        }
        let host = &mut self.hosts[who.host];
        if let ProcessInput::Tick = input {
            // Only the tick that was set last counts.
            if host.tick_at != Some(self.now) {
                return;
            }
            host.tick_at = None;
        }
        match &host.machine {
            Machine::Worker(_) => self.feed_worker(who, input),
            Machine::Producer(_) => self.feed_producer(who, input),
            Machine::NodeWorker | Machine::NodeProducer => {
                self.feed_node(who, input);
            }
            Machine::Down => {}
        }
    }

    fn feed_worker(&mut self, who: ProcessId, input: ProcessInput) {
        let state = self.hosts[who.host].state(self.now);
        let mut input_name = input.name();
        let mut lost = Vec::new();
        let input = match input {
            ProcessInput::Continue => {
                self.hosts[who.host].has_outputs_left = true;
                self.execute_outputs(who, None);
                return;
            }
            ProcessInput::Tick => worker::Input::Tick,
            ProcessInput::Reply(op, reply, granted) => {
                let Some(pending) = self.hosts[who.host].pending.remove(&op) else {
                    return self.return_delivery(who, &reply);
                };
                input_name = reply_name(pending.kind, &reply);
                if let Err(fault) = &reply {
                    self.learn_rate(who, &pending, fault);
                }
                self.checker.arrived(who, receipts(&reply), granted, self.now);
                if let (Some(message), Ok(QueueReply::Released)) = (&pending.releases, &reply) {
                    self.checker.release_confirmed(who, message);
                }
                self.add_cause_to_stale_reply(who, &pending, &reply);
                self.note_leases(who, &pending, &reply);
                worker::Input::Queue(op, reply)
            }
            ProcessInput::ConnectionEnds(number) => {
                lost = self.on_connection_ended(who, number);
                if lost.is_empty() {
                    return;
                }
                worker::Input::LeasesLost(lost.clone())
            }
            ProcessInput::Published(op, reply) => {
                self.hosts[who.host].publishing.remove(&op);
                self.presence.replied(who, op, reply.is_ok());
                worker::Input::Published(op, reply)
            }
            ProcessInput::JobEnds(job, number) => match self.end_job(who, job, number) {
                Some((outcome, is_cancelled)) => {
                    input_name = job_name(&outcome, is_cancelled);
                    worker::Input::Job(job, outcome)
                }
                None => return,
            },
            ProcessInput::Waits(job) => match self.set_waiting(who, job, true) {
                Some(input) => input,
                None => return,
            },
            ProcessInput::Resumes(job) => match self.set_waiting(who, job, false) {
                Some(input) => input,
                None => return,
            },
            ProcessInput::OperatorAction(OperatorAction::Pause) => worker::Input::Pause,
            ProcessInput::OperatorAction(OperatorAction::Resume) => worker::Input::Resume,
            ProcessInput::OperatorAction(OperatorAction::PauseNotifier) => {
                worker::Input::PauseNotifier
            }
            ProcessInput::OperatorAction(OperatorAction::ResumeNotifier) => {
                worker::Input::ResumeNotifier
            }
            ProcessInput::Nudge => {
                let served = self.kinds.first().map(|kind| kind.queue.clone());
                worker::Input::Nudge(served.expect("there is at least one kind of task"))
            }
            ProcessInput::Drain(limit) => {
                self.start_drain_watch(who, limit, Duration::from_secs(1));
                worker::Input::Drain { limit }
            }
            _ => return,
        };
        self.coverage.pair((state, input_name));
        let injected = self.draw_fault(who.host, Opportunity::Step);
        self.trace.mix_name(who, input_name);
        let now = self.now;
        self.trace.note(now, who, || format!("receives {input:?}"));
        let followed = self.follow_wall(who);
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let Machine::Worker(worker) = &mut host.machine else { return };
        let state = match (&input, host.worker_state) {
            (worker::Input::Drain { .. }, _) => WorkerState::Draining,
            (_, WorkerState::Draining) => WorkerState::Draining,
            (worker::Input::Pause, _) => WorkerState::Paused,
            (worker::Input::Resume, _) | (_, WorkerState::New) => WorkerState::Running,
            (_, as_before) => as_before,
        };
        host.worker_state = state;
        match worker.handle_input(input, local) {
            // A process that is late may not have seen yet that it has finished.
            Err(Misuse::Finished) if host.has_outputs_left || followed => {}
            Err(misuse) => {
                return self.checker.broken("S11", || format!("{who:?}: {misuse}"));
            }
            Ok(()) => {}
        }
        if self.execute_outputs(who, injected.as_ref()) {
            self.check_load(who);
            self.check_stopped(who, &lost);
            self.apply_fault(who, injected);
        }
    }

    fn feed_producer(&mut self, who: ProcessId, input: ProcessInput) {
        let state = self.hosts[who.host].state(self.now);
        let mut input_name = input.name();
        let input = match input {
            ProcessInput::Continue => {
                self.hosts[who.host].has_outputs_left = true;
                self.execute_outputs(who, None);
                return;
            }
            ProcessInput::Tick => producer::Input::Tick,
            ProcessInput::Reply(op, reply, _) => {
                let Some(pending) = self.hosts[who.host].pending.remove(&op) else { return };
                input_name = reply_name(pending.kind, &reply);
                if let Err(fault) = &reply {
                    self.learn_rate(who, &pending, fault);
                }
                producer::Input::Queue(op, reply)
            }
            ProcessInput::Subscribed(number) if number == self.hosts[who.host].subscription => {
                producer::Input::Subscribed
            }
            ProcessInput::SubscriptionLost(number, fault)
                if number == self.hosts[who.host].subscription =>
            {
                producer::Input::SubscriptionLost(fault)
            }
            ProcessInput::Notice(number, channel, payload)
                if number == self.hosts[who.host].subscription =>
            {
                let payload = payload.as_str().as_bytes().to_vec();
                producer::Input::Notice { channel, payload }
            }
            ProcessInput::Calls(tasks) => producer::Input::Calls(self.calls_of(who, tasks)),
            ProcessInput::WaitEnds(id) => return self.wait_ended(who, id),
            ProcessInput::Forget(id) => {
                self.hosts[who.host].handles.remove(&id);
                producer::Input::Forget(id)
            }
            ProcessInput::Drain(limit) => {
                self.start_drain_watch(who, limit, Duration::ZERO);
                producer::Input::Drain { limit }
            }
            _ => return,
        };
        self.coverage.pair((state, input_name));
        let injected = self.draw_fault(who.host, Opportunity::Step);
        self.trace.mix_name(who, input_name);
        let now = self.now;
        self.trace.note(now, who, || format!("receives {input:?}"));
        self.learn(&input, who);
        let followed = self.follow_wall(who);
        let host = &mut self.hosts[who.host];
        let local = host.clock.show(now);
        let Machine::Producer(producer) = &mut host.machine else { return };
        match &input {
            producer::Input::Subscribed => host.subscription_state = SubscriptionState::Up,
            producer::Input::SubscriptionLost(_) => {
                host.subscription_state = SubscriptionState::Lost;
            }
            _ => {}
        }
        let called: Vec<_> = match &input {
            producer::Input::Calls(calls) => calls.iter().map(|call| call.id).collect(),
            _ => Vec::new(),
        };
        match producer.handle_input(input, local) {
            // A process that is late may not have seen yet that it has finished. Callers learn that
            // it has stopped.
            Err(Misuse::Finished) if host.has_outputs_left || followed => {
                for id in called {
                    host.calls.remove(&id);
                    host.handles.remove(&id);
                }
            }
            Err(misuse) => {
                return self.checker.broken("S11", || format!("{who:?}: {misuse}"));
            }
            Ok(()) => {}
        }
        if self.execute_outputs(who, injected.as_ref()) {
            self.check_outbox(who);
            self.apply_fault(who, injected);
        }
    }

    fn start_drain_watch(&mut self, who: ProcessId, limit: Duration, grace: Duration) {
        self.checker.add_cause_to_held(who.host, Cause::Shutdown);
        let now = self.now;
        let host = &mut self.hosts[who.host];
        // Timers are at least a millisecond long, and there are two.
        let end = host.clock.show(now) + limit + grace + Duration::from_millis(2);
        host.finish_deadline = Some(host.finish_deadline.unwrap_or(end).min(end));
        let limit = host.clock.show(now) + limit;
        host.drain_limit = Some(host.drain_limit.unwrap_or(limit).min(limit));
    }

    /// What the world learns from a producer's input.
    fn learn(&mut self, input: &producer::Input, who: ProcessId) {
        if let producer::Input::Queue(op, reply) = input {
            let tasks = self.posts.remove(&(who, *op)).unwrap_or_default();
            let is_unknown = |fault: &Fault| fault.effect() == Effect::Unknown;
            for (position, task) in tasks.iter().enumerate() {
                let unknown = match reply {
                    Ok(QueueReply::Posted(entries)) if entries.len() == tasks.len() => {
                        entries[position].as_ref().is_err_and(is_unknown)
                    }
                    Ok(_) => true,
                    Err(fault) => is_unknown(fault),
                };
                self.checker.tasks[*task].unknown += u32::from(unknown);
            }
        }
    }

    /// Records which tasks a producer posts.
    pub(crate) fn note_post(&mut self, who: ProcessId, op_id: OpId, op: &QueueOp) {
        if who.host < self.setup.producers
            && let QueueOp::Post { messages, .. } = op
        {
            let bodies = messages.items().iter();
            let tasks = bodies.filter_map(|message| self.checker.task_of(message.body.as_str()));
            let tasks: Vec<usize> = tasks.collect();
            self.check_posted(&tasks);
            self.posts.insert((who, op_id), tasks);
        }
    }

    pub(crate) fn host(&self, who: ProcessId) -> Option<&Host> {
        self.hosts.get(who.host).filter(|host| host.process == who)
    }
}

//! The world of a run: processes, the broker, the notifier and the network between them, in virtual
//! time that advances from one event to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::broker::{self, Broker, BrokerConfig, RequestId, Response};
use ivy_proto::notify::{NotifyFault, Publication};
use ivy_proto::{Moment, OpId, QueueName, Receipt, TaskId};
use ivy_sim::redis::PubSub;

use crate::clock::Clock;
use crate::coverage::Coverage;
use crate::event_queue::EventQueue;
use crate::fault::{Class, Opportunity};
use crate::fault_injection::{FaultInjector, InjectedFault};
use crate::host::{Host, ProcessInput};
use crate::keys::Keys;
use crate::laws::LawChecker;
use crate::network::{Connections, RecentDeliveries, RequestInTransit};
use crate::presence::Presence;
use crate::rates::RequestRates;
use crate::redis_sessions::{ConnectionDue, Sessions};
use crate::setup::{Kind, Setup, TOKEN, kinds};
use crate::state_coverage::broker_input;
use crate::task::ProcessId;
use crate::trace::Trace;

/// This many events at one instant mean that there is no progress any more.
const MAX_EVENTS_AT_INSTANT: u32 = 20_000;

/// A run of this many events, and this many more for each of its tasks, is in an endless loop.
const MAX_EVENTS: u64 = 1_000_000;
const MAX_EVENTS_PER_TASK: u64 = 100;

/// A scheduled event.
pub(crate) enum Due {
    /// A process receives an input, if it is still that process.
    ProcessInput(ProcessId, ProcessInput),
    /// A request arrives at the broker.
    Request(RequestId),
    /// The broker notices that the client that waits for this request has disconnected.
    Abandon(RequestId),
    /// It notices that a connection has ended.
    ConnectionEnds(ProcessId, u32),
    BrokerTick,
    /// A notice arrives at the notifier.
    Publish {
        who: ProcessId,
        op: Option<OpId>,
        publication: Publication,
        forgotten: bool,
    },
    /// A subscription arrives at the notifier.
    Subscribe {
        who: ProcessId,
        number: u32,
        channels: Vec<ivy_proto::ChannelName>,
    },
    /// A process is started if none runs there.
    Start(usize),
    /// An application schedules these tasks at this host.
    Calls(usize, Vec<usize>),
    /// A message of another program is posted.
    ForeignMessage(usize),
    /// Other programs post a burst of messages that no worker can process.
    Flood,
    /// The fault phase ends.
    QuietPhase,
    /// A healthy task is scheduled to check that workers make progress.
    Probe,
    /// Everything has reached its end.
    Finish,
    /// Something happens to a connection.
    Connection(ConnectionDue),
}

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) keys: Keys,
    pub(crate) now: Moment,
    pub(crate) event_queue: EventQueue<Due>,
    pub(crate) injector: FaultInjector,
    pub(crate) hosts: Vec<Host>,
    pub(crate) broker: Broker,
    pub(crate) broker_clock: Clock,
    pub(crate) broker_tick: Option<Moment>,
    pub(crate) requests: BTreeMap<RequestId, RequestInTransit>,
    pub(crate) last_request_id: u64,
    /// What the broker delivered and what was deleted recently.
    pub(crate) recent_deliveries: RecentDeliveries,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) ironmq: IronMq,
    /// Who is subscribed, and with which of its subscriptions.
    pub(crate) redis: PubSub<(ProcessId, u32)>,
    pub(crate) presence: Presence,
    pub(crate) checker: LawChecker,
    pub(crate) rates: RequestRates,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    pub(crate) quiet_phase: Option<crate::quiet_phase::QuietPhase>,
    /// The numbers of tasks by their ids.
    pub(crate) ids: BTreeMap<TaskId, usize>,
    /// The bodies of other programs' messages that have not been posted yet.
    pub(crate) foreign_bodies: BTreeMap<usize, String>,
    /// The tasks of each post in flight.
    pub(crate) posts: BTreeMap<(ProcessId, OpId), Vec<usize>>,
    /// The latest end of workers' leases, by their own clocks. A worker may hold a message twice if
    /// it does not know that its first lease has ended.
    pub(crate) lease_ends: BTreeMap<(ProcessId, Receipt), Moment>,
    /// How many tasks have not been scheduled yet.
    pub(crate) unscheduled: usize,
    events_at_instant: u32,
}

impl World {
    pub(crate) fn new(setup: Setup) -> World {
        #[cfg(ivy_planted)]
        ivy_redis::planted::begin_counter();
        let hosts: Vec<Host> = (0..setup.hosts()).map(Host::down).collect();
        // After the hosts' streams comes the broker's.
        let injector =
            FaultInjector::new(setup.seed, hosts.len() + 1, &setup.classes, setup.fault_rates);
        let workers = setup.producers..setup.producers + setup.workers;
        let keys = Keys::new(&setup);
        let kinds = kinds(&setup);
        let queues = kinds.iter().map(|kind| kind.queue.clone()).collect();
        let presence = Presence::new(keys.reader().clone());
        let mut checker = LawChecker::new(keys.reader().clone(), queues, workers);
        checker.max_deliveries = setup.max_deliveries;
        checker.max_later = setup.max_later.unwrap_or(0);
        checker.backend = setup.backend;
        checker.wrong_keys = setup.has(Class::Keys);
        let address =
            Address::new(Scheme::Http, "mq.example", "sim").expect("the address is valid");
        let token = Token::new(TOKEN).expect("the token is valid");
        let mut world = World {
            kinds,
            keys,
            now: Moment::EPOCH,
            event_queue: EventQueue::new(),
            injector,
            hosts,
            broker: Broker::new(BrokerConfig::default(), seed_bytes(setup.seed, u64::MAX)),
            broker_clock: Clock::new(Moment::EPOCH, setup.broker_speed),
            broker_tick: None,
            requests: BTreeMap::new(),
            last_request_id: 0,
            recent_deliveries: RecentDeliveries::default(),
            connections: Connections::default(),
            sessions: Sessions::default(),
            ironmq: IronMq::new(&address, token),
            redis: PubSub::default(),
            presence,
            checker,
            rates: RequestRates::default(),
            coverage: Coverage::default(),
            trace: Trace::default(),
            quiet_phase: None,
            ids: BTreeMap::new(),
            foreign_bodies: BTreeMap::new(),
            posts: BTreeMap::new(),
            lease_ends: BTreeMap::new(),
            unscheduled: 0,
            events_at_instant: 0,
            setup,
        };
        for host in 0..world.hosts.len() {
            world.event_queue.add(Moment::EPOCH, Due::Start(host));
        }
        world.schedule_tasks();
        let fault_seconds = Duration::from_secs(world.setup.fault_seconds);
        world.event_queue.add(Moment::EPOCH + fault_seconds, Due::QuietPhase);
        if let Some(flood) = world.setup.flood {
            world.event_queue.add(flood.starts_at(), Due::Flood);
        }
        world
    }

    /// Runs the next event. Returns whether there was one and no law was broken.
    pub(crate) fn step(&mut self) -> bool {
        let Some((at, due)) = self.event_queue.pop() else { return false };
        self.events_at_instant = if at > self.now { 0 } else { self.events_at_instant + 1 };
        self.now = self.now.max(at);
        if self.events_at_instant > MAX_EVENTS_AT_INSTANT + self.setup.tasks as u32 {
            self.checker.broken("S7", || "endless events at one instant".to_owned());
        }
        self.coverage.events += 1;
        let max = MAX_EVENTS + MAX_EVENTS_PER_TASK * self.setup.tasks as u64;
        if self.coverage.events > max {
            self.checker.broken("S7", || "endless events".to_owned());
        }
        self.trace.mix(self.now.as_nanos());
        self.keys.distribute(self.now);
        self.handle_event(due);
        self.checker.breach().is_none()
    }

    fn handle_event(&mut self, due: Due) {
        match due {
            Due::ProcessInput(who, input) => self.handle(who, input),
            Due::Request(id) => self.arrive(id),
            Due::Abandon(id) => {
                // A request in flight arrives all the same.
                if self.requests.get(&id).is_some_and(|sent| sent.arrived) {
                    self.requests.remove(&id);
                    self.feed_broker(broker::Input::Abandon(id));
                }
            }
            Due::ConnectionEnds(who, number) => self.connection_ends(who, number),
            Due::BrokerTick => {
                if self.broker_tick == Some(self.now) {
                    self.broker_tick = None;
                    self.feed_broker(broker::Input::Tick);
                }
            }
            Due::Publish { who, op, publication, forgotten } => {
                self.fan_out(who, op, &publication, forgotten);
            }
            Due::Subscribe { who, number, channels } => {
                let host = &self.hosts[who.host];
                if host.process == who && host.subscription == number {
                    self.redis.subscribe(who.host, (who, number), channels);
                    self.schedule_soon(who, ProcessInput::Subscribed(number));
                }
            }
            Due::Start(host) => self.start(host),
            Due::Calls(host, tasks) => self.call(host, tasks),
            Due::ForeignMessage(number) => self.post_foreign_message(number),
            Due::Flood => self.post_burst(),
            Due::QuietPhase => self.stop_faults(),
            Due::Probe => self.probe(),
            Due::Finish => self.finish(),
            Due::Connection(due) => self.connection_due(due),
        }
    }

    /// Passes an input to a process, now or when it no longer stalls.
    fn handle(&mut self, who: ProcessId, input: ProcessInput) {
        let host = &self.hosts[who.host];
        if host.process != who || !host.is_up() {
            if let ProcessInput::Calls(tasks) = input {
                // The application tries again.
                self.schedule(Duration::from_secs(1), Due::Calls(who.host, tasks));
            }
            return;
        }
        if host.paused_until > self.now {
            let until = host.paused_until;
            if let ProcessInput::Tick = input {
                if host.tick_at != Some(self.now) {
                    return;
                }
                self.hosts[who.host].tick_at = Some(until);
            }
            return self.event_queue.add(until, Due::ProcessInput(who, input));
        }
        self.feed(who, input);
    }

    /// Passes an input to the broker.
    pub(crate) fn feed_broker(&mut self, input: broker::Input) {
        let now = self.broker_clock.show(self.now);
        if let Some(pair) = broker_input(&input) {
            self.coverage.pair(pair);
        }
        if let Err(misuse) = self.broker.handle_input(input, now) {
            self.checker.broken("S11", || misuse.to_string());
        }
        loop {
            match self.broker.poll_output() {
                broker::Output::Response(id, result) => self.on_broker_response(id, result, now),
                broker::Output::Wait(None) => return,
                broker::Output::Wait(Some(deadline)) => {
                    if deadline.at <= now {
                        self.checker.broken("S7", || format!("the broker waits for {deadline:?}"));
                    }
                    let at = self.broker_clock.when(deadline.at);
                    if self.broker_tick.is_none_or(|set| at < set) {
                        self.broker_tick = Some(at);
                        self.event_queue.add(at, Due::BrokerTick);
                    }
                    return;
                }
            }
        }
    }

    /// How many messages a queue contains at the broker.
    pub(crate) fn size_of(&mut self, queue: &QueueName) -> u64 {
        if self.has_sessions() {
            return self.copies_in(queue);
        }
        let now = self.broker_now();
        let query = RequestId(u64::MAX);
        let request = broker::Request::GetQueue { queue: queue.clone() };
        if self.broker.handle_input(broker::Input::Request(query, request), now).is_err() {
            self.checker.broken("S11", || "the broker refused an input".to_owned());
        }
        let mut size = 0;
        while let broker::Output::Response(id, result) = self.broker.poll_output() {
            match result {
                Ok(Response::Queue(info)) if id == query => size = info.size.unwrap_or(0),
                result => self.on_broker_response(id, result, now),
            }
        }
        size
    }

    pub(crate) fn broker_now(&self) -> Moment {
        self.broker_clock.show(self.now)
    }

    /// How long a message between two components is in flight.
    pub(crate) fn latency(&mut self, who: usize) -> Duration {
        Duration::from_micros(500 + self.injector.variation(who).up_to(20_000))
    }

    pub(crate) fn schedule(&mut self, after: Duration, due: Due) {
        self.event_queue.add(self.now + after, due);
    }

    pub(crate) fn schedule_soon(&mut self, who: ProcessId, input: ProcessInput) {
        let latency = self.latency(who.host);
        self.schedule(latency, Due::ProcessInput(who, input));
    }

    pub(crate) fn lose_subscription(&mut self, host: usize, after: Duration, fault: NotifyFault) {
        if let Some((who, number)) = self.redis.disconnect(host) {
            self.schedule(
                after,
                Due::ProcessInput(who, ProcessInput::SubscriptionLost(number, fault)),
            );
        }
    }

    /// Whether a fault occurs here; if so, it is counted.
    pub(crate) fn draw_fault(
        &mut self,
        who: usize,
        opportunity: Opportunity,
    ) -> Option<InjectedFault> {
        let injected = self.injector.draw_fault(who, opportunity)?;
        self.coverage.fault(injected.fault);
        if let Some(host) = self.hosts.get_mut(who) {
            host.had_fault |= injected.fault.delays_settling();
        }
        if let Some(fault) = self.injector.faults.last() {
            let host = self.hosts.get(who).map(|host| host.process);
            self.trace.decide(self.now, host, fault);
        }
        Some(injected)
    }
}

/// The seed of a component, different for each process.
pub(crate) fn seed_bytes(seed: u64, number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes
}

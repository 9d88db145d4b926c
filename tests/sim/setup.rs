//! The settings of a run: everything that is decided before it begins.

use std::time::Duration;

use ivy_proto::queue::{BatchLimits, Capabilities};
use ivy_proto::task::TaskSettings;
use ivy_proto::{Backoff, ChannelName, Priority, QueueName, TaskName};
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::fault::Class;
use crate::fault_injection::{FaultRates, one_in, one_of, stream_of};
use crate::flood::{Flood, FloodKind};
use crate::task::Plan;

/// The stream of the settings, far from those of the components.
const SETTINGS: u64 = 1 << 32;
/// The shared channel.
pub(crate) const SHARED: &str = "ivy-notifier";
/// What wall clocks show when a run begins, unless they are wrong.
pub(crate) const UNIX_AT_START: Duration = Duration::from_secs(1_700_000_000);

/// Passwords and tokens, which must never appear in output.
pub(crate) const TOKEN: &str = "token-8c4f2a";
pub(crate) const PASSWORD: &str = "password-5d1b90";
pub(crate) const WRONG_PASSWORD: &str = "password-e37716";
pub(crate) const SECRETS: [&str; 3] = [TOKEN, PASSWORD, WRONG_PASSWORD];

/// Kinds of servers, in the proportions in which they occur if nothing requires another.
const OFTEN_WITH_RENEWALS: [Backend; 5] = [
    Backend::CountsRenewals,
    Backend::CountsRenewals,
    Backend::CountsRenewals,
    Backend::Connections,
    Backend::ConnectionsWithFlag,
];

/// The kind of world of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// The seed enables or disables each class of faults.
    Swarm,
    /// No faults except that the queue's server is down for some time.
    Outage,
    /// No faults except that other programs post messages that no worker can process.
    Flood,
    /// No faults except that most workers belong to another program.
    Shared,
}

impl Profile {
    pub(crate) const ALL: [Profile; 4] =
        [Profile::Swarm, Profile::Outage, Profile::Flood, Profile::Shared];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Swarm => "swarm",
            Profile::Outage => "outage",
            Profile::Flood => "flood",
            Profile::Shared => "shared",
        }
    }
}

/// How requests to a server that is down fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OutageKind {
    Unreachable,
    /// A proxy responds instead of it; a Redis server is loading its data.
    Unavailable,
    /// A proxy responds instead of it, with a `Retry-After`; a Redis server cannot write to its
    /// disk.
    TooManyRequests,
}

/// A period during which the queue's server is down, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) how: OutageKind,
}

/// The settings of a run. They follow from its seed, and are written out in a regression, so that a
/// change of the code does not change the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) classes: Vec<Class>,
    pub(crate) fault_rates: FaultRates,
    /// How long faults occur, in seconds.
    pub(crate) fault_seconds: u64,
    pub(crate) producers: usize,
    pub(crate) workers: usize,
    pub(crate) node_producers: usize,
    pub(crate) node_workers: usize,
    /// How many of the registered tasks, and with them queues, exist.
    pub(crate) kinds: usize,
    /// How many tasks are scheduled by producers.
    pub(crate) tasks: usize,
    /// How many messages other programs post.
    pub(crate) foreign_messages: usize,
    /// Whether requests and responses travel as bytes.
    pub(crate) as_bytes: bool,
    pub(crate) encrypted: bool,
    pub(crate) long_poll: bool,
    /// The kind of server that the broker simulates.
    pub(crate) backend: Backend,
    pub(crate) notifier: bool,
    pub(crate) lease: u64,
    pub(crate) concurrency: usize,
    pub(crate) max_batch: usize,
    pub(crate) max_deliveries: u32,
    pub(crate) outbox: usize,
    pub(crate) waiting: usize,
    pub(crate) posts_in_flight: usize,
    /// How many bytes of notices a worker stores: at least two of any here.
    pub(crate) notice_bytes: usize,
    /// The longest that a handler takes without faults, in milliseconds.
    pub(crate) handler_millis: u64,
    /// The speed of the broker's clock, in thousandths.
    pub(crate) broker_speed: u64,
    pub(crate) outage: Option<Outage>,
    /// How many of the workers, the last ones, have an older version.
    pub(crate) old_workers: usize,
    /// How many of the workers, the last ones, belong to another program.
    pub(crate) workers_of_another_program: usize,
    /// Whether workers publish presence records.
    pub(crate) presence: bool,
    /// Whether somebody listens to them, during the fault phase.
    pub(crate) watched: bool,
    /// Whether the waits of tasks are measured.
    pub(crate) measured: bool,
    pub(crate) flood: Option<Flood>,
    /// Whether some calls have a time limit.
    pub(crate) limited_calls: bool,
    /// If handlers postpone some tasks: how often a worker lets them.
    pub(crate) max_later: Option<u32>,
    /// What each task does, if that is given.
    pub(crate) plan: Option<Plan>,
}

impl Default for Setup {
    /// One producer, one worker, one task, and no faults.
    fn default() -> Setup {
        Setup {
            seed: 0,
            classes: Vec::new(),
            fault_rates: FaultRates {
                one_request_in: 12,
                one_step_in: 300,
                one_handler_in: 10,
                one_publish_in: 10,
            },
            fault_seconds: 60,
            producers: 1,
            workers: 1,
            node_producers: 0,
            node_workers: 0,
            kinds: 1,
            tasks: 1,
            foreign_messages: 0,
            as_bytes: false,
            encrypted: false,
            long_poll: true,
            backend: Backend::default(),
            notifier: true,
            lease: 30,
            concurrency: 1,
            max_batch: 100,
            max_deliveries: 10,
            outbox: 10_000,
            waiting: 100_000,
            posts_in_flight: 8,
            notice_bytes: 16 << 20,
            handler_millis: 500,
            broker_speed: 1_000,
            outage: None,
            old_workers: 0,
            workers_of_another_program: 0,
            presence: false,
            watched: false,
            measured: false,
            flood: None,
            limited_calls: false,
            max_later: None,
            plan: None,
        }
    }
}

impl Setup {
    /// The settings that follow from a seed.
    pub(crate) fn from_seed(seed: u64, profile: Profile) -> Setup {
        match profile {
            Profile::Swarm => Setup::swarm(seed),
            Profile::Outage => Setup::with_outage(seed),
            Profile::Flood => Setup::with_flood(seed),
            Profile::Shared => Setup::shared(seed),
        }
    }

    /// Valid work that one worker does with ease, and messages of other programs.
    fn with_flood(seed: u64) -> Setup {
        let mut rng = stream_of(seed, SETTINGS + 2);
        let concurrency = one_of(&mut rng, &[1, 2, 4, 10]);
        let from_the_start = one_in(&mut rng, 3);
        let (burst, every_millis) = if from_the_start {
            // One burst that is present when the worker starts, and none later.
            (1_000, 1_000_000)
        } else if concurrency >= 4 {
            one_of(&mut rng, &[(20, 5_000), (100, 5_000), (20, 1_000), (100, 1_000)])
        } else {
            one_of(&mut rng, &[(20, 5_000), (100, 5_000), (20, 1_000)])
        };
        let kind = match one_of(&mut rng, &FloodKind::ALL) {
            // A worker that has not handled any message yet tries few of these in a minute.
            FloodKind::LegacyFrames | FloodKind::Mixed if from_the_start => FloodKind::UnknownKeys,
            kind => kind,
        };
        Setup {
            seed,
            flood: Some(Flood { kind, burst, every_millis, from_the_start }),
            fault_seconds: 120,
            tasks: 300,
            plan: Some(Plan::Succeeds),
            handler_millis: one_of(&mut rng, &[5, 50, 150]),
            encrypted: one_in(&mut rng, 2),
            notifier: false,
            concurrency,
            // A stream of its own, so that the rest of a setup does not depend on it.
            backend: match one_in(&mut stream_of(seed, SETTINGS + 5), 3) {
                true => Backend::Redis,
                false => Backend::default(),
            },
            ..Setup::default()
        }
    }

    /// One worker that knows the task, and several that do not.
    fn shared(seed: u64) -> Setup {
        let mut rng = stream_of(seed, SETTINGS + 3);
        let workers_of_another_program = one_of(&mut rng, &[1, 3, 9]);
        Setup {
            seed,
            workers: 1 + workers_of_another_program,
            workers_of_another_program,
            measured: true,
            fault_seconds: one_of(&mut rng, &[200, 2_000, 10_000]),
            tasks: one_of(&mut rng, &[1, 5, 50, 400]),
            plan: Some(Plan::Succeeds),
            handler_millis: 50,
            notifier: false,
            concurrency: one_of(&mut rng, &[1, 10]),
            ..Setup::default()
        }
    }

    fn with_outage(seed: u64) -> Setup {
        let mut rng = stream_of(seed, SETTINGS + 1);
        let from = 5 + rng.up_to(40);
        let to = from + 30 + rng.up_to(120);
        let all = [OutageKind::Unreachable, OutageKind::Unavailable, OutageKind::TooManyRequests];
        let outage = Some(Outage { from, to, how: one_of(&mut rng, &all) });
        let fault_seconds = to + 20;
        let broker_speed = 1_000;
        let classes = Vec::new();
        Setup {
            classes,
            outage,
            fault_seconds,
            broker_speed,
            foreign_messages: 0,
            ..Setup::swarm(seed)
        }
    }

    fn swarm(seed: u64) -> Setup {
        let mut rng = stream_of(seed, SETTINGS);
        // One run in sixteen has no faults at all.
        let fair = one_in(&mut rng, 16);
        let mut classes = Vec::new();
        for class in Class::ALL {
            if one_in(&mut rng, 2) && !fair {
                classes.push(class);
            }
        }
        let has = |class| classes.contains(&class);
        let fault_rates = FaultRates {
            one_request_in: one_of(&mut rng, &[4, 12, 40, 150]),
            one_step_in: one_of(&mut rng, &[60, 300, 1_500]),
            one_handler_in: one_of(&mut rng, &[3, 10, 40]),
            one_publish_in: one_of(&mut rng, &[2, 10]),
        };
        let tiny = has(Class::Limits);
        let node_peers = one_in(&mut rng, 6);
        let encrypted = has(Class::Keys) || one_in(&mut rng, 12);
        let mut setup = Setup {
            seed,
            fault_rates,
            fault_seconds: one_of(&mut rng, &[20, 60, 180, 400]),
            producers: 1 + rng.up_to(1) as usize,
            workers: 1 + rng.up_to(2) as usize,
            node_producers: usize::from(node_peers && !encrypted),
            node_workers: usize::from(node_peers && !encrypted && one_in(&mut rng, 2)),
            kinds: 1 + rng.up_to(2) as usize,
            tasks: 1 + rng.up_to(15) as usize,
            foreign_messages: if has(Class::Payloads) { 1 + rng.up_to(4) as usize } else { 0 },
            as_bytes: one_in(&mut rng, 2),
            encrypted,
            long_poll: !one_in(&mut rng, 4),
            backend: if one_in(&mut rng, 6) { Backend::Exact } else { Backend::default() },
            notifier: !one_in(&mut rng, 8),
            lease: one_of(&mut rng, &[1, 2, 5, 30, 30, 30, 60]),
            concurrency: if tiny { 1 } else { one_of(&mut rng, &[1, 2, 4, 10]) },
            max_batch: if tiny { one_of(&mut rng, &[1, 2, 3]) } else { 100 },
            max_deliveries: if tiny { 2 } else { one_of(&mut rng, &[3, 6, 10]) },
            outbox: if tiny { one_of(&mut rng, &[1, 3]) } else { 10_000 },
            waiting: if tiny { one_of(&mut rng, &[1, 3]) } else { 100_000 },
            posts_in_flight: if tiny { 1 } else { 8 },
            notice_bytes: if tiny { 2_000 } else { 16 << 20 },
            handler_millis: one_of(&mut rng, &[20, 500, 5_000]),
            broker_speed: if has(Class::Leases) {
                one_of(&mut rng, &[1_000, 1_200])
            } else {
                1_000
            },
            classes,
            ..Setup::default()
        };
        let takes_late_receipts = one_in(&mut rng, 5);
        setup.backend = match setup.backend {
            Backend::Exact if one_in(&mut rng, 3) => Backend::ExactSucceeding,
            // Peers of the Node package support only IronMQ.
            Backend::CountsRenewals if setup.node_producers > 0 => Backend::CountsRenewals,
            Backend::CountsRenewals if takes_late_receipts => Backend::LateReceipts,
            Backend::CountsRenewals => one_of(&mut rng, &OFTEN_WITH_RENEWALS),
            backend => backend,
        };
        // A stream of its own, so that other setups do not change.
        let mut rng = stream_of(seed, SETTINGS + 4);
        if setup.node_producers == 0 && one_in(&mut rng, 4) {
            setup.backend = Backend::Redis;
            if !fair && one_in(&mut rng, 2) {
                setup.classes.push(Class::Server);
            }
        }
        let mut rng = stream_of(seed, SETTINGS + 5);
        setup.presence = one_in(&mut rng, 2);
        setup.watched = one_in(&mut rng, 2);
        let mut rng = stream_of(seed, SETTINGS + 6);
        if one_in(&mut rng, 3) {
            setup.max_later = Some(one_of(&mut rng, &[0, 1, 3, 1_000]));
        }
        setup.limited_calls = one_in(&mut stream_of(seed, SETTINGS + 7), 3);
        if setup.has(Class::Deployments) {
            match seed % 3 {
                0 => setup.workers_of_another_program = 1,
                _ => setup.old_workers = 1,
            }
        }
        setup
    }

    /// What is checked after the fault phase.
    pub(crate) fn profile(&self) -> Profile {
        match (&self.outage, &self.flood) {
            (Some(_), _) => Profile::Outage,
            (None, Some(_)) => Profile::Flood,
            (None, None) if self.measured => Profile::Shared,
            (None, None) => Profile::Swarm,
        }
    }

    /// Whether requests and responses travel as bytes.
    pub(crate) fn travels_as_bytes(&self) -> bool {
        self.as_bytes && self.backend.has_bytes()
    }

    pub(crate) fn has(&self, class: Class) -> bool {
        self.classes.contains(&class)
    }

    pub(crate) fn hosts(&self) -> usize {
        self.producers + self.workers + self.node_producers + self.node_workers
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease)
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.backend.capabilities();
        if !self.long_poll {
            capabilities = capabilities.without_long_poll();
        }
        capabilities.batch = BatchLimits::same(self.max_batch);
        if self.has(Class::Limits) {
            capabilities.max_request = 600;
        }
        capabilities
    }

    /// How long a failed task waits at most.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_secs(1), 2, Duration::from_secs(20))
    }
}

/// A task that every worker has a handler for.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: TaskName,
    pub(crate) settings: TaskSettings,
    /// The physical queue.
    pub(crate) queue: QueueName,
}

/// The registered tasks: a plain one, an urgent one in the same queue, and one in a queue of its
/// own with its own time limit and lease.
pub(crate) fn kinds(setup: &Setup) -> Vec<Kind> {
    let queue = |name| QueueName::new(name).expect("the name is valid");
    let mut plain = TaskSettings::in_queue(queue("plain"));
    plain.max_retries = 2;
    let mut urgent = TaskSettings::in_queue(queue("plain"));
    urgent.priority = Priority::HIGHEST;
    urgent.max_retries = 1;
    let mut limited = TaskSettings::in_queue(queue("limited"));
    limited.time_limit = Some(Duration::from_secs(8));
    limited.reserve_time = Some(Duration::from_secs(20));
    let all = [("sim.plain", plain), ("sim.limited", limited), ("sim.urgent", urgent)];
    let kinds = all.into_iter().take(setup.kinds).map(|(name, settings)| Kind {
        name: TaskName::new(name).expect("the name is valid"),
        queue: settings.physical_queue().expect("the name is short"),
        settings,
    });
    kinds.collect()
}

pub(crate) fn shared_channel() -> ChannelName {
    ChannelName::new(SHARED).expect("the name is valid")
}

use std::sync::Arc;
use std::time::Duration;

use ivy_proto::queue::{Body, FaultKind, QueueInfo};
use ivy_proto::task::Task;
use ivy_proto::wire::{Content, DeadLetter};
use ivy_proto::{Backoff, Cause};
use ivy_test_kit::{FaultyProxy, IvyServer, RedisServer};

use crate::harness::{Builder, Failure, Harness, HarnessConfig};
use crate::helpers::eventually_eq;
use crate::pairs::{Outside, Pair};
use crate::runtime::wait;
use crate::servers::Servers;
use crate::watch::Watch;

/// The lease of all workers: short, so that a crash or a lost lease costs little time.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The backoff of failed tasks: so short that any longer delay is the queue's rounding.
pub(crate) const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(20), 2, Duration::from_millis(200));

pub(crate) type WorkerOf<H> = <<H as Harness>::Builder as Builder>::Worker;

/// The setting of one scenario: its own ivy, with its own queue and channel, on servers that others
/// use at the same time.
pub(crate) struct Fixture<H> {
    /// The name of the scenario's queue and channel.
    pub(crate) name: &'static str,
    pub(crate) ivy: H,
    pair: &'static Pair,
    servers: Arc<Servers>,
    config: HarnessConfig,
}

impl<H: Harness> Fixture<H> {
    pub(crate) fn new(name: &'static str, pair: &'static Pair, servers: Arc<Servers>) -> Self {
        let config = HarnessConfig {
            queue: (pair.queue.start)(&servers),
            notifier: (pair.notifier.start)(&servers),
            channel: name.to_owned(),
            encryption_password: None,
            encryption: None,
            root_certificates: None,
            node_peers: true,
            within: None,
        };
        let ivy = H::connect(&config).expect("the place is valid");
        Fixture { name, ivy, pair, servers, config }
    }

    /// The task, on the scenario's own queue.
    pub(crate) fn own<Args, Output>(&self, task: Task<Args, Output>) -> Task<Args, Output> {
        task.queue(self.name)
    }

    /// The fixture with another ivy, connected to a changed place, or to the same place as another
    /// process would.
    pub(crate) fn at(&self, change: impl FnOnce(&mut HarnessConfig)) -> Self {
        let mut config = self.config.clone();
        change(&mut config);
        let ivy = H::connect(&config).expect("the place is valid");
        Fixture { ivy, config, servers: Arc::clone(&self.servers), ..*self }
    }

    /// The fixture with another ivy, whose requests to the queue go through a proxy that can inject
    /// faults.
    pub(crate) fn behind_proxy(&self) -> (Self, FaultyProxy) {
        let proxy = wait(FaultyProxy::start(self.ironmq().port()));
        let fixture = self.at(|config| config.queue = self.ironmq().url_at(proxy.port()));
        (fixture, proxy)
    }

    /// What the fixture's ivy is connected to.
    pub(crate) fn config(&self) -> &HarnessConfig {
        &self.config
    }

    /// A builder of a worker of the fixture's ivy with short times, for more settings and handlers.
    pub(crate) fn worker(&self) -> H::Builder {
        self.ivy.worker().lease(LEASE).backoff(BACKOFF).drain_limit(Duration::from_secs(1))
    }

    /// A worker that serves only this task, which doubles.
    pub(crate) fn doubling(&self, task: &Task<(u64,), u64>) -> WorkerOf<H> {
        self.worker().register(task, |_, (n,)| Ok(2 * n)).start().expect("a valid task")
    }

    /// Such a worker that publishes nothing but notices.
    pub(crate) fn doubling_without_presence(&self, task: &Task<(u64,), u64>) -> WorkerOf<H> {
        let worker = self.worker().presence(false);
        worker.register(task, |_, (n,)| Ok(2 * n)).start().expect("a valid task")
    }

    /// The events of the scenario's ivy from now on.
    pub(crate) fn watch(&self) -> Watch {
        Watch::new(self.ivy.events())
    }

    /// How many messages a queue contains, in any state.
    pub(crate) fn size(&self, queue: &str) -> u64 {
        match &self.pair.queue.outside {
            Some(outside) => (outside.size)(&self.servers, queue),
            None => self.memory_queue(queue, |info| info.size),
        }
    }

    /// Waits until every message of the scenario's queue is done and none was dead-lettered.
    pub(crate) fn until_empty(&self) {
        eventually_eq(0, || self.size(self.name));
        assert_eq!(self.dead_letters(), []);
    }

    /// How many messages were ever posted to a queue.
    pub(crate) fn posted(&self, queue: &str) -> u64 {
        match &self.pair.queue.outside {
            Some(outside) => {
                let posted =
                    outside.posted.expect("the scenario is left out if the server does not count");
                posted(&self.servers, queue)
            }
            None => self.memory_queue(queue, |info| info.total_messages),
        }
    }

    /// The contents of the scenario's dead-letter queue.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        let queue = format!("{}.dead", self.name);
        if self.size(&queue) == 0 {
            return Vec::new();
        }
        if self.pair.queue.outside.is_some() {
            let letters =
                self.bodies(&queue).into_iter().map(|body| DeadLetter::parse(&Body::new(body)));
            return letters.collect::<Result<_, _>>().expect("dead letters, and nothing else");
        }
        let contents = self.ivy.peek(&queue).expect("a queue that exists is shown");
        let letters = contents.into_iter().map(|content| match content {
            Content::DeadLetter { letter, .. } => letter,
            content => panic!("among the dead letters: {content:?}"),
        });
        letters.collect()
    }

    /// The bodies of a queue's ready messages, unparsed.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        (self.outside().peek)(&self.servers, queue)
    }

    /// Posts a message as another program would.
    pub(crate) fn post(&self, body: &str) {
        (self.outside().post)(&self.servers, self.name, body);
    }

    /// Delivers the first message of the scenario's queue so often to workers that crash.
    pub(crate) fn deliver_without_delete(&self, times: u8) {
        (self.outside().deliver_without_delete)(&self.servers, self.name, times);
    }

    /// The port that the queue's server listens on.
    pub(crate) fn queue_port(&self) -> u16 {
        (self.outside().port)(&self.servers)
    }

    /// The URL of the queue over TLS, at this host and port.
    pub(crate) fn queue_over_tls_at(&self, host: &str, port: u16) -> String {
        (self.outside().tls_url_at)(&self.servers, host, port)
    }

    fn outside(&self) -> &'static Outside {
        self.pair
            .queue
            .outside
            .as_ref()
            .expect("the scenario is left out if only ivy reaches the queue")
    }

    pub(crate) fn ironmq(&self) -> &IvyServer {
        self.servers.ironmq()
    }

    pub(crate) fn redis(&self) -> &RedisServer {
        self.servers.redis()
    }

    fn memory_queue(&self, queue: &str, number: impl Fn(&QueueInfo) -> Option<u64>) -> u64 {
        match self.ivy.info(queue) {
            Ok(info) => number(&info).expect("a memory queue counts its messages"),
            Err(error) => match error.cause() {
                Cause::Queue(fault) if fault.kind() == FaultKind::NoQueue => 0,
                _ => panic!("{error}"),
            },
        }
    }
}

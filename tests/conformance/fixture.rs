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

/// The lease of all workers: a crash or a lost lease is over soon.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// How long failed tasks wait: so short that whatever they wait longer is the queue's rounding.
pub(crate) const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(20), 2, Duration::from_millis(200));

/// The worker of an adapter.
pub(crate) type WorkerOf<H> = <<H as Harness>::Builder as Builder>::Worker;

/// Where one scenario plays: an ivy of its own, on a queue and a channel of its own, on servers
/// that others use at the same time.
pub(crate) struct Fixture<H> {
    /// The scenario's queue and channel.
    pub(crate) name: &'static str,
    pub(crate) ivy: H,
    pair: &'static Pair,
    servers: Arc<Servers>,
    place: HarnessConfig,
}

impl<H: Harness> Fixture<H> {
    pub(crate) fn new(name: &'static str, pair: &'static Pair, servers: Arc<Servers>) -> Self {
        let place = HarnessConfig {
            queue: (pair.queue.start)(&servers),
            notifier: (pair.notifier.start)(&servers),
            channel: name.to_owned(),
            encryption_key: None,
            encryption: None,
            root_certificates: None,
            node_peers: true,
        };
        let ivy = H::connect(&place).expect("the place is one");
        Fixture { name, ivy, pair, servers, place }
    }

    /// The task, on the scenario's own queue.
    pub(crate) fn own<Args, Output>(&self, task: Task<Args, Output>) -> Task<Args, Output> {
        task.queue(self.name)
    }

    /// The stage with another ivy, at a place that differs from the usual one, or as another process
    /// has it at the same place.
    pub(crate) fn at(&self, change: impl FnOnce(&mut HarnessConfig)) -> Self {
        let mut place = self.place.clone();
        change(&mut place);
        let ivy = H::connect(&place).expect("the place is one");
        Fixture { ivy, place, servers: Arc::clone(&self.servers), ..*self }
    }

    /// The stage with another ivy, whose requests to the queue go through a proxy, which lets things
    /// go wrong.
    pub(crate) fn behind_proxy(&self) -> (Self, FaultyProxy) {
        let proxy = wait(FaultyProxy::start(self.ironmq().port()));
        let fixture = self.at(|place| place.queue = self.ironmq().url_at(proxy.port()));
        (fixture, proxy)
    }

    /// Where the stage's ivy is connected to.
    pub(crate) fn place(&self) -> &HarnessConfig {
        &self.place
    }

    /// A worker of the stage's ivy, with short times, for more settings and handlers.
    pub(crate) fn worker(&self) -> H::Builder {
        self.ivy.worker().lease(LEASE).backoff(BACKOFF).drain_limit(Duration::from_secs(1))
    }

    /// A worker that serves the one task, and doubles.
    pub(crate) fn doubling(&self, task: &Task<(u64,), u64>) -> WorkerOf<H> {
        self.worker().register(task, |_, (n,)| Ok(2 * n)).start().expect("a good task")
    }

    /// What happens in the scenario's ivy from now on.
    pub(crate) fn watch(&self) -> Watch {
        Watch::new(self.ivy.events())
    }

    /// How many messages a queue holds, in whatever state.
    pub(crate) fn size(&self, queue: &str) -> u64 {
        match &self.pair.queue.outside {
            Some(outside) => (outside.size)(&self.servers, queue),
            None => self.memory_queue(queue, |info| info.size),
        }
    }

    /// Waits until everything on the scenario's queue is done, and nothing was put aside.
    pub(crate) fn until_empty(&self) {
        eventually_eq(0, || self.size(self.name));
        assert_eq!(self.dead_letters(), []);
    }

    /// How many messages were ever posted to a queue.
    pub(crate) fn posted(&self, queue: &str) -> u64 {
        match &self.pair.queue.outside {
            Some(outside) => (outside.posted)(&self.servers, queue),
            None => self.memory_queue(queue, |info| info.total_messages),
        }
    }

    /// What the scenario's dead-letter queue keeps.
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

    /// The bodies of the messages that wait in a queue, as they stand there.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        (self.outside().peek)(&self.servers, queue)
    }

    /// Posts a message as somebody else writes it.
    pub(crate) fn post(&self, body: &str) {
        (self.outside().post)(&self.servers, self.name, body);
    }

    fn outside(&self) -> &'static Outside {
        self.pair.queue.outside.as_ref().expect("the scenario is left out where nobody reaches it")
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

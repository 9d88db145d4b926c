//! What an [`Ivy`](crate::Ivy) in memory consists of, and which Ivys share it.
//!
//! `memory://` is private to one Ivy and its clones. `memory://NAME` is shared by all Ivys of a
//! process whose runtime is the same: the broker runs on the clock of its runtime and is woken by a
//! task in it, so another runtime, whose time may be paused, has a memory of its own under the same
//! name. A memory lives as long as an Ivy that uses it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use ivy_proto::ChannelName;
use ivy_proto::backend::{Notifier, SubscriptionEvent};
use ivy_proto::broker::{Broker, BrokerConfig};
use ivy_proto::config::MemoryName;
use ivy_proto::notify::{NotifyFault, Publication};

use crate::clock::Clock;
use crate::fork_check::Process;
use crate::locked_machine::LockedMachine;
use crate::memory_notifier::MemoryNotifier;
use crate::runtime::Runtime;
use crate::served_queues::ServedQueues;

/// A memory. Clones are the same one.
pub(crate) enum Memory<R> {
    Private(Arc<Contents<R>>),
    Shared(Arc<Membership<R>>),
}

/// What is in a memory.
pub(crate) struct Contents<R> {
    clock: Clock<R>,
    seed: [u8; 32],
    /// Created by the first request, which is the first to need a runtime. `None` if the runtime
    /// cannot keep time.
    broker: OnceLock<Option<SharedBroker<R>>>,
    notifier: MemoryNotifier,
    served: ServedQueues,
}

pub(crate) type SharedBroker<R> = Arc<LockedMachine<R, Broker>>;

/// The use of a shared memory by one Ivy and its clones.
pub(crate) struct Membership<R> {
    name: MemoryName,
    seed: [u8; 32],
    /// The memory of the runtime that the Ivy was created in, so that it exists before the first
    /// request.
    _created_in: Option<Arc<Contents<R>>>,
    /// The memory of the runtime of the first request.
    joined: OnceLock<Arc<Contents<R>>>,
}

impl<R: Runtime> Memory<R> {
    pub(crate) fn private(clock: Clock<R>, seed: [u8; 32]) -> Self {
        Memory::Private(Arc::new(Contents::new(clock, seed, ServedQueues::default())))
    }

    /// The memory of this name. `seed` is used if this is the first use of the name.
    pub(crate) fn shared(name: MemoryName, seed: [u8; 32]) -> Self {
        let created_in = R::instance().map(|instance| join(&name, seed, instance));
        let joined = OnceLock::new();
        Memory::Shared(Arc::new(Membership { name, seed, _created_in: created_in, joined }))
    }

    fn contents(&self) -> &Arc<Contents<R>> {
        match self {
            Memory::Private(contents) => contents,
            Memory::Shared(membership) => membership.joined.get_or_init(|| {
                let instance = R::instance().unwrap_or_default();
                join(&membership.name, membership.seed, instance)
            }),
        }
    }

    pub(crate) fn broker(&self) -> Option<SharedBroker<R>> {
        let contents = self.contents();
        contents.broker.get_or_init(|| contents.start()).clone()
    }

    pub(crate) fn served(&self) -> ServedQueues {
        self.contents().served.clone()
    }

    #[cfg(test)]
    pub(crate) fn clock(&self) -> Clock<R> {
        self.contents().clock
    }
}

impl<R: Runtime> Contents<R> {
    fn new(clock: Clock<R>, seed: [u8; 32], served: ServedQueues) -> Self {
        let notifier = MemoryNotifier::default();
        Contents { clock, seed, broker: OnceLock::new(), notifier, served }
    }

    fn start(&self) -> Option<SharedBroker<R>> {
        let broker = Broker::new(BrokerConfig::default(), self.seed);
        LockedMachine::with_clock("ivy-memory", broker, self.clock)
            .inspect_err(|error| {
                tracing::error!(%error, "cannot start the queue in memory");
            })
            .ok()
    }
}

/// Identifies a shared memory.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: MemoryName,
    runtime: TypeId,
    /// Which of the runtimes of this type.
    instance: u64,
    /// A forked process has the memory of its parent, without the threads that wake it.
    process: Process,
}

/// The shared memories in use.
static MEMORIES: Mutex<BTreeMap<Key, Weak<dyn Any + Send + Sync>>> = Mutex::new(BTreeMap::new());

/// The contents of a shared memory in this instance of the runtime.
fn join<R: Runtime>(name: &MemoryName, seed: [u8; 32], instance: u64) -> Arc<Contents<R>> {
    let (name, runtime, process) = (name.clone(), TypeId::of::<R>(), Process::current());
    let key = Key { name, runtime, instance, process };
    // No code that can panic runs while the lock is held.
    let mut memories = MEMORIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(used) = memories.get(&key).and_then(Weak::upgrade)
        && let Ok(contents) = used.downcast::<Contents<R>>()
    {
        return contents;
    }
    memories.retain(|_, memory| memory.strong_count() > 0);
    let contents = Arc::new(Contents::new(Clock::<R>::start(), seed, ServedQueues::shared()));
    let used: Arc<dyn Any + Send + Sync> = Arc::clone(&contents) as _;
    memories.insert(key, Arc::downgrade(&used));
    contents
}

impl<R> Clone for Memory<R> {
    fn clone(&self) -> Self {
        match self {
            Memory::Private(contents) => Memory::Private(Arc::clone(contents)),
            Memory::Shared(membership) => Memory::Shared(Arc::clone(membership)),
        }
    }
}

impl<R: Runtime> Notifier for Memory<R> {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        Notifier::publish(&self.contents().notifier, publication)
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, SubscriptionEvent> {
        Notifier::subscribe(&self.contents().notifier, channels)
    }
}

impl<R> fmt::Debug for Memory<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Private(_) => f.write_str("Memory"),
            Memory::Shared(membership) => f.debug_tuple("Memory").field(&membership.name).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ivy_proto::ErrorKind;
    use ivy_proto::config::{Config, Environment, QueueConfig};
    use ivy_proto::task::{QueuePlace, Task};
    use tokio::runtime::{Builder, Runtime as TokioRuntime};

    use super::*;
    use crate::ivy::Ivy;
    use crate::testing::Tokio;

    const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
    const SOON: Duration = Duration::from_secs(60);

    fn ivy(url: &str) -> Ivy<Tokio> {
        Ivy::builder().queue_url(url).build().unwrap()
    }

    async fn size(ivy: &Ivy<Tokio>) -> Option<u64> {
        ivy.admin().info("test").await.ok()?.size
    }

    fn paused() -> TokioRuntime {
        Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_memory_lives_as_long_as_an_ivy_of_its_name() {
        let keeper = ivy("memory://lives");
        ivy("memory://lives").send(&DOUBLE, (1,)).await.unwrap();
        assert_eq!(size(&ivy("memory://LIVES")).await, Some(1));
        drop(keeper);
        // The producer of the send ends after its mailbox is closed.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(size(&ivy("memory://lives")).await, None);
    }

    #[test]
    fn each_runtime_has_a_memory_of_its_own_under_one_name() {
        let (one, other) = (paused(), paused());
        let ivies = [&one, &other].map(|runtime| {
            let _inside = runtime.enter();
            ivy("memory://runtimes")
        });
        one.block_on(async { ivies[0].send(&DOUBLE, (1,)).await.unwrap() });
        assert_eq!(one.block_on(size(&ivies[0])), Some(1));
        assert_eq!(other.block_on(size(&ivies[1])), None);
        let error = other.block_on(async {
            let handle = ivies[1].call(&DOUBLE, (1,)).await.unwrap();
            handle.result(SOON).await.unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let place = error.timed_out().unwrap().place();
        assert_eq!(place, QueuePlace::SharedMemory { is_served: false });
    }

    #[test]
    fn an_ivy_created_outside_joins_the_memory_of_the_runtime_that_uses_it() {
        let outside = ivy("memory://outside");
        let runtime = paused();
        let inside = runtime.block_on(async { ivy("memory://outside") });
        runtime.block_on(async { outside.send(&DOUBLE, (1,)).await.unwrap() });
        assert_eq!(runtime.block_on(size(&inside)), Some(1));
    }

    #[tokio::test]
    async fn memories_that_are_no_longer_used_are_forgotten() {
        let name = |n: u32| {
            let url = format!("memory://forgotten-{n}");
            let config = Config::builder().queue_url(url).resolve(&Environment::empty()).unwrap();
            match config.queue {
                Some(QueueConfig::SharedMemory(name)) => name,
                other => panic!("{other:?}"),
            }
        };
        for n in 0..10 {
            drop(Memory::<Tokio>::shared(name(n), [1; 32]));
        }
        let memories = MEMORIES.lock().unwrap();
        let forgotten = memories.keys().filter(|key| key.name.as_str().starts_with("forgotten-"));
        assert!(forgotten.count() <= 1);
    }
}

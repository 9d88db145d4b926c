//! Creates the backends of a configuration.

use std::sync::Arc;

use ivy_proto::backend::{Notifier, NotifierImpl, Queue, QueueImpl, SessionFactory};
use ivy_proto::config::{NotifierConfig, QueueConfig};

use crate::clock::Clock;
use crate::error::Error;
use crate::events::EventSink;
use crate::guarded_backend::{GuardedNotifier, GuardedQueue};
use crate::memory::Memory;
use crate::memory_notifier::MemoryNotifier;
use crate::memory_queue::MemoryQueue;
use crate::random::random;
use crate::remote::{ExchangeQueue, SessionBackend, SessionQueue};
use crate::runtime::Runtime;
use crate::tls::OwnRoots;

/// A variant that the core knows and this crate does not.
const NOT_BUILT_IN: &str = "this kind of backend is not built in";

/// The HTTP client may be missing if a custom backend needs it.
const NO_HTTP: &str =
    "the queue is reached over HTTP, and no HTTP client is compiled in; turn on the feature `http`";
/// What backends are created with.
pub(super) struct BackendFactory<R> {
    clock: Clock<R>,
    roots: OwnRoots,
    events: EventSink,
    /// The sessions of the queue, which the notifier may share.
    queue_session: Option<(SessionFactory, SessionBackend<R>)>,
    /// The memory of the queue, if it is in memory.
    memory: Option<Memory<R>>,
}

impl<R: Runtime> BackendFactory<R> {
    pub(super) fn new(clock: Clock<R>, roots: OwnRoots, events: EventSink) -> Self {
        BackendFactory { clock, roots, events, queue_session: None, memory: None }
    }

    /// The memory of the queue, if it is in memory.
    pub(super) fn memory(&self) -> Option<Memory<R>> {
        self.memory.clone()
    }

    pub(super) fn queue(&mut self, named: &QueueConfig) -> Result<Arc<dyn Queue>, Error<R>> {
        Ok(match named {
            QueueConfig::Memory => self.in_memory(Memory::private(self.clock, random()?)),
            QueueConfig::SharedMemory(name) => {
                self.in_memory(Memory::shared(name.clone(), random()?))
            }
            QueueConfig::Backend(backend) => match backend.implementation() {
                QueueImpl::Exchange(exchange) => {
                    let tls = exchange.is_secure().then(|| self.roots.with_public_roots());
                    let client = R::http(tls.transpose().map_err(Error::config)?);
                    let client = client.ok_or_else(|| Error::config(NO_HTTP))?;
                    let exchange = Arc::clone(exchange);
                    Arc::new(ExchangeQueue::<R>::new(client, exchange, self.events.clone()))
                }
                QueueImpl::Session(sessions, capabilities) => {
                    let session = self.session(sessions)?;
                    self.queue_session = Some((sessions.clone(), session.clone()));
                    let queue = SessionQueue::new(session, (**capabilities).clone());
                    Arc::new(GuardedQueue::<R>::new(Arc::new(queue)))
                }
                QueueImpl::Queue(queue) => Arc::new(GuardedQueue::<R>::new(Arc::clone(queue))),
                _ => return Err(Error::config(NOT_BUILT_IN)),
            },
            _ => return Err(Error::config(NOT_BUILT_IN)),
        })
    }

    /// The notifier. If its sessions are those of the queue, they share their connections.
    pub(super) fn notifier(&self, named: &NotifierConfig) -> Result<Arc<dyn Notifier>, Error<R>> {
        Ok(match named {
            NotifierConfig::Memory => Arc::new(MemoryNotifier::default()),
            NotifierConfig::SharedMemory(name) => {
                Arc::new(Memory::<R>::shared(name.clone(), random()?))
            }
            NotifierConfig::Backend(backend) => match backend.implementation() {
                NotifierImpl::Session(sessions) => match &self.queue_session {
                    Some((factory, session)) if factory == sessions => Arc::new(session.clone()),
                    _ => Arc::new(self.session(sessions)?),
                },
                NotifierImpl::Notifier(notifier) => {
                    Arc::new(GuardedNotifier::<R>::new(Arc::clone(notifier)))
                }
                _ => return Err(Error::config(NOT_BUILT_IN)),
            },
            _ => return Err(Error::config(NOT_BUILT_IN)),
        })
    }

    fn in_memory(&mut self, memory: Memory<R>) -> Arc<dyn Queue> {
        self.memory = Some(memory.clone());
        Arc::new(MemoryQueue::of(memory))
    }

    fn session(&self, sessions: &SessionFactory) -> Result<SessionBackend<R>, Error<R>> {
        let tls = sessions.is_secure().then(|| self.roots.with_system_roots()).transpose();
        let tls = tls.map_err(Error::config)?;
        let sessions = sessions.clone();
        let make = move |start| sessions.make(start);
        Ok(SessionBackend::new(make, tls, self.clock, self.events.clone()))
    }
}

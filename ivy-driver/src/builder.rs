//! The builder of an [`Ivy`]: its queue, notifier, keys and options.

mod backend_factory;

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ivy_proto::Secret;
use ivy_proto::backend::{CUSTOM, Notifier, Plug, Queue};
use ivy_proto::config::{ConfigBuilder, NotifierConfig, QueueConfig};
use ivy_proto::metrics::Backends;
use ivy_proto::task::discard_panic;
use ivy_proto::wire::crypto::Encryption;
use ivy_proto::worker::TraceRelation;

use crate::built_in;
use crate::clock::Clock;
use crate::environment::environment;
use crate::error::Error;
use crate::events::EventSink;
use crate::guarded_backend::{GuardedNotifier, GuardedQueue};
use crate::ivy::{Addresses, Ivy, Parts};
use crate::runtime::Runtime;
use crate::tls::{self, OwnRoots};
use crate::trace::{Propagation, Tracer};

use backend_factory::BackendFactory;

/// Configures an [`Ivy`]: its queue, notifier, keys and options. Created by [`Ivy::builder`].
///
/// Anything not set is read from the environment, as described at [`Ivy::from_env`]. Errors are
/// reported by [`build`](IvyBuilder::build).
#[must_use = "a builder does nothing until `build` is called"]
pub struct IvyBuilder<R> {
    config: ConfigBuilder,
    custom_queue: Option<Arc<dyn Queue>>,
    custom_notifier: Option<Arc<dyn Notifier>>,
    node_compatible: bool,
    node_peers: bool,
    within: Option<Duration>,
    propagation: Option<Arc<dyn Propagation>>,
    trace_relation: TraceRelation,
    roots: OwnRoots,
    bad_roots: bool,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Ivy<R> {
    /// Starts to configure an ivy.
    pub fn builder() -> IvyBuilder<R> {
        IvyBuilder::new()
    }

    /// Uses the queue at this URL (see [`IvyBuilder::queue_url`]) and reads everything else from
    /// the environment.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the URL or a setting in the environment is invalid.
    pub fn connect(queue_url: &str) -> Result<Self, Error<R>> {
        Ivy::builder().queue_url(queue_url).build()
    }

    /// Reads everything from the environment:
    ///
    /// * the queue from `IVY_QUEUE_URL`, or a token and project from the places that IronMQ's
    ///   clients use: `IRON_MQ_TOKEN` and the like, `iron.json`, `~/.iron.json`;
    /// * the notifier from `IVY_NOTIFIER_URL`; otherwise it is the server of the queue, if that is
    ///   Redis, or the one in `REDIS_URL`;
    /// * the channel from `IVY_NOTIFICATION_CHANNEL_NAME`;
    /// * the encryption password from `MESSAGES_ENCRYPTION_KEY`;
    /// * the keyset from `IVY_KEYSET`: its JSON, or the path of a file that only its owner may
    ///   read.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a setting is invalid or no queue is configured.
    pub fn from_env() -> Result<Self, Error<R>> {
        Ivy::builder().build()
    }
}

impl<R: Runtime> IvyBuilder<R> {
    pub(crate) fn new() -> Self {
        IvyBuilder {
            config: built_in::configuration(),
            custom_queue: None,
            custom_notifier: None,
            node_compatible: false,
            node_peers: true,
            within: None,
            propagation: None,
            trace_relation: TraceRelation::default(),
            roots: OwnRoots::default(),
            bad_roots: false,
            runtime: PhantomData,
        }
    }

    /// The queue: `memory://`, which is private to this [`Ivy`] and its clones; `memory://NAME`, which all
    /// ivies of this process with the same name and runtime share, for as long as there is one;
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=PREFIX]`, or
    /// `rediss://` for the same over TLS; or `ironmq://TOKEN@HOST[:PORT][/PREFIX]/PROJECT_ID`, or the
    /// same with `ironmq+http://` for a server without TLS, such as `ivy serve`. If neither the URL
    /// nor the environment names a host, IronMQ's own is used, `mq-aws-us-east-1-1.iron.io`.
    pub fn queue_url(mut self, url: &str) -> Self {
        self.config = self.config.queue_url(url);
        self
    }

    /// The notifier, which carries results to their callers:
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, `rediss://` for the same over TLS, `memory://` or
    /// `memory://NAME`.
    pub fn notifier_url(mut self, url: &str) -> Self {
        self.config = self.config.notifier_url(url);
        self
    }

    /// Adds a backend: its URLs are accepted by [`queue_url`](IvyBuilder::queue_url), by
    /// [`notifier_url`](IvyBuilder::notifier_url) and in the environment. Its schemes override
    /// those of the backends added before it.
    pub fn backend(mut self, plug: Plug) -> Self {
        self.config = self.config.backend(plug);
        self
    }

    /// Uses this queue instead of one named by a URL or the environment.
    ///
    /// The notifier is the one set by [`notifier`](IvyBuilder::notifier) or
    /// [`notifier_url`](IvyBuilder::notifier_url), or named by the environment; without one, tasks
    /// can be sent but return no results. An operation that panics, or takes longer than its [time
    /// limit](ivy_proto::queue::QueueOp::time_limit), fails with
    /// [`ReplyLost`](ivy_proto::queue::FaultKind::ReplyLost).
    pub fn queue(mut self, queue: impl Queue) -> Self {
        self.config = self.config.custom_queue();
        self.custom_queue = Some(Arc::new(GuardedQueue::<R>::new(Arc::new(queue))));
        self
    }

    /// Uses this notifier instead of one named by a URL or the environment. A publication that
    /// panics or takes longer than ten seconds fails; a subscription that panics is lost.
    pub fn notifier(mut self, notifier: impl Notifier) -> Self {
        self.config = self.config.custom_notifier();
        self.custom_notifier = Some(Arc::new(GuardedNotifier::<R>::new(Arc::new(notifier))));
        self
    }

    /// The name of the notification channel that all producers share, and the prefix of the names
    /// of their reply channels. Workers and producers must use the same one. Default:
    /// `ivy-notifier`.
    pub fn channel(mut self, channel: &str) -> Self {
        self.config = self.config.channel(channel);
        self
    }

    /// The password that messages are encrypted with, in the format of the Node package.
    pub fn encryption_password(mut self, password: &str) -> Self {
        self.config = self.config.encryption_password(Secret::new(password));
        self
    }

    /// The former name of [`encryption_password`](IvyBuilder::encryption_password).
    #[deprecated(note = "renamed to `encryption_password`: it is a password, not a key")]
    pub fn encryption_key(self, password: &str) -> Self {
        self.encryption_password(password)
    }

    /// The keys, and what each queue sends and accepts: see [`Encryption`]. Replaces an
    /// [`encryption_password`](IvyBuilder::encryption_password) set before. Keys that it does not
    /// contain are read from the environment.
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.config = self.config.encryption(encryption);
        self
    }

    /// Sends only messages that workers of the Node package accept: they refuse messages of more
    /// than 65,536 UTF-16 units.
    pub fn node_compatible(mut self, compatible: bool) -> Self {
        self.node_compatible = compatible;
        self
    }

    /// Whether workers of the Node package may run calls. They publish results on the
    /// [`channel`](IvyBuilder::channel) that all callers share. With `false`, this program
    /// subscribes to its own channels only: publications of others on the shared channel do not
    /// load its connection, and results from Node workers do not arrive. Default: `true`.
    pub fn node_peers(mut self, peers: bool) -> Self {
        self.node_peers = peers;
        self
    }

    /// Limits how long `call`, `send` and their variants may take until the queue has accepted the
    /// task, unless a call sets its own limit: see
    /// [`CallOptions::within`](ivy_proto::task::CallOptions::within). Web applications set it, so
    /// that a queue that hangs delays their responses by no more than this. Default: no limit.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Connects the spans of callers and handlers across processes: see [`Propagation`]. Without it,
    /// a trace context that a call [contains](ivy_proto::task::CallOptions::trace) reaches the handler
    /// all the same, as [`Ctx::trace`](crate::Ctx::trace). Default: none.
    pub fn propagation(mut self, propagation: impl Propagation) -> Self {
        self.propagation = Some(Arc::new(propagation));
        self
    }

    /// Whether the handlers of its workers continue the traces of their callers, or begin traces of
    /// their own with links to them, if there is a [`propagation`](IvyBuilder::propagation). Default:
    /// [`TraceRelation::Auto`].
    pub fn trace_relation(mut self, relation: TraceRelation) -> Self {
        self.trace_relation = relation;
        self
    }

    /// Trusts these authorities in addition to the default ones, for servers whose certificates are
    /// not signed by a public authority: certificates in PEM form. Available if TLS is compiled in.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        match OwnRoots::from_pem(pem) {
            Some(roots) => self.roots = roots,
            None => self.bad_roots = true,
        }
        self
    }

    /// Builds the ivy. Connections are opened when they are needed, not here.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a setting, given or read from the environment, is
    /// invalid, no queue is configured, or a backend panics.
    pub fn build(self) -> Result<Ivy<R>, Error<R>> {
        // A backend may panic while it is created and while it reports its capabilities.
        catch_unwind(AssertUnwindSafe(|| self.assemble())).unwrap_or_else(|panic| {
            discard_panic(panic);
            Err(Error::config("a backend panicked while it was set up; fix the backend"))
        })
    }

    fn assemble(self) -> Result<Ivy<R>, Error<R>> {
        let IvyBuilder {
            config,
            custom_queue,
            custom_notifier,
            node_compatible,
            node_peers,
            within,
            propagation,
            trace_relation,
            roots,
            bad_roots,
            ..
        } = self;
        if bad_roots {
            let error = "the root certificates are not in PEM form";
            return Err(Error::config(error));
        }
        let config = match tls::missing() {
            Some(why) => config.without_tls(why),
            None => config,
        };
        let config = environment(|environment| config.resolve(environment));
        let config = config.map_err(Error::config)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let clock = Clock::start();
        let events = EventSink::new(clock);
        let mut factory = BackendFactory::<R>::new(clock, roots, events.clone());
        let queue = match &config.queue {
            Some(named) => factory.queue(named)?,
            None => custom_queue.ok_or_else(|| Error::config("there is no queue"))?,
        };
        let notifier = match &config.notifier {
            Some(named) => Some(factory.notifier(named)?),
            None => custom_notifier,
        };
        let addresses = Addresses {
            queue: config.queue.as_ref().and_then(QueueConfig::address).map(str::to_owned),
            notifier: config.notifier.as_ref().and_then(NotifierConfig::address).map(str::to_owned),
        };
        let backends = Backends::new(
            config.queue.as_ref().map_or(CUSTOM, QueueConfig::name),
            notifier
                .as_ref()
                .map(|_| config.notifier.as_ref().map_or(CUSTOM, NotifierConfig::name)),
        );
        Ivy::new(Parts {
            queue,
            notifier,
            codec: config.codec().map_err(Error::config)?,
            keyset_file: config.keyset_file,
            channel: config.channel,
            node_compatible,
            node_peers,
            within,
            tracer: Tracer::new(propagation, trace_relation, backends.queue),
            backends,
            addresses,
            memory: factory.memory(),
            clock,
            events,
            sources: config.sources,
        })
    }
}

impl<R> fmt::Debug for IvyBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IvyBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Where tasks are queued and results travel.

mod making;

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ivy_proto::Secret;
use ivy_proto::backend::{Notifier, Plug, Queue};
use ivy_proto::config::ConfigBuilder;
use ivy_proto::task::discard_panic;
use ivy_proto::wire::crypto::Encryption;

use crate::built_in;
use crate::clock::Clock;
use crate::environment::environment;
use crate::error::Error;
use crate::events::EventSink;
use crate::guarded::{GuardedNotifier, GuardedQueue};
use crate::ivy::{Ivy, Parts};
use crate::runtime::Runtime;
use crate::tls::{self, OwnRoots};

use making::Making;

/// Says where tasks are queued and results travel. Made by [`Ivy::builder`].
///
/// What is not given is looked up in the environment, as [`Ivy::from_env`] tells. What is wrong is
/// told by [`build`](IvyBuilder::build).
#[must_use = "nothing is made until it is built"]
pub struct IvyBuilder<R> {
    config: ConfigBuilder,
    own_queue: Option<Arc<dyn Queue>>,
    own_notifier: Option<Arc<dyn Notifier>>,
    node_compatible: bool,
    node_peers: bool,
    roots: OwnRoots,
    bad_roots: bool,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Ivy<R> {
    /// Says in parts what is to be used.
    pub fn builder() -> IvyBuilder<R> {
        IvyBuilder::new()
    }

    /// Uses the queue at this URL (see [`IvyBuilder::queue_url`]), and takes everything else from
    /// the environment.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the URL or something in the environment cannot be
    /// used.
    pub fn connect(queue_url: &str) -> Result<Self, Error<R>> {
        Ivy::builder().queue_url(queue_url).build()
    }

    /// Takes everything from the environment:
    ///
    /// * the queue from `IVY_QUEUE_URL`, or a token and project from where IronMQ's clients look
    ///   for them: `IRON_MQ_TOKEN` and the like, `iron.json`, `~/.iron.json`;
    /// * the notifier from `IVY_NOTIFIER_URL` or `REDIS_URL`;
    /// * the channel from `IVY_NOTIFICATION_CHANNEL_NAME`;
    /// * the encryption password from `MESSAGES_ENCRYPTION_KEY`;
    /// * the keyset from `IVY_KEYSET`: the path of a file that only its owner may read, or its JSON.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if something cannot be used, or there is no queue.
    pub fn from_env() -> Result<Self, Error<R>> {
        Ivy::builder().build()
    }
}

impl<R: Runtime> IvyBuilder<R> {
    pub(crate) fn new() -> Self {
        IvyBuilder {
            config: built_in::configuration(),
            own_queue: None,
            own_notifier: None,
            node_compatible: false,
            node_peers: true,
            roots: OwnRoots::default(),
            bad_roots: false,
            runtime: PhantomData,
        }
    }

    /// The queue: `memory://`, or `ironmq://TOKEN@HOST[:PORT][/PREFIX]/PROJECT_ID`, or the same
    /// with `ironmq+http://` for a server without TLS, such as `ivy serve`. Without a host, and
    /// none in the environment, it is IronMQ's own, `mq-aws-us-east-1-1.iron.io`.
    pub fn queue_url(mut self, url: &str) -> Self {
        self.config = self.config.queue_url(url);
        self
    }

    /// What brings results to their callers: `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`,
    /// `rediss://` for the same over TLS, or `memory://`.
    pub fn notifier_url(mut self, url: &str) -> Self {
        self.config = self.config.notifier_url(url);
        self
    }

    /// Understands the URLs of this backend too, in [`queue_url`](IvyBuilder::queue_url), in
    /// [`notifier_url`](IvyBuilder::notifier_url) and in the environment. It takes its schemes from the
    /// backends that were there before.
    pub fn backend(mut self, plug: Plug) -> Self {
        self.config = self.config.backend(plug);
        self
    }

    /// Uses this queue instead of one that a URL or the environment names.
    ///
    /// The notifier is the one that is given by [`notifier`](IvyBuilder::notifier) or
    /// [`notifier_url`](IvyBuilder::notifier_url) or that the environment names; without one, tasks
    /// travel without results. An operation that panics, or takes longer than its
    /// [time limit](ivy_proto::queue::QueueOp::time_limit), fails as
    /// [`AnswerLost`](ivy_proto::queue::FaultKind::AnswerLost).
    pub fn queue(mut self, queue: impl Queue) -> Self {
        self.config = self.config.own_queue();
        self.own_queue = Some(Arc::new(GuardedQueue::<R>::new(Arc::new(queue))));
        self
    }

    /// Uses this notifier instead of one that a URL or the environment names. A publication that panics
    /// or takes longer than ten seconds fails, and a subscription that panics is lost.
    pub fn notifier(mut self, notifier: impl Notifier) -> Self {
        self.config = self.config.own_notifier();
        self.own_notifier = Some(Arc::new(GuardedNotifier::<R>::new(Arc::new(notifier))));
        self
    }

    /// The name of the notification channel that all producers share, and the beginning of the
    /// names of those that they do not. Workers and producers must agree on it. Default:
    /// `ivy-notifier`.
    pub fn channel(mut self, channel: &str) -> Self {
        self.config = self.config.channel(channel);
        self
    }

    /// The password that messages are encrypted with, as the original does it.
    pub fn encryption_key(mut self, password: &str) -> Self {
        self.config = self.config.encryption_password(Secret::new(password));
        self
    }

    /// Which keys there are, and which queue sends and accepts what: see [`Encryption`]. It takes the
    /// place of an [`encryption_key`](IvyBuilder::encryption_key) that was given before. Keys that it
    /// leaves out are looked up in the environment.
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.config = self.config.encryption(encryption);
        self
    }

    /// Sends only what workers of the original can take: they refuse messages of more than 65,536
    /// UTF-16 units.
    pub fn node_compatible(mut self, compatible: bool) -> Self {
        self.node_compatible = compatible;
        self
    }

    /// Whether calls may be answered by workers of the Node package, which publish results on the
    /// [`channel`](IvyBuilder::channel) that all callers share. With `false` this program listens on
    /// its own channels only: what others publish on the shared one neither reaches it nor fills its
    /// connection, and results from Node workers do not arrive. Default: `true`.
    pub fn node_peers(mut self, peers: bool) -> Self {
        self.node_peers = peers;
        self
    }

    /// Trusts these authorities as well, for servers whose certificates are not signed by a public
    /// one: certificates in PEM form. It is there where TLS is compiled in.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        match OwnRoots::from_pem(pem) {
            Some(roots) => self.roots = roots,
            None => self.bad_roots = true,
        }
        self
    }

    /// Makes it. No connection is opened before it is needed.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if something that was given or found in the environment
    /// cannot be used, no queue is given, or a backend panics.
    pub fn build(self) -> Result<Ivy<R>, Error<R>> {
        // A backend may panic when it is made, and when it is asked what it can do.
        catch_unwind(AssertUnwindSafe(|| self.assemble())).unwrap_or_else(|panic| {
            discard_panic(panic);
            Err(Error::config("a backend panicked while it was set up; mend the backend"))
        })
    }

    fn assemble(self) -> Result<Ivy<R>, Error<R>> {
        let IvyBuilder {
            config,
            own_queue,
            own_notifier,
            node_compatible,
            node_peers,
            roots,
            bad_roots,
            ..
        } = self;
        if bad_roots {
            let error = "the given root certificates are not certificates in PEM form";
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
        let mut making = Making::<R>::new(clock, roots, events.clone());
        let queue = match &config.queue {
            Some(named) => making.queue(named)?,
            None => own_queue.ok_or_else(|| Error::config("there is no queue"))?,
        };
        let notifier = match &config.notifier {
            Some(named) => Some(making.notifier(named)?),
            None => own_notifier,
        };
        Ivy::new(Parts {
            queue,
            notifier,
            codec: config.codec().map_err(Error::config)?,
            keyset_file: config.keyset_file,
            channel: config.channel,
            node_compatible,
            node_peers,
            clock,
            events,
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

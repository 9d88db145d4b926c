//! Backends by the scheme of a URL.

use std::fmt;
use std::sync::Arc;

use super::url::BackendUrl;
use super::{Exchange, Notifier, Queue, Session, SessionStart};
use crate::config::{ConfigError, Environment};
use crate::queue::Capabilities;

/// The name of a backend that no plug created.
pub const CUSTOM: &str = "custom";

/// A queue created by a [`Plug`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueBackend {
    name: &'static str,
    address: Option<String>,
    implementation: QueueImpl,
    is_notifier: bool,
    warnings: Vec<String>,
}

/// The implementation of a queue. Two are equal if they are the same instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueueImpl {
    /// HTTP requests and responses.
    Exchange(Arc<dyn Exchange>),
    /// A session over connections.
    Session(SessionFactory, Box<Capabilities>),
    /// Any other implementation.
    Queue(Arc<dyn Queue>),
}

impl QueueBackend {
    /// A queue on an HTTP server.
    pub fn exchange(exchange: impl Exchange) -> Self {
        QueueBackend::new(QueueImpl::Exchange(Arc::new(exchange)))
    }

    /// A queue that is a session over connections, which are encrypted if `secure`. Each executor
    /// drives a session of its own.
    pub fn session<S: Session>(
        capabilities: Capabilities,
        is_secure: bool,
        make: impl Fn(SessionStart) -> S + Send + Sync + 'static,
    ) -> Self {
        let sessions = SessionFactory::new(is_secure, make);
        QueueBackend::new(QueueImpl::Session(sessions, Box::new(capabilities)))
    }

    /// Any other queue.
    pub fn queue(queue: impl Queue) -> Self {
        QueueBackend::new(QueueImpl::Queue(Arc::new(queue)))
    }

    fn new(implementation: QueueImpl) -> Self {
        QueueBackend {
            name: CUSTOM,
            address: None,
            implementation,
            is_notifier: false,
            warnings: Vec::new(),
        }
    }

    /// Gives it the name of its plug.
    pub(crate) fn of(mut self, plug: &Plug) -> Self {
        self.name = plug.label();
        self
    }

    /// Sets where its server is: the URL that a user would write, without credentials.
    #[must_use]
    pub fn with_address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Where its server is, for people.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The name of the backend, in lower case, for the labels of metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Declares that its sessions carry notices too. If no other notifier is configured, they are the
    /// notifier, and both share their connections.
    #[must_use]
    pub fn and_notifier(mut self) -> Self {
        self.is_notifier = true;
        self
    }

    /// The notifier that consists of its sessions, if they carry notices.
    #[must_use]
    pub fn notifier(&self) -> Option<NotifierBackend> {
        match &self.implementation {
            QueueImpl::Session(sessions, _) if self.is_notifier => {
                let implementation = NotifierImpl::Session(sessions.clone());
                let (name, address) = (self.name, self.address.clone());
                Some(NotifierBackend { name, address, implementation })
            }
            _ => None,
        }
    }

    /// Adds a warning about the configuration. It must contain no secret.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// The implementation.
    #[must_use]
    pub fn implementation(&self) -> &QueueImpl {
        &self.implementation
    }

    /// The warnings about the configuration.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl PartialEq for QueueImpl {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (QueueImpl::Exchange(one), QueueImpl::Exchange(other)) => Arc::ptr_eq(one, other),
            (QueueImpl::Session(one, _), QueueImpl::Session(other, _)) => one == other,
            (QueueImpl::Queue(one), QueueImpl::Queue(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for QueueImpl {}

/// Creates the sessions of one backend. Two are equal if they are the same instance.
#[derive(Clone)]
pub struct SessionFactory {
    make: Arc<dyn Fn(SessionStart) -> Box<dyn Session> + Send + Sync>,
    is_secure: bool,
}

impl SessionFactory {
    fn new<S: Session>(
        is_secure: bool,
        make: impl Fn(SessionStart) -> S + Send + Sync + 'static,
    ) -> Self {
        SessionFactory { make: Arc::new(move |start| Box::new(make(start))), is_secure }
    }

    /// Creates a session that has not connected.
    #[must_use]
    pub fn make(&self, start: SessionStart) -> Box<dyn Session> {
        (self.make)(start)
    }

    /// Whether its connections are encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }
}

impl PartialEq for SessionFactory {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.make, &other.make)
    }
}

impl Eq for SessionFactory {}

impl fmt::Debug for SessionFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.make(SessionStart::default()).fmt(f)
    }
}

/// A notifier created by a [`Plug`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierBackend {
    name: &'static str,
    address: Option<String>,
    implementation: NotifierImpl,
}

/// The implementation of a notifier. Two are equal if they are the same instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NotifierImpl {
    /// A [`Notifier`].
    Notifier(Arc<dyn Notifier>),
    /// A session over connections.
    Session(SessionFactory),
}

impl NotifierBackend {
    /// A notifier that implements [`Notifier`].
    pub fn notifier(notifier: impl Notifier) -> Self {
        NotifierBackend::new(NotifierImpl::Notifier(Arc::new(notifier)))
    }

    fn new(implementation: NotifierImpl) -> Self {
        NotifierBackend { name: CUSTOM, address: None, implementation }
    }

    /// Sets where its server is: the URL that a user would write, without credentials.
    #[must_use]
    pub fn with_address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Where its server is, for people.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Gives it the name of its plug.
    pub(crate) fn of(mut self, plug: &Plug) -> Self {
        self.name = plug.label();
        self
    }

    /// The name of the backend, in lower case, for the labels of metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A notifier that is a session over connections, which are encrypted if `secure`. Each
    /// executor drives a session of its own.
    pub fn session<S: Session>(
        is_secure: bool,
        make: impl Fn(SessionStart) -> S + Send + Sync + 'static,
    ) -> Self {
        NotifierBackend::new(NotifierImpl::Session(SessionFactory::new(is_secure, make)))
    }

    /// The implementation.
    #[must_use]
    pub fn implementation(&self) -> &NotifierImpl {
        &self.implementation
    }
}

impl PartialEq for NotifierImpl {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (NotifierImpl::Notifier(one), NotifierImpl::Notifier(other)) => Arc::ptr_eq(one, other),
            (NotifierImpl::Session(one), NotifierImpl::Session(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for NotifierImpl {}

/// Creates a queue from its URL and the environment.
pub type MakeQueue = fn(&BackendUrl, &Environment<'_>) -> Result<QueueBackend, ConfigError>;
/// Creates a notifier from its URL and the environment.
pub type MakeNotifier = fn(&BackendUrl, &Environment<'_>) -> Result<NotifierBackend, ConfigError>;
/// Creates a queue from the environment alone, if it is configured there.
pub type FindQueue = fn(&Environment<'_>) -> Result<Option<QueueBackend>, ConfigError>;

/// A kind of backend: the schemes of its URLs, and the functions that create a queue or a notifier.
/// Pass it to `.backend(..)` of an adapter's builder; the backends included in ivy are already
/// known.
///
/// ```
/// use ivy_proto::backend::{BackendUrl, Plug, QueueBackend, UrlProblem};
/// use ivy_proto::config::{Config, ConfigError, Environment};
/// # use ivy_proto::backend::{BoxFuture, Queue};
/// # use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};
/// # #[derive(Debug)]
/// # struct Folder(String);
/// # impl Queue for Folder {
/// #     fn capabilities(&self) -> Capabilities { Capabilities::broker() }
/// #     fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> { Box::pin(std::future::pending()) }
/// # }
///
/// fn folder(url: &BackendUrl, _: &Environment<'_>) -> Result<QueueBackend, ConfigError> {
///     let host = url.host().ok_or_else(|| url.refuse(UrlProblem::NoHost))?;
///     Ok(QueueBackend::queue(Folder(host.to_string())))
/// }
///
/// let plug = Plug::new("folder", &["folder"]).with_queue("folder://NAME", folder);
/// let config = Config::builder().backend(plug).queue_url("folder://tasks");
/// assert!(config.resolve(&Environment::empty()).is_ok());
/// ```
#[derive(Clone, Copy)]
pub struct Plug {
    name: &'static str,
    schemes: &'static [&'static str],
    keys: &'static [&'static str],
    pub(crate) queue: Option<(&'static str, MakeQueue)>,
    pub(crate) found_queue: Option<(&'static str, FindQueue)>,
    pub(crate) notifier: Option<(&'static str, MakeNotifier)>,
    pub(crate) notifier_variable: Option<&'static str>,
}

impl Plug {
    /// A kind of backend with this name, whose URLs have these schemes, in lower case. It creates
    /// nothing yet.
    #[must_use]
    pub const fn new(name: &'static str, schemes: &'static [&'static str]) -> Self {
        Plug {
            name,
            schemes,
            keys: &[],
            queue: None,
            found_queue: None,
            notifier: None,
            notifier_variable: None,
        }
    }

    /// Sets the keys that the query of a URL may have. A URL with another key is refused, so that a
    /// typing error is found.
    #[must_use]
    pub const fn with_query(mut self, keys: &'static [&'static str]) -> Self {
        self.keys = keys;
        self
    }

    /// Makes it a queue whose URLs look like `form`.
    #[must_use]
    pub const fn with_queue(mut self, form: &'static str, make: MakeQueue) -> Self {
        self.queue = Some((form, make));
        self
    }

    /// Makes it a queue that is found without a URL. `hint` is the advice for a program without a
    /// queue: `set THE_VARIABLE`.
    #[must_use]
    pub const fn with_queue_without_url(mut self, hint: &'static str, find: FindQueue) -> Self {
        self.found_queue = Some((hint, find));
        self
    }

    /// Makes it a notifier whose URLs look like `form`.
    #[must_use]
    pub const fn with_notifier(mut self, form: &'static str, make: MakeNotifier) -> Self {
        self.notifier = Some((form, make));
        self
    }

    /// Makes the URL in this variable the default notifier.
    #[must_use]
    pub const fn with_notifier_variable(mut self, name: &'static str) -> Self {
        self.notifier_variable = Some(name);
        self
    }

    /// The name, for error texts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The name in the labels of metrics: its first scheme.
    fn label(&self) -> &'static str {
        self.schemes.first().copied().unwrap_or(CUSTOM)
    }

    /// The schemes of its URLs.
    #[must_use]
    pub const fn schemes(&self) -> &'static [&'static str] {
        self.schemes
    }

    /// The keys that the query of a URL may have.
    pub(crate) const fn keys(&self) -> &'static [&'static str] {
        self.keys
    }
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plug")
            .field("name", &self.name)
            .field("schemes", &self.schemes)
            .finish_non_exhaustive()
    }
}

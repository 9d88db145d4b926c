//! Configuration, from the program's arguments, URLs and environment.
//!
//! value | first found of
//! --- | ---
//! queue | argument; `IVY_QUEUE_URL`; a queue that a backend finds without a URL
//! notifier | argument; `IVY_NOTIFIER_URL`; the queue's own server if it can be one; the URL in a backend's variable; none
//! channel prefix | argument; `IVY_NOTIFICATION_CHANNEL_NAME`; `ivy-notifier`
//! encryption password | argument; `MESSAGES_ENCRYPTION_KEY`; none
//! keyset | argument; `IVY_KEYSET`: the path of a keyset file, or its JSON, which begins with `{`; none
//!
//! A variable that is set to an invalid value is an error, even if the value is empty: it is never
//! ignored.
//!
//! The accepted URL schemes depend on the registered backends. `memory://` and
//! `memory://NAME` are always accepted.
//!
//! ```
//! use ivy_proto::config::{Config, Environment, NotifierConfig, QueueConfig};
//!
//! let variables = |name: &str| (name == "IVY_QUEUE_URL").then(|| "memory://".to_owned());
//! let config = Config::builder().resolve(&Environment::new(&variables, &|_| None))?;
//! assert_eq!(config.queue, Some(QueueConfig::Memory));
//! assert_eq!(config.notifier, Some(NotifierConfig::Memory));
//! # Ok::<(), ivy_proto::config::ConfigError>(())
//! ```

mod backends;
mod bad_url;
mod environment;
mod error;
mod keyset;
mod memory_name;
mod sources;
mod warning;

pub use bad_url::BadUrl;
pub use environment::{Environment, Found, Origin};
pub use error::ConfigError;
pub use keyset::KeysetFile;
pub use memory_name::MemoryName;
pub use sources::{Source, Sources};
pub use warning::Warning;

use backends::{Backends, MEMORY};

use crate::backend::{BackendError, BackendUrl, NotifierBackend, Plug, QueueBackend};
use crate::name::ChannelName;
use crate::secret::Secret;
use crate::wire::Codec;
use crate::wire::crypto::{Encryption, InvalidEncryption};

/// The URL of the queue and the notifier in memory.
const MEMORY_URL: &str = "memory://";
/// The shared channel of the Node package, and the default prefix of reply channels.
const DEFAULT_CHANNEL: &str = "ivy-notifier";

/// The queue of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueConfig {
    /// In memory, private to one `Ivy` and its clones.
    Memory,
    /// In a memory that the `Ivy`s of a process share by its name.
    SharedMemory(MemoryName),
    /// The queue of a backend.
    Backend(QueueBackend),
}

impl QueueConfig {
    /// The name of its backend, in lower case, for the labels of metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            QueueConfig::Memory | QueueConfig::SharedMemory(_) => MEMORY,
            QueueConfig::Backend(backend) => backend.name(),
        }
    }

    /// Where its server is: a URL without credentials. `None` if its backend does not say so.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            QueueConfig::Memory => Some(MEMORY_URL),
            QueueConfig::SharedMemory(name) => Some(name.url()),
            QueueConfig::Backend(backend) => backend.address(),
        }
    }
}

/// The notifier of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierConfig {
    /// In memory, private to one `Ivy` and its clones.
    Memory,
    /// In a memory that the `Ivy`s of a process share by its name.
    SharedMemory(MemoryName),
    /// The notifier of a backend.
    Backend(NotifierBackend),
}

impl NotifierConfig {
    /// The name of its backend, in lower case, for the labels of metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            NotifierConfig::Memory | NotifierConfig::SharedMemory(_) => MEMORY,
            NotifierConfig::Backend(backend) => backend.name(),
        }
    }

    /// Where its server is: a URL without credentials. `None` if its backend does not say so.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            NotifierConfig::Memory => Some(MEMORY_URL),
            NotifierConfig::SharedMemory(name) => Some(name.url()),
            NotifierConfig::Backend(backend) => backend.address(),
        }
    }
}

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The queue. `None` if the program provides its own.
    pub queue: Option<QueueConfig>,
    /// The notifier, if there is one. `None` also if the program provides its own.
    pub notifier: Option<NotifierConfig>,
    /// The shared notification channel, and the prefix of reply channels.
    pub channel: ChannelName,
    /// The keys, and the encryption policy of each queue.
    pub encryption: Encryption,
    /// The file of the keyset, if it was read from one.
    pub keyset_file: Option<KeysetFile>,
    /// Settings that are valid but probably wrong.
    pub warnings: Vec<Warning>,
    /// Where the parts come from.
    pub sources: Sources,
}

impl Config {
    /// A builder without values.
    #[must_use]
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The codec of messages.
    ///
    /// # Errors
    /// If a policy requires keys that are missing, which cannot happen after
    /// [`resolve`](ConfigBuilder::resolve).
    pub fn codec(&self) -> Result<Codec, InvalidEncryption> {
        Codec::new(&self.encryption)
    }
}

/// Builds a configuration from the program's settings and the environment.
#[derive(Clone, Debug, Default)]
pub struct ConfigBuilder {
    backends: Backends,
    queue: Option<BackendChoice<QueueConfig>>,
    notifier: Option<BackendChoice<NotifierConfig>>,
    channel: Option<String>,
    encryption: Encryption,
}

/// How a program specifies a backend: as a URL, which may contain a secret, in parts, or as its own
/// implementation.
#[derive(Clone, Debug)]
enum BackendChoice<T> {
    Url(Secret),
    Value(T),
    Custom,
}

impl ConfigBuilder {
    /// Adds a backend, selected by the schemes of its URLs. If two have the same scheme, the last
    /// one is used. An invalid scheme is refused by [`resolve`](ConfigBuilder::resolve).
    #[must_use]
    pub fn backend(mut self, plug: Plug) -> Self {
        self.backends.add(plug);
        self
    }

    /// Sets which feature of the adapter's crate provides each scheme, for the error about an
    /// unknown scheme.
    #[must_use]
    pub fn features(mut self, features: &'static [(&'static str, &'static str)]) -> Self {
        self.backends.set_features(features);
        self
    }

    /// Refuses URLs that require TLS, for this reason.
    #[must_use]
    pub fn without_tls(mut self, why: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.backends.set_no_tls(BackendError::new(why));
        self
    }

    /// Uses the queue at this URL.
    #[must_use]
    pub fn queue_url(mut self, url: impl Into<String>) -> Self {
        self.queue = Some(BackendChoice::Url(Secret::new(url)));
        self
    }

    /// Uses this queue.
    #[must_use]
    pub fn queue(mut self, queue: QueueConfig) -> Self {
        self.queue = Some(BackendChoice::Value(queue));
        self
    }

    /// Disables the look-up of a queue, because the program provides its own.
    #[must_use]
    pub fn custom_queue(mut self) -> Self {
        self.queue = Some(BackendChoice::Custom);
        self
    }

    /// Uses the notifier at this URL.
    #[must_use]
    pub fn notifier_url(mut self, url: impl Into<String>) -> Self {
        self.notifier = Some(BackendChoice::Url(Secret::new(url)));
        self
    }

    /// Uses this notifier.
    #[must_use]
    pub fn notifier(mut self, notifier: NotifierConfig) -> Self {
        self.notifier = Some(BackendChoice::Value(notifier));
        self
    }

    /// Disables the look-up of a notifier, because the program provides its own.
    #[must_use]
    pub fn custom_notifier(mut self) -> Self {
        self.notifier = Some(BackendChoice::Custom);
        self
    }

    /// Sets the shared notification channel, which is also the prefix of reply channels.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Encrypts messages with this password.
    #[must_use]
    pub fn encryption_password(mut self, password: Secret) -> Self {
        self.encryption = self.encryption.with_password(password);
        self
    }

    /// Sets the encryption. Missing keys are looked up.
    #[must_use]
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// Completes the configuration from the environment.
    ///
    /// # Errors
    /// If a given or found value is invalid, or if no queue is configured.
    pub fn resolve(self, environment: &Environment<'_>) -> Result<Config, ConfigError> {
        self.backends.check()?;
        let is_from_program =
            matches!(self.queue, Some(BackendChoice::Custom | BackendChoice::Value(_)));
        let (queue, queue_url) = queue(self.queue, &self.backends, environment)?;
        let queue_source = match &queue_url {
            Some(url) => Source::Origin(url.origin()),
            None if is_from_program => Source::Program,
            None => Source::Backend,
        };
        let (notifier, notifier_source) = notifier(
            self.notifier,
            queue.as_ref(),
            queue_url.as_ref(),
            &self.backends,
            environment,
        )?;
        let (channel, channel_origin) = channel(self.channel, environment)?;
        let (encryption, password_origin) = with_password(self.encryption, environment)?;
        let keyset::Completed { encryption, keyset_file, origin: keyset_origin } =
            keyset::complete(encryption, environment)?;
        let sources = Sources {
            queue: queue_source,
            notifier: notifier_source,
            channel: channel_origin.into(),
            password: password_origin.into(),
            keyset: keyset_origin.into(),
        };
        Codec::new(&encryption).map_err(|error| ConfigError::BadEncryption { error })?;
        let warnings = Warning::about(queue.as_ref(), notifier.as_ref(), &encryption);
        Ok(Config { queue, notifier, channel, encryption, keyset_file, warnings, sources })
    }
}

/// The queue, and its URL if it has one.
fn queue(
    explicit: Option<BackendChoice<QueueConfig>>,
    backends: &Backends,
    environment: &Environment<'_>,
) -> Result<(Option<QueueConfig>, Option<BackendUrl>), ConfigError> {
    let url = match explicit {
        Some(BackendChoice::Custom) => return Ok((None, None)),
        Some(BackendChoice::Value(queue)) => return Ok((Some(queue), None)),
        Some(BackendChoice::Url(url)) => {
            let origin = Origin::Argument("queue URL");
            Some(Found { value: url.expose().to_owned(), origin })
        }
        None => environment.first(&["IVY_QUEUE_URL"]),
    };
    let (queue, queue_url) = backends.queue(url, environment)?;
    Ok((Some(queue), queue_url))
}

fn notifier(
    explicit: Option<BackendChoice<NotifierConfig>>,
    queue: Option<&QueueConfig>,
    queue_url: Option<&BackendUrl>,
    backends: &Backends,
    environment: &Environment<'_>,
) -> Result<(Option<NotifierConfig>, Source), ConfigError> {
    let url = match explicit {
        Some(BackendChoice::Custom) => return Ok((None, Source::Program)),
        Some(BackendChoice::Value(notifier)) => return Ok((Some(notifier), Source::Program)),
        Some(BackendChoice::Url(url)) => {
            let origin = Origin::Argument("notifier URL");
            Some(Found { value: url.expose().to_owned(), origin })
        }
        None => environment.first(&["IVY_NOTIFIER_URL"]),
    };
    if let Some(url) = url {
        let source = Source::Origin(url.origin);
        return Ok((Some(backends.notifier(url, environment)?), source));
    }
    if let Some(QueueConfig::Backend(queue)) = queue
        && let Some(notifier) = queue.notifier()
    {
        return Ok((Some(NotifierConfig::Backend(notifier)), Source::Queue));
    }
    if let Some(queue_url) = queue_url
        && let Some(notifier) = backends.notifier_at(queue_url, environment)?
    {
        return Ok((Some(notifier), Source::Queue));
    }
    match environment.first(&backends.notifier_variables()) {
        Some(url) => {
            let source = Source::Origin(url.origin);
            Ok((Some(backends.notifier(url, environment)?), source))
        }
        None => Ok((None, Source::Unspecified)),
    }
}

fn channel(
    explicit: Option<String>,
    environment: &Environment<'_>,
) -> Result<(ChannelName, Option<Origin>), ConfigError> {
    let found = match explicit {
        Some(value) => Some(Found { value, origin: Origin::Argument("notification channel") }),
        None => environment.first(&["IVY_NOTIFICATION_CHANNEL_NAME"]),
    };
    let Some(Found { value, origin }) = found else {
        return Ok((ChannelName::new(DEFAULT_CHANNEL).expect("a valid channel name"), None));
    };
    match ChannelName::new(&value) {
        Ok(channel) => Ok((channel, Some(origin))),
        Err(error) => Err(ConfigError::BadChannel { origin, error }),
    }
}

/// Adds the password to the encryption. The Node package treats an empty password as none, but
/// setting the variable to it is probably a mistake, so it is refused.
fn with_password(
    explicit: Encryption,
    environment: &Environment<'_>,
) -> Result<(Encryption, Option<Origin>), ConfigError> {
    let (encryption, origin) = match explicit.password() {
        Some(_) => (explicit, Origin::Argument("encryption password")),
        None => match environment.first(&["MESSAGES_ENCRYPTION_KEY"]) {
            Some(Found { value, origin }) => (explicit.with_password(Secret::new(value)), origin),
            None => return Ok((explicit, None)),
        },
    };
    if encryption.password().is_some_and(|password| password.expose().trim().is_empty()) {
        return Err(ConfigError::BlankPassword { origin });
    }
    Ok((encryption, Some(origin)))
}

//! Configuration: from what the program gives, from URLs, and from look-ups in its environment.
//!
//! What is asked | first found of
//! --- | ---
//! queue | given; `IVY_QUEUE_URL`; what a backend finds without a URL
//! notifier | given; `IVY_NOTIFIER_URL`; the queue's own server if it can be one; what the variable of a backend names; none
//! channel prefix | given; `IVY_NOTIFICATION_CHANNEL_NAME`; `ivy-notifier`
//! encryption password | given; `MESSAGES_ENCRYPTION_KEY`; none
//! keyset | given; `IVY_KEYSET`: the path of a keyset file, or its JSON, which begins with `{`; none
//!
//! A variable that is set and cannot be used is an error, also if it is empty: it is never passed
//! over in silence.
//!
//! Which URLs are understood depends on the backends that the configuration is told of; `memory://` is
//! always one.
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
mod warning;

pub use bad_url::BadUrl;
pub use environment::{Environment, Found, Origin};
pub use error::ConfigError;
pub use keyset::KeysetFile;
pub use warning::Warning;

use backends::Backends;

use crate::backend::{BackendError, BackendUrl, NotifierBackend, Plug, QueueBackend};
use crate::name::ChannelName;
use crate::secret::Secret;
use crate::wire::Codec;
use crate::wire::crypto::{Encryption, InvalidEncryption};

/// The shared channel of the original, and the prefix of reply channels.
const DEFAULT_CHANNEL: &str = "ivy-notifier";

/// Where tasks are queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueConfig {
    /// In the memory of this process.
    Memory,
    /// Where a backend says.
    Backend(QueueBackend),
}

/// Where results travel from workers to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierConfig {
    /// In the memory of this process.
    Memory,
    /// Where a backend says.
    Backend(NotifierBackend),
}

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Where tasks are queued. Nothing, if the program brings a queue of its own.
    pub queue: Option<QueueConfig>,
    /// Where results travel, if anywhere. Nothing as well, if the program brings a notifier of its own.
    pub notifier: Option<NotifierConfig>,
    /// The shared notification channel, and the prefix of reply channels.
    pub channel: ChannelName,
    /// Which keys there are, and which queue sends and accepts what.
    pub encryption: Encryption,
    /// The file that the keyset was read from, if it was.
    pub keyset_file: Option<KeysetFile>,
    /// What can be used and is dubious all the same.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// A configuration of which nothing is given yet.
    #[must_use]
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// How messages are written and read.
    ///
    /// # Errors
    /// If a policy asks for keys that there are not, which none that was resolved does.
    pub fn codec(&self) -> Result<Codec, InvalidEncryption> {
        Codec::new(&self.encryption)
    }
}

/// What a program itself says about its configuration; the rest is looked up.
#[derive(Clone, Debug, Default)]
pub struct ConfigBuilder {
    backends: Backends,
    queue: Option<BackendChoice<QueueConfig>>,
    notifier: Option<BackendChoice<NotifierConfig>>,
    channel: Option<String>,
    encryption: Encryption,
}

/// What a program gives as a URL, which may hold a secret, or in parts, or as a backend of its own, of
/// which nothing needs to be known here.
#[derive(Clone, Debug)]
enum BackendChoice<T> {
    Url(Secret),
    Parts(T),
    Own,
}

impl ConfigBuilder {
    /// Understands the URLs of this backend too. Of two that take the same scheme, the one that is added
    /// last does. A scheme that no URL can have is refused by [`resolve`](ConfigBuilder::resolve).
    #[must_use]
    pub fn backend(mut self, plug: Plug) -> Self {
        self.backends.add(plug);
        self
    }

    /// Says for each of these schemes which feature of the adapter's crate brings it, for the error about
    /// a scheme that no backend takes.
    #[must_use]
    pub fn features(mut self, features: &'static [(&'static str, &'static str)]) -> Self {
        self.backends.set_features(features);
        self
    }

    /// Refuses URLs that ask for TLS, since no connection can be encrypted for this reason.
    #[must_use]
    pub fn without_tls(mut self, why: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.backends.set_no_tls(BackendError::new(why));
        self
    }

    /// Takes the queue from this URL.
    #[must_use]
    pub fn queue_url(mut self, url: impl Into<String>) -> Self {
        self.queue = Some(BackendChoice::Url(Secret::new(url)));
        self
    }

    /// Uses this queue.
    #[must_use]
    pub fn queue(mut self, queue: QueueConfig) -> Self {
        self.queue = Some(BackendChoice::Parts(queue));
        self
    }

    /// Looks for no queue, since the program brings its own.
    #[must_use]
    pub fn own_queue(mut self) -> Self {
        self.queue = Some(BackendChoice::Own);
        self
    }

    /// Takes the notifier from this URL.
    #[must_use]
    pub fn notifier_url(mut self, url: impl Into<String>) -> Self {
        self.notifier = Some(BackendChoice::Url(Secret::new(url)));
        self
    }

    /// Uses this notifier.
    #[must_use]
    pub fn notifier(mut self, notifier: NotifierConfig) -> Self {
        self.notifier = Some(BackendChoice::Parts(notifier));
        self
    }

    /// Looks for no notifier, since the program brings its own.
    #[must_use]
    pub fn own_notifier(mut self) -> Self {
        self.notifier = Some(BackendChoice::Own);
        self
    }

    /// Uses this name for the shared notification channel and as the prefix of reply channels.
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

    /// Encrypts messages so. Keys that it leaves out are looked up.
    #[must_use]
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// Completes the configuration from the environment.
    ///
    /// # Errors
    /// If something that was given or found cannot be used, or if nothing says which queue to use.
    pub fn resolve(self, environment: &Environment<'_>) -> Result<Config, ConfigError> {
        self.backends.check()?;
        let (queue, queue_url) = queue(self.queue, &self.backends, environment)?;
        let notifier = notifier(
            self.notifier,
            queue.as_ref(),
            queue_url.as_ref(),
            &self.backends,
            environment,
        )?;
        let channel = channel(self.channel, environment)?;
        let encryption = with_password(self.encryption, environment)?;
        let (encryption, keyset_file) = keyset::complete(encryption, environment)?;
        Codec::new(&encryption).map_err(|error| ConfigError::BadEncryption { error })?;
        let warnings = Warning::about(queue.as_ref(), &encryption);
        Ok(Config { queue, notifier, channel, encryption, keyset_file, warnings })
    }
}

/// The queue, and its URL if it has one.
fn queue(
    given: Option<BackendChoice<QueueConfig>>,
    backends: &Backends,
    environment: &Environment<'_>,
) -> Result<(Option<QueueConfig>, Option<BackendUrl>), ConfigError> {
    let url = match given {
        Some(BackendChoice::Own) => return Ok((None, None)),
        Some(BackendChoice::Parts(queue)) => return Ok((Some(queue), None)),
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
    given: Option<BackendChoice<NotifierConfig>>,
    queue: Option<&QueueConfig>,
    queue_url: Option<&BackendUrl>,
    backends: &Backends,
    environment: &Environment<'_>,
) -> Result<Option<NotifierConfig>, ConfigError> {
    let url = match given {
        Some(BackendChoice::Own) => return Ok(None),
        Some(BackendChoice::Parts(notifier)) => return Ok(Some(notifier)),
        Some(BackendChoice::Url(url)) => {
            let origin = Origin::Argument("notifier URL");
            Some(Found { value: url.expose().to_owned(), origin })
        }
        None => environment.first(&["IVY_NOTIFIER_URL"]),
    };
    if let Some(url) = url {
        return backends.notifier(url, environment).map(Some);
    }
    if let Some(QueueConfig::Backend(queue)) = queue
        && let Some(notifier) = queue.notifier()
    {
        return Ok(Some(NotifierConfig::Backend(notifier)));
    }
    if let Some(queue_url) = queue_url
        && let Some(notifier) = backends.notifier_at(queue_url, environment)?
    {
        return Ok(Some(notifier));
    }
    let url = environment.first(&backends.notifier_variables());
    url.map(|url| backends.notifier(url, environment)).transpose()
}

fn channel(
    given: Option<String>,
    environment: &Environment<'_>,
) -> Result<ChannelName, ConfigError> {
    let found = match given {
        Some(value) => Some(Found { value, origin: Origin::Argument("notification channel") }),
        None => environment.first(&["IVY_NOTIFICATION_CHANNEL_NAME"]),
    };
    let Some(Found { value, origin }) = found else {
        return Ok(ChannelName::new(DEFAULT_CHANNEL).expect("it is short and plain"));
    };
    ChannelName::new(&value).map_err(|error| ConfigError::BadChannel { origin, error })
}

/// The encryption with its password. The original takes an empty one for none; whoever set the
/// variable meant something else.
fn with_password(
    given: Encryption,
    environment: &Environment<'_>,
) -> Result<Encryption, ConfigError> {
    let (encryption, origin) = match given.password() {
        Some(_) => (given, Origin::Argument("encryption password")),
        None => match environment.first(&["MESSAGES_ENCRYPTION_KEY"]) {
            Some(Found { value, origin }) => (given.with_password(Secret::new(value)), origin),
            None => return Ok(given),
        },
    };
    if encryption.password().is_some_and(|password| password.expose().trim().is_empty()) {
        return Err(ConfigError::BlankPassword { origin });
    }
    Ok(encryption)
}

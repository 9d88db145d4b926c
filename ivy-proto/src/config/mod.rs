//! Configuration: from what the program gives, from URLs, and from look-ups in its environment.
//!
//! What is asked | first found of
//! --- | ---
//! queue | given; `IVY_QUEUE_URL`; a token and a project where IronMQ's clients look for them
//! parts left out of an `ironmq://` URL | `IRON_MQ_*`; `IRON_*`; `IRONMQ_TOKEN`, `IRONMQ_PROJECT_ID`, `IRONMQ_PROJECT`; `./iron.json`; `~/.iron.json`
//! notifier | given; `IVY_NOTIFIER_URL`; `REDIS_URL`; the memory if the queue is in memory; none
//! database, if the URL of a Redis server leaves it out | `REDIS_DATABASE`
//! channel prefix | given; `IVY_NOTIFICATION_CHANNEL_NAME`; `ivy-notifier`
//! encryption password | given; `MESSAGES_ENCRYPTION_KEY`; none
//! keyset | given; `IVY_KEYSET`: the path of a keyset file, or its JSON, which begins with `{`; none
//!
//! A variable that is set and cannot be used is an error, also if it is empty: it is never passed
//! over in silence.
//!
//! The program and its environment are the strongest source, then `./iron.json`, then
//! `~/.iron.json`. A server that a weaker source names is used only with a token of the same or of a
//! weaker source, and nothing weaker turns TLS off: else, whoever can write to the current folder
//! could have the token sent to a server of theirs. What is refused for that reason is
//! [`ConfigError::WeakerSource`].
//!
//! ```
//! use ivy_proto::config::{Config, Environment, QueueConfig};
//!
//! let variables = |name: &str| match name {
//!     "IRON_MQ_TOKEN" => Some("secret".to_owned()),
//!     "IRON_MQ_PROJECT_ID" => Some("5e3a6f0c1b2d4e5f6a7b8c9d".to_owned()),
//!     _ => None,
//! };
//! let config = Config::builder().resolve(&Environment::new(&variables, &|_| None))?;
//! let Some(QueueConfig::IronMq { address, .. }) = config.queue else { panic!("not IronMQ") };
//! assert_eq!(address.host(), "mq-aws-us-east-1-1.iron.io");
//! # Ok::<(), ivy_proto::config::ConfigError>(())
//! ```

mod environment;
mod error;
mod iron;
mod iron_file;
mod keyset;
mod notifier;
mod queue_url;
mod url;
mod warning;

pub use environment::{Environment, Origin};
pub use error::ConfigError;
pub use keyset::KeysetFile;
pub use notifier::{NotifierConfig, RedisAddress};
pub use queue_url::{IronMqUrl, QueueUrl};
pub use url::{BadUrl, UrlProblem};
pub use warning::Warning;

use environment::Found;

use crate::name::ChannelName;
use crate::queue::ironmq::{Address, Token};
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
    /// On an IronMQ v3 server.
    IronMq {
        /// Where the project is found.
        address: Address,
        /// What opens it.
        token: Token,
    },
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
    queue: Option<Given<QueueConfig>>,
    notifier: Option<Given<NotifierConfig>>,
    channel: Option<String>,
    encryption: Encryption,
}

/// What a program gives as a URL, which may hold a secret, or in parts, or as a backend of its own, of
/// which nothing needs to be known here.
#[derive(Clone, Debug)]
enum Given<T> {
    Url(Secret),
    Parts(T),
    Own,
}

impl ConfigBuilder {
    /// Takes the queue from this URL: see [`QueueUrl`].
    #[must_use]
    pub fn queue_url(mut self, url: impl Into<String>) -> Self {
        self.queue = Some(Given::Url(Secret::new(url)));
        self
    }

    /// Uses this queue.
    #[must_use]
    pub fn queue(mut self, queue: QueueConfig) -> Self {
        self.queue = Some(Given::Parts(queue));
        self
    }

    /// Looks for no queue, since the program brings its own.
    #[must_use]
    pub fn own_queue(mut self) -> Self {
        self.queue = Some(Given::Own);
        self
    }

    /// Takes the notifier from this URL: see [`NotifierConfig`].
    #[must_use]
    pub fn notifier_url(mut self, url: impl Into<String>) -> Self {
        self.notifier = Some(Given::Url(Secret::new(url)));
        self
    }

    /// Uses this notifier.
    #[must_use]
    pub fn notifier(mut self, notifier: NotifierConfig) -> Self {
        self.notifier = Some(Given::Parts(notifier));
        self
    }

    /// Looks for no notifier, since the program brings its own.
    #[must_use]
    pub fn own_notifier(mut self) -> Self {
        self.notifier = Some(Given::Own);
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
        let queue = queue(self.queue, environment)?;
        let notifier = notifier(self.notifier, queue.as_ref(), environment)?;
        let channel = channel(self.channel, environment)?;
        let encryption = with_password(self.encryption, environment)?;
        let (encryption, keyset_file) = keyset::complete(encryption, environment)?;
        Codec::new(&encryption).map_err(|error| ConfigError::BadEncryption { error })?;
        let warnings = Warning::about(queue.as_ref(), &encryption);
        Ok(Config { queue, notifier, channel, encryption, keyset_file, warnings })
    }
}

fn queue(
    given: Option<Given<QueueConfig>>,
    environment: &Environment<'_>,
) -> Result<Option<QueueConfig>, ConfigError> {
    let url = match given {
        Some(Given::Own) => return Ok(None),
        Some(Given::Parts(queue)) => return Ok(Some(queue)),
        Some(Given::Url(url)) => {
            let origin = Origin::Argument("queue URL");
            Some(Found { value: url.expose().to_owned(), origin })
        }
        None => environment.first(&["IVY_QUEUE_URL"]),
    };
    let url = match url {
        None => None,
        Some(Found { value, origin }) => match QueueUrl::parse(&value) {
            Ok(QueueUrl::Memory) => return Ok(Some(QueueConfig::Memory)),
            Ok(QueueUrl::IronMq(url)) => Some((url, origin)),
            Err(error) => return Err(ConfigError::BadUrl { origin, error }),
        },
    };
    match iron::resolve(url, environment)? {
        Some((address, token)) => Ok(Some(QueueConfig::IronMq { address, token })),
        None => Err(ConfigError::NoQueue),
    }
}

fn notifier(
    given: Option<Given<NotifierConfig>>,
    queue: Option<&QueueConfig>,
    environment: &Environment<'_>,
) -> Result<Option<NotifierConfig>, ConfigError> {
    let url = match given {
        Some(Given::Own) => return Ok(None),
        Some(Given::Parts(notifier)) => return Ok(Some(notifier)),
        Some(Given::Url(url)) => {
            let origin = Origin::Argument("notifier URL");
            Some(Found { value: url.expose().to_owned(), origin })
        }
        None => environment.first(&["IVY_NOTIFIER_URL", "REDIS_URL"]),
    };
    let Some(Found { value, origin }) = url else {
        return Ok(match queue {
            Some(QueueConfig::Memory) => Some(NotifierConfig::Memory),
            Some(QueueConfig::IronMq { .. }) | None => None,
        });
    };
    let mut notifier =
        NotifierConfig::parse(&value).map_err(|error| ConfigError::BadUrl { origin, error })?;
    if let NotifierConfig::Redis(redis @ RedisAddress { database: None, .. }) = &mut notifier {
        redis.database = redis_database(environment)?;
    }
    Ok(Some(notifier))
}

fn redis_database(environment: &Environment<'_>) -> Result<Option<u32>, ConfigError> {
    let Some(Found { value, origin }) = environment.first(&["REDIS_DATABASE"]) else {
        return Ok(None);
    };
    let expected = "the number of a database, in digits only";
    url::number(&value).map(Some).ok_or(ConfigError::BadValue { origin, expected })
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

//! The URL of a notifier.

use super::url::{BadUrl, Parts, UrlProblem, decoded, number};
use crate::queue::ironmq::segment;
use crate::secret::Secret;

/// The schemes of notifiers, for error messages.
const ACCEPTED: &str = "redis://, rediss://, memory://";
/// The port that Redis listens on unless told otherwise, with and without TLS.
const REDIS_PORT: u16 = 6379;

/// Where results travel from workers to callers.
///
/// ```
/// use ivy_proto::config::NotifierConfig;
///
/// let NotifierConfig::Redis(redis) = NotifierConfig::parse("redis://:p%40ss@localhost/2")? else {
///     panic!("not a Redis URL")
/// };
/// assert_eq!((redis.host.as_str(), redis.port, redis.database), ("localhost", 6379, Some(2)));
/// assert_eq!(redis.password.as_ref().map(|password| password.expose()), Some("p@ss"));
/// assert!(!format!("{redis:?}").contains("p@ss"));
/// # Ok::<(), ivy_proto::config::BadUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierConfig {
    /// The memory of this process: `memory://`.
    Memory,
    /// A Redis server: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for the
    /// same over TLS.
    Redis(RedisAddress),
}

/// A Redis server, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The host: a name or an address, an IPv6 address in brackets.
    pub host: String,
    /// The port, 6379 unless given.
    pub port: u16,
    /// The user name, for servers that know several.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of the database. Channels are the same in all of them.
    pub database: Option<u32>,
}

impl NotifierConfig {
    /// Takes a URL apart.
    ///
    /// The password may hold a raw `:` or `@`; `/`, `?`, `#` and `%` must be percent-encoded.
    ///
    /// # Errors
    /// If it is not the URL of a notifier that is built in. The error does not show the password.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        parse(text).map_err(|problem| BadUrl::new(text, problem))
    }

    /// The URL, with the password in it: a secret.
    #[must_use]
    pub fn expose(&self) -> String {
        match self {
            NotifierConfig::Memory => "memory://".to_owned(),
            NotifierConfig::Redis(redis) => redis.expose(),
        }
    }
}

impl RedisAddress {
    /// `host:port`.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn expose(&self) -> String {
        let mut url = if self.tls { "rediss://" } else { "redis://" }.to_owned();
        if let Some(password) = &self.password {
            let user = self.user.as_deref().unwrap_or_default();
            url.push_str(&format!("{}:{}@", segment(user), segment(password.expose())));
        }
        url.push_str(&self.host);
        if self.port != REDIS_PORT {
            url.push_str(&format!(":{}", self.port));
        }
        if let Some(database) = self.database {
            url.push_str(&format!("/{database}"));
        }
        url
    }
}

fn parse(text: &str) -> Result<NotifierConfig, UrlProblem> {
    let parts = Parts::parse(text, ACCEPTED)?;
    match parts.scheme.as_str() {
        "memory" if parts.is_bare() => Ok(NotifierConfig::Memory),
        "memory" => Err(UrlProblem::NotBare),
        "redis" => redis(false, &parts).map(NotifierConfig::Redis),
        "rediss" => redis(true, &parts).map(NotifierConfig::Redis),
        _ => Err(UrlProblem::UnknownScheme { accepted: ACCEPTED }),
    }
}

fn redis(tls: bool, parts: &Parts<'_>) -> Result<RedisAddress, UrlProblem> {
    let (user, password) = parts.credentials.map_or(Ok((None, None)), credentials)?;
    let host = parts.host.clone().ok_or(UrlProblem::NoHost)?;
    let database = match parts.segments()?.as_slice() {
        [] => None,
        [database] => Some(number(database).ok_or(UrlProblem::Database)?),
        _ => return Err(UrlProblem::Database),
    };
    let port = parts.port.unwrap_or(REDIS_PORT);
    Ok(RedisAddress { tls, host, port, user, password, database })
}

/// User and password. A user without a password is most likely a password without its colon, and
/// would be shown where a password would not.
fn credentials(text: &str) -> Result<(Option<String>, Option<Secret>), UrlProblem> {
    let (user, password) = text.split_once(':').ok_or(UrlProblem::Credentials)?;
    if password.is_empty() {
        return Err(UrlProblem::Credentials);
    }
    let user = if user.is_empty() { None } else { Some(decoded(user)?) };
    Ok((user, Some(Secret::new(decoded(password)?))))
}

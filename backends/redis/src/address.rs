//! Where a Redis server is found, and who we are to it.

use ivy_proto::Secret;
use ivy_proto::backend::{BackendUrl, UrlProblem, segment};
use ivy_proto::config::ConfigError;
use ivy_proto::text::number;

/// The port that Redis listens on unless told otherwise, with and without TLS.
const REDIS_PORT: u16 = 6379;

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

impl RedisAddress {
    /// The server at this place.
    ///
    /// # Errors
    /// [`ConfigError::BadUrl`] if a part of it does not name a Redis server.
    pub fn of(url: &BackendUrl) -> Result<Self, ConfigError> {
        parts(url).map_err(|problem| url.refuse(problem))
    }

    /// `host:port`.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL, with the password in it: a secret.
    #[must_use]
    pub fn expose(&self) -> String {
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

/// There is a user name without a password, or the other part is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials must be USER:PASSWORD@ or :PASSWORD@")]
pub struct BadCredentials;

/// The path is not the number of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path must be the number of a database, as in /0")]
pub struct NotADatabase;

fn parts(url: &BackendUrl) -> Result<RedisAddress, UrlProblem> {
    let (user, password) = credentials(url)?;
    let host = url.host().ok_or(UrlProblem::NoHost)?.to_string();
    let database = match url.segments() {
        [] => None,
        [database] => Some(number(database).ok_or_else(|| UrlProblem::backend(NotADatabase))?),
        _ => return Err(UrlProblem::backend(NotADatabase)),
    };
    let port = url.port().unwrap_or(REDIS_PORT);
    Ok(RedisAddress { tls: url.scheme() == "rediss", host, port, user, password, database })
}

/// User and password. A user without a password is most likely a password without its colon, and
/// would be shown where a password would not.
fn credentials(url: &BackendUrl) -> Result<(Option<String>, Option<Secret>), UrlProblem> {
    let Some(user) = url.user() else { return Ok((None, None)) };
    let password = url.password().filter(|password| !password.expose().is_empty());
    let password = password.ok_or_else(|| UrlProblem::backend(BadCredentials))?;
    let user = Some(user.expose().to_owned()).filter(|user| !user.is_empty());
    Ok((user, Some(password.clone())))
}

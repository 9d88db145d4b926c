//! `RedisAddress`, parsed from a URL.

use std::fmt;

use ivy_proto::Secret;
use ivy_proto::backend::{BackendUrl, UrlProblem, segment};
use ivy_proto::config::ConfigError;
use ivy_proto::text::number;

/// The default port of Redis, with and without TLS.
const REDIS_PORT: u16 = 6379;

/// The address of a Redis server, with credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The host: a name or an address; an IPv6 address is in brackets.
    pub host: String,
    /// The port, 6379 by default.
    pub port: u16,
    /// The user name, for servers with several users.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of the database. Channels are shared by all databases.
    pub database: Option<u32>,
}

impl RedisAddress {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`ConfigError::BadUrl`] if a part of it is invalid.
    pub fn of(url: &BackendUrl) -> Result<Self, ConfigError> {
        parts(url).map_err(|problem| url.refuse(problem))
    }

    /// `host:port`.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL including the password: a secret.
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

/// Shows the URL without the credentials.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = RedisAddress { user: None, password: None, ..self.clone() };
        f.write_str(&shown.expose())
    }
}

/// Invalid credentials in a URL: the password is missing or empty.
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
/// would be shown as if it were not secret.
fn credentials(url: &BackendUrl) -> Result<(Option<String>, Option<Secret>), UrlProblem> {
    let Some(user) = url.user() else { return Ok((None, None)) };
    let password = url.password().filter(|password| !password.expose().is_empty());
    let password = password.ok_or_else(|| UrlProblem::backend(BadCredentials))?;
    let user = Some(user.expose().to_owned()).filter(|user| !user.is_empty());
    Ok((user, Some(password.clone())))
}

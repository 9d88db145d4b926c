//! The plug of Redis.

use ivy_proto::backend::{BackendUrl, NotifierBackend, Plug, QueueBackend};
use ivy_proto::config::{ConfigError, Environment, Found};
use ivy_proto::text::number;

use crate::address::RedisAddress;
use crate::queue::{Prefix, capabilities};
use crate::session::RedisSession;

/// Redis as a queue and as a notifier:
/// `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=PREFIX]`, or `rediss://` for the same over
/// TLS.
#[must_use]
pub const fn plug() -> Plug {
    Plug::new("Redis", &["redis", "rediss"])
        .with_query(&["prefix"])
        .with_queue("redis://HOST", queue)
        .with_notifier("redis://HOST", notifier)
        .with_notifier_variable("REDIS_URL")
}

fn queue(url: &BackendUrl, environment: &Environment<'_>) -> Result<QueueBackend, ConfigError> {
    let address = address(url, environment)?;
    let prefix = Prefix::from_url(url.query("prefix")).map_err(|problem| url.refuse(problem))?;
    let mut shown = address.to_string();
    if let Some(prefix) = url.query("prefix") {
        shown.push_str(&format!("?prefix={prefix}"));
    }
    let make = move |start| RedisSession::with_prefix(address.clone(), prefix.clone(), start);
    let is_secure = url.scheme() == "rediss";
    let backend = QueueBackend::session(capabilities(), is_secure, make).and_notifier();
    Ok(backend.with_address(shown))
}

fn notifier(
    url: &BackendUrl,
    environment: &Environment<'_>,
) -> Result<NotifierBackend, ConfigError> {
    let address = address(url, environment)?;
    let shown = address.to_string();
    let make = move |start| RedisSession::new(address.clone(), start);
    Ok(NotifierBackend::session(url.scheme() == "rediss", make).with_address(shown))
}

fn address(url: &BackendUrl, environment: &Environment<'_>) -> Result<RedisAddress, ConfigError> {
    let mut address = RedisAddress::of(url)?;
    if address.database.is_none() {
        address.database = database(environment)?;
    }
    Ok(address)
}

fn database(environment: &Environment<'_>) -> Result<Option<u32>, ConfigError> {
    let Some(Found { value, origin }) = environment.first(&["REDIS_DATABASE"]) else {
        return Ok(None);
    };
    let expected = "a database number in digits";
    number(&value).map(Some).ok_or(ConfigError::BadValue { origin, expected })
}

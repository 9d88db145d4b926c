//! Redis among the backends.

use ivy_proto::backend::{NotifierBackend, Place, Plug};
use ivy_proto::config::{ConfigError, Environment, Found};
use ivy_proto::text::number;

use crate::address::RedisAddress;
use crate::notifier::RedisNotifier;

/// Redis as a notifier: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for the same
/// over TLS.
#[must_use]
pub const fn plug() -> Plug {
    Plug::new("Redis", &["redis", "rediss"])
        .with_notifier("redis://HOST", notifier)
        .with_notifier_variable("REDIS_URL")
}

fn notifier(place: &Place, environment: &Environment<'_>) -> Result<NotifierBackend, ConfigError> {
    let mut address = RedisAddress::of(place)?;
    if address.database.is_none() {
        address.database = database(environment)?;
    }
    Ok(NotifierBackend::session(address.tls, move || RedisNotifier::new(address.clone())))
}

fn database(environment: &Environment<'_>) -> Result<Option<u32>, ConfigError> {
    let Some(Found { value, origin }) = environment.first(&["REDIS_DATABASE"]) else {
        return Ok(None);
    };
    let expected = "the number of a database, in digits only";
    number(&value).map(Some).ok_or(ConfigError::BadValue { origin, expected })
}

//! URLs of queues and notifiers: each valid one has one canonical form, and no secret is shown.

use ivy_ironmq::IronMqUrl;
use ivy_proto::backend::BackendUrl;
use ivy_proto::config::{Config, ConfigError, Environment, Origin};
use ivy_redis::RedisAddress;

/// Occurs in no other part of a URL.
const SECRET: &str = "Zq7Secret7Zq";

/// A URL, or almost one.
pub fn config_url(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(place) = parse(&text) {
        assert_eq!(parse(&place.expose()).as_ref(), Ok(&place));
        if let Ok(url) = IronMqUrl::of(&place) {
            assert_eq!(parse(&url.expose()).and_then(|place| IronMqUrl::of(&place)), Ok(url));
        }
        if let Ok(address) = RedisAddress::of(&place) {
            assert_eq!(
                parse(&address.expose()).and_then(|place| RedisAddress::of(&place)),
                Ok(address)
            );
        }
    }
    // The same with a secret, directly after the scheme and in place of a password.
    if text.contains(SECRET) {
        return;
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        hides_secret(&format!("{scheme}://{SECRET}{rest}"));
    }
    if let Some((before, after)) = text.rsplit_once('@') {
        let text = format!("{before}{SECRET}@{after}");
        hides_secret(&text);
        let place = parse(&text);
        let shown = format!("{place:?} {:?} {:?}", queue(&text), notifier(&text));
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

/// An invalid URL is not shown at all: a secret may be in any part of it.
fn hides_secret(text: &str) {
    for error in [parse(text).err(), queue(text).err(), notifier(text).err()].into_iter().flatten()
    {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

fn parse(text: &str) -> Result<BackendUrl, ConfigError> {
    BackendUrl::parse(text, Origin::Argument("URL"))
}

fn queue(url: &str) -> Result<Config, ConfigError> {
    let builder = Config::builder().backend(ivy_ironmq::plug());
    builder.queue_url(url).resolve(&Environment::empty())
}

fn notifier(url: &str) -> Result<Config, ConfigError> {
    let builder = Config::builder().backend(ivy_redis::plug());
    builder.queue_url("memory://").notifier_url(url).resolve(&Environment::empty())
}

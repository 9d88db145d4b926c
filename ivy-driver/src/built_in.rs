//! The backends that are compiled in, one line each.

use ivy_proto::backend::Plug;
use ivy_proto::config::ConfigBuilder;

/// The backends, in the order in which they are tried.
const BACKENDS: &[Plug] = &[
    #[cfg(feature = "ironmq")]
    ivy_ironmq::plug(),
    #[cfg(feature = "redis")]
    ivy_redis::plug(),
];

/// The feature that adds each scheme.
const FEATURES: &[(&str, &str)] =
    &[("ironmq", "ironmq"), ("ironmq+http", "ironmq"), ("redis", "redis"), ("rediss", "redis")];

/// A configuration that accepts the URLs of these backends.
pub(crate) fn configuration() -> ConfigBuilder {
    let builder = ConfigBuilder::default().features(FEATURES);
    BACKENDS.iter().rev().fold(builder, |builder, plug| builder.backend(*plug))
}

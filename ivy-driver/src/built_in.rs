//! The backends that are compiled in, one line each.

use ivy_proto::backend::Plug;
use ivy_proto::config::ConfigBuilder;

/// The backends, the first of which is looked for first.
const BACKENDS: &[Plug] = &[
    #[cfg(feature = "ironmq")]
    ivy_ironmq::plug(),
    #[cfg(feature = "redis")]
    ivy_redis::plug(),
];

/// Which feature brings which scheme.
const FEATURES: &[(&str, &str)] =
    &[("ironmq", "ironmq"), ("ironmq+http", "ironmq"), ("redis", "redis"), ("rediss", "redis")];

/// A configuration that understands the URLs of these backends.
pub(crate) fn configuration() -> ConfigBuilder {
    let builder = ConfigBuilder::default().features(FEATURES);
    BACKENDS.iter().rev().fold(builder, |builder, plug| builder.backend(*plug))
}

//! The plug of IronMQ.

use ivy_proto::backend::{BackendUrl, Plug, QueueBackend};
use ivy_proto::config::{ConfigError, Environment};

use crate::bad_config::BadConfig;
use crate::sources::resolve;
use crate::url::IronMqUrl;
use crate::{Address, IronMq, Token};

/// IronMQ as a backend: URLs that begin with `ironmq://` or `ironmq+http://`, and a project
/// configured as for IronMQ's own clients.
#[must_use]
pub const fn plug() -> Plug {
    Plug::new("IronMQ", &["ironmq", "ironmq+http"])
        .with_queue("ironmq://TOKEN@HOST/PROJECT_ID", queue)
        .with_queue_without_url("set IRON_MQ_TOKEN and IRON_MQ_PROJECT_ID", found)
}

fn queue(url: &BackendUrl, environment: &Environment<'_>) -> Result<QueueBackend, ConfigError> {
    let url = (IronMqUrl::of(url)?, url.origin());
    let project = resolve(Some(url), environment)?.ok_or(BadConfig::NoToken)?;
    Ok(backend(project))
}

fn found(environment: &Environment<'_>) -> Result<Option<QueueBackend>, ConfigError> {
    Ok(resolve(None, environment)?.map(backend))
}

fn backend((address, token): (Address, Token)) -> QueueBackend {
    let shown = IronMqUrl::without_token(&address).expose();
    let backend = QueueBackend::exchange(IronMq::new(&address, token)).with_address(shown);
    if !address.is_exposed() {
        return backend;
    }
    backend.with_warning(format!(
        "the token is sent unencrypted to {}; use ironmq:// instead of ironmq+http://",
        address.host()
    ))
}

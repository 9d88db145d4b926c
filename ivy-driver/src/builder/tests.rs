//! What a backend needs that may not be compiled in.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ivy_proto::backend::{Exchange, Place, QueueBackend, Step};
use ivy_proto::config::{ConfigError, Environment};
use ivy_proto::queue::{Capabilities, Oddity, QueueOp};

use super::*;
use crate::testing::Tokio;

#[derive(Debug)]
struct OverHttp {
    is_secure: bool,
}

impl Exchange for OverHttp {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker()
    }

    fn is_secure(&self) -> bool {
        self.is_secure
    }

    fn ask(&self, _: &QueueOp, _: Duration) -> Step {
        unreachable!("nothing is sent")
    }

    fn read(
        &self,
        _: &QueueOp,
        _: u8,
        _: Response<Bytes>,
        _: Duration,
        _: &mut dyn FnMut(Oddity),
    ) -> Step {
        unreachable!("nothing is sent")
    }
}

fn over_http(place: &Place, _: &Environment<'_>) -> Result<QueueBackend, ConfigError> {
    Ok(QueueBackend::exchange(OverHttp { is_secure: place.scheme() == "secure" }))
}

/// The error of a queue with this URL, if there is one.
fn refused(url: &str) -> Option<String> {
    let plug = Plug::new("own", &["plain", "secure"]).with_queue("plain://HOST", over_http);
    let builder = Ivy::<Tokio>::builder().backend(plug).queue_url(url).notifier_url("memory://");
    builder.build().err().map(|error| error.to_string())
}

/// What is compiled in.
const HTTP: bool = cfg!(feature = "http");
const CRYPTOGRAPHY: bool = cfg!(any(feature = "ring", feature = "aws-lc-rs"));

/// Whether a queue with this URL is refused for want of this feature.
fn lacks(feature: &str, url: &str) -> bool {
    refused(url).is_some_and(|error| error.contains(&format!("feature `{feature}`")))
}

#[test]
fn a_queue_over_http_without_a_client_is_refused_with_the_feature_that_brings_one() {
    assert_eq!(refused("plain://host").is_none(), HTTP);
    assert_eq!(lacks("http", "plain://host"), !HTTP);
}

#[test]
fn a_server_with_tls_without_cryptography_is_refused_with_the_feature_that_brings_it() {
    assert_eq!(refused("secure://host").is_none(), HTTP && CRYPTOGRAPHY);
    assert_eq!(lacks("ring", "secure://host"), !CRYPTOGRAPHY);
}

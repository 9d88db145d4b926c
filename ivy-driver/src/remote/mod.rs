//! Reaches servers: the executors of backends that are machines without IO, and the HTTP client,
//! written once for all runtimes.

mod exchange;
mod executor;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod informational_responses;
mod readiness;
mod session;
mod stream;
mod subscription_channel;
#[cfg(test)]
mod tests;

use crate::runtime::{HttpClient, Runtime};
use crate::tls::Tls;

pub(crate) use exchange::ExchangeQueue;
pub(crate) use session::{SessionBackend, SessionQueue};

/// The HTTP client of a runtime, over its [`Net`](crate::Net): the return value of its
/// [`Clients::http`](crate::Clients::http). `None` in a build without the feature `http`.
#[must_use]
pub fn http_client<R: Runtime>(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
    #[cfg(feature = "http")]
    let client = Some(Box::new(http::Hyper::<R>::new(tls)) as Box<dyn HttpClient>);
    #[cfg(not(feature = "http"))]
    let client = tls.and(None);
    client
}

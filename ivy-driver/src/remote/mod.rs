//! Reaches servers: the executors of backends that are machines without IO, and the HTTP client of
//! async runtimes, written once for all of them.

mod exchange;
mod executor;
#[cfg(feature = "http")]
mod http;
mod informational_responses;
mod session;
mod stream;
mod subscription_channel;
#[cfg(test)]
mod tests;

use crate::runtime::{HttpClient, Runtime};
use crate::tls::Tls;

pub(crate) use exchange::ExchangeQueue;
pub use informational_responses::InformationalResponses;
pub(crate) use session::{SessionBackend, SessionQueue};

/// The HTTP client of an async runtime, over its [`Net`](crate::Net): the return value of its
/// [`Clients::http`](crate::Clients::http). `None` in a build without the feature `http`.
#[must_use]
pub fn http_client<R: Runtime>(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
    #[cfg(feature = "http")]
    let client = Some(Box::new(http::Hyper::<R>::new(tls)) as Box<dyn HttpClient>);
    #[cfg(not(feature = "http"))]
    let client = tls.and(None);
    client
}

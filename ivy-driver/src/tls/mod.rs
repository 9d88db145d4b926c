//! TLS: one configuration for every connection.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod present;

#[cfg(not(feature = "tls"))]
use absent as either;
#[cfg(feature = "tls")]
use present as either;

pub(crate) use either::{OwnRoots, missing};
pub use either::{Tls, is_tls};

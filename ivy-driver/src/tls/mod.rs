//! TLS: one configuration for every connection.

#[cfg(not(feature = "tls"))]
mod disabled;
#[cfg(feature = "tls")]
mod enabled;

#[cfg(not(feature = "tls"))]
use disabled as either;
#[cfg(feature = "tls")]
use enabled as either;

pub use either::Tls;
pub(crate) use either::{OwnRoots, is_tls, missing};

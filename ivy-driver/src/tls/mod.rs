//! TLS: one configuration for every connection.

#[cfg(not(feature = "tls"))]
mod disabled;
#[cfg(feature = "tls")]
mod enabled;

#[cfg(not(feature = "tls"))]
use disabled as either;
#[cfg(feature = "tls")]
use enabled as either;

pub(crate) use either::{OwnRoots, missing};
pub use either::{Tls, is_tls};

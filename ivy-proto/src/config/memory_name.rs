//! The names of memories that the instances of a process share.

use std::fmt;

use crate::backend::{BackendUrl, Host, UrlProblem};

use super::MEMORY_URL;
use super::error::ConfigError;

/// The longest name, in bytes.
const MAX_LENGTH: usize = 64;

/// The name of a memory that several `Ivy` of a process share: `memory://NAME`.
///
/// It is written like the name of a host: up to 64 ASCII letters, digits, `-`, `_` and dots, whose last
/// part is no number. Upper and lower case are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryName {
    /// The URL, which is shown to people.
    url: String,
}

impl MemoryName {
    /// Reads the name in a URL of a memory. `None` if the memory is private.
    ///
    /// # Errors
    /// [`ConfigError::BadUrl`] if anything but a name follows the scheme.
    pub(super) fn of(url: &BackendUrl) -> Result<Option<Self>, ConfigError> {
        if url.is_bare() {
            return Ok(None);
        }
        let is_only_a_host = url.user().is_none() && url.port().is_none() && !url.has_path();
        match url.host() {
            Some(Host::Name(name)) if is_only_a_host && name.len() <= MAX_LENGTH => {
                Ok(Some(MemoryName { url: format!("{MEMORY_URL}{name}") }))
            }
            _ => Err(url.refuse(UrlProblem::NotAMemoryName)),
        }
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url[MEMORY_URL.len()..]
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for MemoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MemoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

//! Randomness from the system.

use crate::error::{Error, Result};

/// Random bytes, for seeds and ids.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::config(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes)
}

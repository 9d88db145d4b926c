//! Randomness from the system.

use ivy_proto::Cause;

/// Random bytes, for seeds and ids.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Cause> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| Cause::config(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes)
}

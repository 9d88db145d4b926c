//! The check of keys.

use crate::wire::Codec;
use crate::wire::crypto::EntropyPool;

use super::report::CheckFault;

/// Seals a text as each policy sends it, and opens it as the policy accepts it. Returns whether there
/// are keys. `seed` are 32 fresh random bytes.
///
/// # Errors
/// If a text does not open.
pub fn keys(codec: &Codec, seed: [u8; 32]) -> Result<bool, CheckFault> {
    let mut pool = EntropyPool::from_seed(&seed);
    codec
        .check_keys(super::NAME, &mut pool)
        .map_err(|(queue, why)| CheckFault::Keys { queue, why: why.explanation() })?;
    Ok(codec.has_password() || !codec.key_ids().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::QueueName;
    use crate::wire::crypto::samples::both;
    use crate::wire::crypto::{Encryption, Policy};

    fn checked(encryption: &Encryption) -> bool {
        keys(&Codec::new(encryption).unwrap(), [7; 32]).unwrap()
    }

    #[test]
    fn what_every_policy_seals_opens() {
        assert!(!checked(&Encryption::new()));
        for policy in
            [Policy::legacy(), Policy::bridge(), Policy::bridge_from_legacy(), Policy::v2()]
        {
            assert!(checked(&both().with_policy(policy)));
            let queue = QueueName::new("mail").unwrap();
            assert!(checked(&both().with_policy(Policy::v2()).with_queue(queue, policy)));
        }
    }
}

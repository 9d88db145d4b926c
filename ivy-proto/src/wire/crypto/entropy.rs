//! Randomness for sealing, provided by the caller and used once.

use std::fmt;

use hmac::Mac;
use zeroize::Zeroizing;

use super::cbc_hmac::{first, hmac};
use crate::rng::Rng;

/// Sixteen random bytes for one frame. Sealing consumes them, so that none are reused.
pub struct Entropy(Zeroizing<[u8; 16]>);

impl Entropy {
    /// Wraps sixteen bytes of a cryptographic generator, such as that of the operating system.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Entropy(Zeroizing::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Entropy for any number of frames, from 32 random bytes.
///
/// Each draw replaces the pool's key with one that is derived from it irreversibly, so the pool never
/// runs out, never repeats, and does not reveal earlier values. Pools with the same seed are equal:
/// use a seed for one pool only. Even with a reused seed, frames reveal only whether two messages
/// are equal, because an IV also depends on the message.
pub struct EntropyPool {
    key: Zeroizing<[u8; 32]>,
}

impl EntropyPool {
    /// A pool that is as random as its seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let code = hmac(seed).chain_update(b"ivy entropy");
        EntropyPool { key: Zeroizing::new(first(code)) }
    }

    /// The pool of a machine and its generator for jitter. The generator's values are observable;
    /// they reveal nothing about the pool.
    pub(crate) fn split(seed: [u8; 32]) -> (Rng, EntropyPool) {
        let seed = Zeroizing::new(seed);
        let jitter = first(hmac(&*seed).chain_update(b"ivy jitter"));
        (Rng::from_seed(jitter), EntropyPool::from_seed(&seed))
    }

    /// Entropy for one frame.
    pub fn draw(&mut self) -> Entropy {
        let both: Zeroizing<[u8; 48]> =
            Zeroizing::new(first(hmac(&*self.key).chain_update(b"ivy draw")));
        let (key, bytes) = both.split_at(32);
        self.key.copy_from_slice(key);
        let mut entropy = Entropy::new([0; 16]);
        entropy.0.copy_from_slice(bytes);
        entropy
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy([redacted])")
    }
}

impl fmt::Debug for EntropyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntropyPool([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_draw_repeats() {
        let mut pool = EntropyPool::from_seed(&[0; 32]);
        let drawn: BTreeSet<[u8; 16]> = (0..1000).map(|_| *pool.draw().bytes()).collect();
        assert_eq!(drawn.len(), 1000);
    }

    #[test]
    fn pools_of_different_seeds_differ() {
        let drawn = *EntropyPool::from_seed(&[1; 32]).draw().bytes();
        assert_ne!(drawn, *EntropyPool::from_seed(&[2; 32]).draw().bytes());
    }

    #[test]
    fn debug_shows_nothing() {
        let mut pool = EntropyPool::from_seed(&[1; 32]);
        assert_eq!(
            format!("{:?}{pool:?}", pool.draw()),
            "Entropy([redacted])EntropyPool([redacted])"
        );
    }
}

//! Randomness as an argument: a small generator that is seeded once.

use std::time::Duration;

/// A pseudo-random generator for jitter and simulation, xoshiro256++ by Blackman and Vigna.
///
/// The same seed gives the same numbers, so a machine's run can be replayed. Not for keys: those
/// are derived from entropy that the driver provides.
#[derive(Clone)]
pub struct Rng {
    state: [u64; 4],
}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng")
    }
}

impl Rng {
    /// A generator whose numbers depend on `seed` alone.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        let mut mix = 0u64;
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            // Mixing keeps similar seeds apart, and replaces an all-zero seed, which xoshiro cannot
            // leave.
            mix = split_mix(mix ^ u64::from_le_bytes(eight));
            *word = mix;
        }
        Rng { state }
    }

    /// A generator from a small number, for tests and simulation.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Rng::from_seed(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let number = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c2, d2) = (c ^ a, d ^ b);
        self.state = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        number
    }

    /// A uniformly distributed number from 0 to `bound`, inclusive.
    pub fn up_to(&mut self, bound: u64) -> u64 {
        let Some(range) = bound.checked_add(1) else { return self.next_u64() };
        // Numbers above the last whole multiple of the range would favour small results.
        let unfair = u64::MAX - u64::MAX % range;
        loop {
            let number = self.next_u64();
            if number < unfair {
                return number % range;
            }
        }
    }

    /// A duration from `low` to `high`, inclusive; `low` if `high` is smaller.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_nanos()).unwrap_or(u64::MAX);
        low.saturating_add(Duration::from_nanos(self.up_to(span)))
    }

    /// Sixteen random bytes.
    pub fn sixteen_bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes
    }
}

fn split_mix(previous: u64) -> u64 {
    let mut z = previous.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (mut a, mut b) = (Rng::from_number(7), Rng::from_number(7));
        for _ in 0..100 {
            assert_eq!(a.next_u64(), b.next_u64());
        }
    }

    #[test]
    fn an_all_zero_seed_gives_random_numbers_too() {
        let mut rng = Rng::from_seed([0; 32]);
        let numbers: std::collections::BTreeSet<u64> = (0..100).map(|_| rng.next_u64()).collect();
        assert_eq!(numbers.len(), 100);
    }

    #[test]
    fn numbers_stay_within_their_bound_and_reach_it() {
        let mut rng = Rng::from_number(1);
        let numbers: std::collections::BTreeSet<u64> = (0..1000).map(|_| rng.up_to(3)).collect();
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn an_inverted_range_gives_its_low_end() {
        let (low, high) = (Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(Rng::from_number(1).between(low, high), low);
    }
}

//! The ids of new keys.

use ivy_proto::wire::crypto::KeyId;

/// Digits and lower-case letters without those that are easily misread (`i`, `l`, `o`, `u`).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The length of an id. Each character encodes 5 bits, so two of a million keys share an id with a
/// probability below one in a million.
const LENGTH: usize = 12;

/// The id for these random bytes. Ids are random rather than counted per file, because a frame
/// whose id denotes different keys in two deployments counts as forged.
pub(super) fn new_id(entropy: [u8; 8]) -> KeyId {
    let bits = u64::from_le_bytes(entropy);
    let id: String = (0..LENGTH)
        .map(|position| char::from(ALPHABET[(bits >> (5 * position)) as usize % ALPHABET.len()]))
        .collect();
    KeyId::new(&id).expect("it is short and has valid characters only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_twelve_characters_that_encode_sixty_bits() {
        assert_eq!(new_id([0; 8]).as_str(), "000000000000");
        assert_eq!(new_id([0xff; 8]).as_str(), "zzzzzzzzzzzz");
        for bit in 0..60 {
            assert_ne!(new_id((1u64 << bit).to_le_bytes()), new_id([0; 8]), "bit {bit}");
        }
    }
}

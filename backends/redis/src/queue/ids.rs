//! Unique ids of messages and of reserves.

use super::receipt::ReserveId;
use super::short_text::ShortText;
use crate::planted::{Bug, count, planted};

/// The characters of base64url in ASCII order, so that encoded numbers sort as numbers.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
/// The number of characters of the time in an id: 48 bits of milliseconds.
const TIME_LENGTH: usize = 8;

/// Generates ids of messages and of reserves. They contain random bits of the client: a counter on
/// the server could go back after a restart or a failover, and repeat an id that is still in use.
#[derive(Clone, Debug)]
pub(crate) struct IdGenerator {
    message_nonce: u64,
    reserve_nonce: u64,
    message_count: u64,
    reserve_count: u64,
}

impl IdGenerator {
    /// A generator seeded with these random bytes, which must be unique per session.
    pub(crate) fn new(random: [u8; 16]) -> Self {
        let random = u128::from_le_bytes(random);
        let low = |bits: u128| (random >> bits) as u64;
        IdGenerator {
            message_nonce: low(0),
            reserve_nonce: low(64),
            message_count: 0,
            reserve_count: 0,
        }
    }

    /// A new message id, which sorts by time: 8 characters of time, 6 of the nonce, 4 of a counter.
    pub(crate) fn message_id(&mut self, unix_millis: u64) -> ShortText {
        self.message_count += 1;
        let mut id = ShortText::default();
        push(&mut id, unix_millis, TIME_LENGTH);
        push(&mut id, self.message_nonce, 6);
        push(&mut id, self.message_count, 4);
        id
    }

    /// A new id of a reserve: 8 characters of the nonce, 6 of a counter.
    pub(crate) fn reserve_id(&mut self) -> ReserveId {
        self.reserve_count += 1;
        let mut reserve_id = ShortText::default();
        let (nonce, number) = match planted(Bug::ReserveIdsFromCounter) {
            true => (0, count()),
            false => (self.reserve_nonce, self.reserve_count),
        };
        push(&mut reserve_id, nonce, 8);
        push(&mut reserve_id, number, 6);
        ReserveId::parse(reserve_id.as_str()).expect("it has this length and is ASCII")
    }
}

/// Writes the lowest bits of a number, 6 per digit.
fn push(text: &mut ShortText, number: u64, digits: usize) {
    for position in (0..digits).rev() {
        let digit = (number >> (6 * position)) & 63;
        text.push(&[DIGITS[digit as usize]]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::element::ID_LENGTH;
    use super::*;

    #[test]
    fn message_ids_sort_by_time_and_then_by_counter() {
        let mut ids = IdGenerator::new([7; 16]);
        let millis = 1_764_421_234_567;
        let generated = [millis, millis, millis + 1, millis + 64].map(|now| ids.message_id(now));
        let generated = generated.map(|id| id.as_str().to_owned());
        assert!(
            generated.is_sorted() && generated.iter().all(|id| id.len() == ID_LENGTH),
            "{generated:?}"
        );
    }

    #[test]
    fn no_id_is_repeated() {
        let mut seen = BTreeSet::new();
        for random in [[1; 16], [2; 16]] {
            let mut ids = IdGenerator::new(random);
            for _ in 0..5000 {
                assert!(seen.insert(ids.message_id(1).as_str().to_owned()));
                assert!(seen.insert(ids.reserve_id().as_str().to_owned()));
            }
        }
    }
}

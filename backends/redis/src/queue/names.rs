//! Unique names of messages and of reserves.

use super::element::ID;
use super::receipt::{UNIQUE, Unique};
use crate::planted::{Bug, count, planted};

/// The characters of base64url in ASCII order, so that encoded numbers sort as numbers.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
/// The number of characters of the time in an id: 48 bits of milliseconds.
const TIME: usize = 8;

/// Generates names of messages and of reserves. They contain random bits of the client: a counter
/// on the server could go back after a restart or a failover, and repeat a name that is still in
/// use.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    of_messages: u64,
    of_reserves: u64,
    messages: u64,
    reserves: u64,
}

impl Names {
    /// Names derived from these random bytes, which must be unique per session.
    pub(crate) fn new(random: [u8; 16]) -> Self {
        let random = u128::from_le_bytes(random);
        let low = |bits: u128| (random >> bits) as u64;
        Names { of_messages: low(0), of_reserves: low(64), messages: 0, reserves: 0 }
    }

    /// A new message id, which sorts by time: 8 characters of time, 6 of the nonce, 4 of a counter.
    pub(crate) fn message(&mut self, unix_millis: u64) -> String {
        self.messages += 1;
        let mut id = String::with_capacity(ID);
        push(&mut id, unix_millis, TIME);
        push(&mut id, self.of_messages, 6);
        push(&mut id, self.messages, 4);
        id
    }

    /// A new name of a reserve: 8 characters of the nonce, 6 of a counter.
    pub(crate) fn reserve(&mut self) -> Unique {
        self.reserves += 1;
        let mut unique = String::with_capacity(UNIQUE);
        let (nonce, number) = match planted(Bug::ReservesNamedByCounter) {
            true => (0, count()),
            false => (self.of_reserves, self.reserves),
        };
        push(&mut unique, nonce, 8);
        push(&mut unique, number, 6);
        Unique::parse(&unique).expect("it has this length and is ASCII")
    }
}

/// Writes the lowest bits of a number, 6 per digit.
fn push(text: &mut String, number: u64, digits: usize) {
    for place in (0..digits).rev() {
        let digit = (number >> (6 * place)) & 63;
        text.push(char::from(DIGITS[digit as usize]));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn message_ids_sort_by_time_and_then_by_counter() {
        let mut names = Names::new([7; 16]);
        let millis = 1_764_421_234_567;
        let ids: Vec<String> =
            [millis, millis, millis + 1, millis + 64].map(|now| names.message(now)).to_vec();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == ID), "{ids:?}");
    }

    #[test]
    fn no_name_is_repeated() {
        let mut seen = BTreeSet::new();
        for random in [[1; 16], [2; 16]] {
            let mut names = Names::new(random);
            for _ in 0..5000 {
                assert!(seen.insert(names.message(1)));
                assert!(seen.insert(names.reserve().as_str().to_owned()));
            }
        }
    }
}

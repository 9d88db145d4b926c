//! A message as the broker stores it.

use crate::id::{MessageId, ReservationId};
use crate::queue::Body;
use crate::rng::Rng;
use crate::time::Moment;

use super::request::MessageView;

/// Added to a message's number to form its id, so that all ids have 19 digits.
const FIRST_ID: u64 = 1_000_000_000_000_000_000;
/// The length of an id.
const ID_DIGITS: usize = 19;
/// The length of a reservation's id: 128 bits in hexadecimal.
const RESERVATION_DIGITS: usize = 32;

/// A message's number, counted across all queues. The id is derived from it, so that it need not be
/// stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence(u64);

impl Sequence {
    /// The number before the first message.
    pub(super) const START: Sequence = Sequence(0);

    pub(super) fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }

    pub(super) fn to_id(self) -> MessageId {
        MessageId::new(itoa::Buffer::new().format(FIRST_ID + self.0))
    }

    /// The number of an id, if this broker can have assigned it.
    pub(super) fn from_id(id: &MessageId) -> Option<Sequence> {
        let digits: &[u8; ID_DIGITS] = id.as_bytes().try_into().ok()?;
        let mut number = 0;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            // Cannot overflow, because the number of digits is fixed.
            number = number * 10 + u64::from(digit);
        }
        number.checked_sub(FIRST_ID).map(Sequence)
    }

    /// The distance from an earlier or equal number.
    pub(super) fn since(self, earlier: Sequence) -> Option<usize> {
        self.0.checked_sub(earlier.0)?.try_into().ok()
    }
}

/// A reservation's id, as its 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reservation([u8; 16]);

impl Reservation {
    pub(super) fn random(rng: &mut Rng) -> Reservation {
        Reservation(rng.sixteen_bytes())
    }

    pub(super) fn to_id(self) -> ReservationId {
        ReservationId::new(std::str::from_utf8(&self.digits()).expect("digits are ASCII"))
    }

    pub(super) fn is(self, id: &ReservationId) -> bool {
        id.as_bytes() == self.digits()
    }

    fn digits(self) -> [u8; RESERVATION_DIGITS] {
        let mut digits = [0; RESERVATION_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = hexadecimal(byte >> 4);
            pair[1] = hexadecimal(byte & 15);
        }
        digits
    }
}

/// The hexadecimal digit of a number below sixteen. Without table and branch, so that the compiler
/// can vectorize it.
fn hexadecimal(number: u8) -> u8 {
    number + b'0' + u8::from(number > 9) * (b'a' - b'9' - 1)
}

/// Whether a message can be reserved, and if not, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The next reserve can take it.
    Ready,
    /// Delayed, and not available yet.
    Delayed { until: Moment },
    /// Reserved by a consumer.
    Reserved { until: Moment, by: Reservation },
}

impl State {
    /// When the message becomes ready again by itself.
    pub(super) fn returns(self) -> Option<Moment> {
        match self {
            State::Ready => None,
            State::Delayed { until } | State::Reserved { until, .. } => Some(until),
        }
    }
}

/// A stored message. There may be millions, so it contains nothing that can be computed.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) body: Body,
    pub(super) state: State,
    /// Its position among the ready messages, kept while it is delayed or reserved.
    pub(super) position: u64,
    pub(super) expires: Moment,
    pub(super) counts: Counts,
}

/// Counts of what happened to a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// The number of reservations and touches.
    pub(super) reserved: u32,
    /// The number of releases with a failed attempt. Saturates.
    pub(super) failed: u16,
    /// The number of leases that ended. Saturates.
    pub(super) lost: u16,
}

impl Stored {
    pub(super) fn view(&self, sequence: Sequence) -> MessageView {
        MessageView {
            message: sequence.to_id(),
            body: self.body.clone(),
            reserved_count: self.counts.reserved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_message_is_small() {
        assert!(size_of::<Stored>() <= 72, "{} bytes", size_of::<Stored>());
    }

    #[test]
    fn an_id_converts_back_to_its_number() {
        let number = Sequence::START.next().next();
        assert_eq!(number.to_id().as_str(), "1000000000000000002");
        assert_eq!(Sequence::from_id(&number.to_id()), Some(number));
    }

    #[test]
    fn a_reservation_is_written_in_hexadecimal() {
        let reservation = Reservation([
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba,
            0xdc, 0xfe,
        ]);
        assert_eq!(reservation.to_id().as_str(), "0123456789abcdef1032547698badcfe");
    }

    #[test]
    fn only_the_exact_text_matches_a_reservation() {
        let mut rng = Rng::from_number(1);
        let (one, other) = (Reservation::random(&mut rng), Reservation::random(&mut rng));
        assert!(one.is(&one.to_id()));
        assert!(!one.is(&other.to_id()));
        let low = Reservation([0; 16]);
        for invalid in ["0", "", &format!("+{}", "0".repeat(31)), &"0".repeat(33)] {
            assert!(!low.is(&ReservationId::new(invalid)), "{invalid}");
        }
    }
}

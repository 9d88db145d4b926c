//! Reservations, as encoded in receipts.

use std::fmt;

use ivy_proto::ReservationId;

use super::short_text::ShortText;

/// The length of the unique id of a reserve.
pub(crate) const RESERVE_ID_LENGTH: usize = 14;

/// The unique id of one reserve, which may return up to 100 messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReserveId([u8; RESERVE_ID_LENGTH]);

impl ReserveId {
    /// Parses an id. `None` if it has the wrong length or is not ASCII.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        ReserveId::of(text.as_bytes())
    }

    fn of(text: &[u8]) -> Option<Self> {
        text.is_ascii().then_some(())?;
        text.try_into().ok().map(ReserveId)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is ASCII")
    }
}

impl fmt::Debug for ReserveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reservation of one message.
///
/// The server identifies it by its field: the unique id of the reserve, two digits for the
/// position in it, and `.K` after K touches. The receipt also contains what the client must know:
/// when the lease ends, and how many messages share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    reserve_id: ReserveId,
    position: u8,
    touches: u32,
    /// How many messages the reserve returned. Valid until it is touched.
    size: u8,
    /// When the lease ends, in ms of the server's clock.
    end: u64,
}

impl Reservation {
    /// The reservations of a reserve that returned `size` messages.
    pub(crate) fn all(reserve_id: ReserveId, size: u8, end: u64) -> impl Iterator<Item = Self> {
        (0..size).map(move |position| Reservation { reserve_id, position, touches: 0, size, end })
    }

    /// Parses the reservation in a receipt. `None` if Redis did not issue it.
    pub(crate) fn parse(id: &ReservationId) -> Option<Self> {
        let (field, rest) = split_once(id.as_bytes(), b'@')?;
        let (reserve_id, rest_of_field) = field.split_at_checked(RESERVE_ID_LENGTH)?;
        let (position, touches) = match split_once(rest_of_field, b'.') {
            None => (rest_of_field, 0),
            Some((position, touches)) => (position, digits(touches, 10)?),
        };
        let (end, size) = match split_once(rest, b'/') {
            None if touches > 0 => (rest, 1),
            Some((end, size)) if touches == 0 => (end, digits(size, 10)?),
            _ => return None,
        };
        let is_two_digits = position.len() == 2;
        let reservation = Reservation {
            reserve_id: ReserveId::of(reserve_id)?,
            position: digits(position, 10).filter(|_| is_two_digits)?.try_into().ok()?,
            touches: touches.try_into().ok()?,
            size: size.try_into().ok()?,
            end: digits(end, 16)?,
        };
        Some(reservation)
    }

    /// The encoded reservation: at most 32 bytes, up to the 999th touch.
    pub(crate) fn id(&self) -> ReservationId {
        let mut text = self.field();
        text.push(b"@");
        text.push_hex(self.end);
        if self.touches == 0 {
            text.push(b"/");
            text.push_number(self.size.into());
        }
        ReservationId::new(text.as_str())
    }

    /// The field that contains the message.
    pub(crate) fn field(&self) -> ShortText {
        let mut field = ShortText::default();
        field.push(&self.reserve_id.0);
        if self.position < 10 {
            field.push(b"0");
        }
        field.push_number(self.position.into());
        if self.touches > 0 {
            field.push(b".");
            field.push_number(self.touches.into());
        }
        field
    }

    /// The reservation that replaces this one after a touch.
    pub(crate) fn touched(&self, end: u64) -> Self {
        Reservation { touches: self.touches.saturating_add(1), size: 1, end, ..self.clone() }
    }

    /// When the lease ends, in ms of the server's clock.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The unique id of the reserve, and how many messages share its lease.
    pub(crate) fn shared(&self) -> Option<(ReserveId, usize)> {
        (self.touches == 0).then_some((self.reserve_id, self.size.into()))
    }

    /// The name of the lease, if no other message shares it.
    pub(crate) fn own_lease(&self) -> Option<ShortText> {
        match self.shared() {
            None => Some(self.field()),
            Some((reserve_id, 1)) => Some(shared_lease(reserve_id, 1)),
            Some(_) => None,
        }
    }
}

/// The name of the lease of a whole reserve.
pub(crate) fn shared_lease(reserve_id: ReserveId, size: usize) -> ShortText {
    let mut name = ShortText::default();
    name.push(&reserve_id.0);
    name.push(b"/");
    name.push_number(size as u64);
    name
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}

fn digits(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_764_421_234_567;

    fn reserved(size: u8) -> Vec<Reservation> {
        Reservation::all(ReserveId::parse("NoNcE123000001").unwrap(), size, NOW).collect()
    }

    #[test]
    fn a_receipt_contains_the_field_the_end_and_the_size_of_the_lease() {
        let all = reserved(100);
        let last = Reservation::parse(&all[99].id()).unwrap();
        assert_eq!(last, all[99]);
        assert_eq!((last.field().as_str(), last.end()), ("NoNcE12300000199", NOW));
        assert!(last.own_lease().is_none());
        assert_eq!(reserved(1)[0].own_lease().unwrap().as_str(), "NoNcE123000001/1");
        assert!(last.id().as_str().len() <= 32);
    }

    #[test]
    fn a_touched_message_has_a_lease_of_its_own() {
        let mut touched = reserved(3)[1].clone();
        for _ in 0..12 {
            touched = touched.touched(NOW + 1);
        }
        assert_eq!(Reservation::parse(&touched.id()), Some(touched.clone()));
        assert_eq!(touched.own_lease().unwrap().as_str(), "NoNcE12300000101.12");
        assert!(touched.id().as_str().len() <= 32);
    }

    #[test]
    fn an_invalid_receipt_is_refused() {
        for text in [
            "",
            "1",
            "NoNcE12300000101",
            "NoNcE12300000101@",
            "NoNcE12300000101@19a",
            "NoNcE12300000101@19a/",
            "NoNcE123000001+1@19a/1",
            "NoNcE1230000011@19a/1",
            "NoNcE12300000101.1@19a/1",
            "NoNcE12300000101.@19a",
            "NoNcE12300000101@19a/300",
            "NoNcE1230000\u{e9}01@19a/1",
        ] {
            assert_eq!(Reservation::parse(&ReservationId::new(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_reverses_encoding(text in "[NoE10.@/+a]{0,40}") {
            if let Some(read) = Reservation::parse(&ReservationId::new(&text)) {
                prop_assert_eq!(Reservation::parse(&read.id()), Some(read));
            }
        }
    }
}

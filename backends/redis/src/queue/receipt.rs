//! Reservations, as encoded in receipts.

use std::fmt;

use ivy_proto::ReservationId;

/// The length of the unique name of a reserve.
pub(crate) const RESERVE_ID_LENGTH: usize = 14;

/// The unique name of one reserve, which may return up to 100 messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReserveId([u8; RESERVE_ID_LENGTH]);

impl ReserveId {
    /// Parses a name. `None` if it has the wrong length or is not ASCII.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.is_ascii().then_some(())?;
        text.as_bytes().try_into().ok().map(ReserveId)
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
/// The server identifies it by its field: the unique name of the reserve, two digits for the
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
        let (field, rest) = id.as_str().split_once('@')?;
        let (reserve_id, rest_of_field) = field.split_at_checked(RESERVE_ID_LENGTH)?;
        let (position, touches) = match rest_of_field.split_once('.') {
            None => (rest_of_field, 0),
            Some((position, touches)) => (position, digits(touches, 10)?),
        };
        let (end, size) = match rest.split_once('/') {
            None if touches > 0 => (rest, 1),
            Some((end, size)) if touches == 0 => (end, digits(size, 10)?),
            _ => return None,
        };
        let is_two_digits = position.len() == 2;
        let reservation = Reservation {
            reserve_id: ReserveId::parse(reserve_id)?,
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
        text.push_str(&format!("@{:x}", self.end));
        if self.touches == 0 {
            text.push_str(&format!("/{}", self.size));
        }
        ReservationId::new(text)
    }

    /// The field that contains the message.
    pub(crate) fn field(&self) -> String {
        let Reservation { reserve_id, position, touches, .. } = self;
        match touches {
            0 => format!("{}{position:02}", reserve_id.as_str()),
            touches => format!("{}{position:02}.{touches}", reserve_id.as_str()),
        }
    }

    /// The reservation that replaces this one after a touch.
    pub(crate) fn touched(&self, end: u64) -> Self {
        Reservation { touches: self.touches.saturating_add(1), size: 1, end, ..self.clone() }
    }

    /// When the lease ends, in ms of the server's clock.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The unique name of the reserve, and how many messages share its lease.
    pub(crate) fn shared(&self) -> Option<(ReserveId, usize)> {
        (self.touches == 0).then_some((self.reserve_id, self.size.into()))
    }

    /// The name of the lease, if no other message shares it.
    pub(crate) fn own_lease(&self) -> Option<String> {
        match self.shared() {
            None => Some(self.field()),
            Some((reserve_id, 1)) => Some(shared_lease(reserve_id, 1)),
            Some(_) => None,
        }
    }
}

/// The name of the lease of a whole reserve.
pub(crate) fn shared_lease(reserve_id: ReserveId, size: usize) -> String {
    format!("{}/{size}", reserve_id.as_str())
}

fn digits(text: &str, radix: u32) -> Option<u64> {
    let are_digits = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    if are_digits { u64::from_str_radix(text, radix).ok() } else { None }
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
        assert_eq!(last.own_lease(), None);
        assert_eq!(reserved(1)[0].own_lease().unwrap(), "NoNcE123000001/1");
        assert!(last.id().as_str().len() <= 32);
    }

    #[test]
    fn a_touched_message_has_a_lease_of_its_own() {
        let mut touched = reserved(3)[1].clone();
        for _ in 0..12 {
            touched = touched.touched(NOW + 1);
        }
        assert_eq!(Reservation::parse(&touched.id()), Some(touched.clone()));
        assert_eq!(touched.own_lease().unwrap(), "NoNcE12300000101.12");
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
        fn any_text_is_a_reservation_or_none(text in "[NoE10.@/+a]{0,40}") {
            if let Some(read) = Reservation::parse(&ReservationId::new(&text)) {
                prop_assert_eq!(Reservation::parse(&read.id()), Some(read));
            }
        }
    }
}

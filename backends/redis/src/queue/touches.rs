//! Touches without a reply.

use std::collections::BTreeMap;

use ivy_proto::Moment;

use super::encode::Holder;
use super::receipt::Reservation;
use crate::planted::{Bug, planted};

/// The most that are remembered. The one with the earliest end is dropped first.
const MOST: usize = 10_000;

/// The reservations whose touch was sent but got no reply, so that its effect is unknown. Each is
/// remembered until its lease has ended in any case.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenTouches {
    until: BTreeMap<String, Moment>,
}

impl OpenTouches {
    /// Records that a touch of this reservation is sent. `until` is when its effect has ended. Returns
    /// whether it is the first one without a reply.
    pub(crate) fn sent(&mut self, reservation: &Reservation, until: Moment, now: Moment) -> bool {
        if self.until.len() >= MOST {
            self.until.retain(|_, until| *until > now);
            let first = self.until.iter().min_by_key(|(_, until)| **until);
            if let Some(field) = first.map(|(field, _)| field.clone())
                && self.until.len() >= MOST
            {
                self.until.remove(&field);
            }
        }
        self.until.insert(reservation.field(), until).is_none()
    }

    /// Records that the touch got a reply.
    pub(crate) fn answered(&mut self, reservation: &Reservation) {
        self.until.remove(&reservation.field());
    }

    /// The reservations that may hold the message of this one.
    pub(crate) fn holder(&self, reservation: Reservation) -> Holder {
        let is_open = !self.until.is_empty()
            && self.until.contains_key(&reservation.field())
            && !planted(Bug::TouchForgotten);
        let next = is_open.then(|| reservation.touched(reservation.end()));
        Holder { reservation, next }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::receipt::Unique;
    use super::*;

    fn reservation() -> Reservation {
        let unique = Unique::parse("NoNcE123000001").unwrap();
        Reservation::all(unique, 1, 5).next().unwrap()
    }

    #[test]
    fn a_message_may_have_either_reservation_while_a_touch_has_no_reply() {
        let mut open = OpenTouches::default();
        assert_eq!(open.holder(reservation()).next, None);
        open.sent(&reservation(), Moment::EPOCH + Duration::from_secs(1), Moment::EPOCH);
        let next = open.holder(reservation()).next.unwrap();
        assert_eq!(next.field(), "NoNcE12300000100.1");
        open.answered(&reservation());
        assert_eq!(open.holder(reservation()).next, None);
    }

    #[test]
    fn only_the_first_touch_without_a_reply_is_the_first() {
        let mut open = OpenTouches::default();
        let later = Moment::EPOCH + Duration::from_secs(1);
        assert!(open.sent(&reservation(), later, Moment::EPOCH));
        assert!(!open.sent(&reservation(), later, Moment::EPOCH));
        open.answered(&reservation());
        assert!(open.sent(&reservation(), later, Moment::EPOCH));
    }

    #[test]
    fn the_number_of_remembered_touches_is_limited() {
        let mut open = OpenTouches::default();
        let mut touched = reservation();
        for second in 0..MOST as u64 + 10 {
            open.sent(&touched, Moment::EPOCH + Duration::from_secs(second), Moment::EPOCH);
            touched = touched.touched(0);
        }
        assert_eq!(open.until.len(), MOST);
        assert_eq!(open.holder(reservation()).next, None);
    }
}

//! Touches without a reply.

use std::collections::BTreeMap;

use ivy_proto::Moment;

use super::encode::HeldMessage;
use super::receipt::Reservation;
use crate::planted::{Bug, planted};

/// The maximum number of remembered touches. The one with the earliest end is dropped first.
const MAX_TOUCHES: usize = 10_000;

/// The reservations whose touch was sent but got no reply, so that its effect is unknown. Each is
/// remembered until its lease has ended in any case.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnconfirmedTouches {
    expiry: BTreeMap<String, Moment>,
}

impl UnconfirmedTouches {
    /// Records that a touch of this reservation is sent. `until` is when its effect has ended. Returns
    /// whether it is the first one without a reply.
    pub(crate) fn sent(&mut self, reservation: &Reservation, until: Moment, now: Moment) -> bool {
        if self.expiry.len() >= MAX_TOUCHES {
            self.expiry.retain(|_, until| *until > now);
            let first = self.expiry.iter().min_by_key(|(_, until)| **until);
            if let Some(field) = first.map(|(field, _)| field.clone())
                && self.expiry.len() >= MAX_TOUCHES
            {
                self.expiry.remove(&field);
            }
        }
        self.expiry.insert(reservation.field().as_str().to_owned(), until).is_none()
    }

    /// Records that the touch got a reply.
    pub(crate) fn replied(&mut self, reservation: &Reservation) {
        self.expiry.remove(reservation.field().as_str());
    }

    /// The message of this reservation, and the reservations under which it may be.
    pub(crate) fn held_message(&self, reservation: Reservation) -> HeldMessage {
        let is_unconfirmed = !self.expiry.is_empty()
            && self.expiry.contains_key(reservation.field().as_str())
            && !planted(Bug::TouchForgotten);
        let possible_next = is_unconfirmed.then(|| reservation.touched(reservation.end()));
        HeldMessage { reservation, possible_next }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::receipt::ReserveId;
    use super::*;

    fn reservation() -> Reservation {
        let reserve_id = ReserveId::parse("NoNcE123000001").unwrap();
        Reservation::all(reserve_id, 1, 5).next().unwrap()
    }

    #[test]
    fn a_message_may_have_either_reservation_while_a_touch_has_no_reply() {
        let mut touches = UnconfirmedTouches::default();
        assert_eq!(touches.held_message(reservation()).possible_next, None);
        touches.sent(&reservation(), Moment::EPOCH + Duration::from_secs(1), Moment::EPOCH);
        let next = touches.held_message(reservation()).possible_next.unwrap();
        assert_eq!(next.field().as_str(), "NoNcE12300000100.1");
        touches.replied(&reservation());
        assert_eq!(touches.held_message(reservation()).possible_next, None);
    }

    #[test]
    fn only_the_first_touch_without_a_reply_is_the_first() {
        let mut touches = UnconfirmedTouches::default();
        let later = Moment::EPOCH + Duration::from_secs(1);
        assert!(touches.sent(&reservation(), later, Moment::EPOCH));
        assert!(!touches.sent(&reservation(), later, Moment::EPOCH));
        touches.replied(&reservation());
        assert!(touches.sent(&reservation(), later, Moment::EPOCH));
    }

    #[test]
    fn the_number_of_remembered_touches_is_limited() {
        let mut touches = UnconfirmedTouches::default();
        let mut touched = reservation();
        for second in 0..MAX_TOUCHES as u64 + 10 {
            touches.sent(&touched, Moment::EPOCH + Duration::from_secs(second), Moment::EPOCH);
            touched = touched.touched(0);
        }
        assert_eq!(touches.expiry.len(), MAX_TOUCHES);
        assert_eq!(touches.held_message(reservation()).possible_next, None);
    }
}

//! Ids are never reused.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::laws::{config, drain, input, stamp};
use super::scenario::name;
use crate::broker::{Broker, Input, Request, RequestId, Response, Target};
use crate::{MessageId, ReservationId};

/// All ids that a broker assigned, without duplicates.
#[derive(Default)]
struct UsedIds {
    messages: BTreeSet<MessageId>,
    reservations: BTreeSet<ReservationId>,
    /// The last reserved message, to be touched.
    held: Option<Target>,
}

impl UsedIds {
    fn take(&mut self, response: Response) {
        match response {
            Response::Posted(ids) => {
                for id in ids {
                    assert!(self.messages.insert(id.clone()), "message id {id} twice");
                }
            }
            Response::Reserved(deliveries) => {
                for delivery in deliveries {
                    self.reserved(delivery.message, delivery.reservation);
                }
            }
            Response::Touched(receipt) => self.reserved(receipt.message, receipt.reservation),
            _ => {}
        }
    }

    fn reserved(&mut self, message: MessageId, reservation: ReservationId) {
        assert!(self.reservations.insert(reservation.clone()), "reservation {reservation} twice");
        self.held = Some(Target { message, reservation: Some(reservation) });
    }
}

proptest! {
    #[test]
    fn ids_of_messages_and_reservations_are_unique(
        config in config(),
        inputs in vec((input(), stamp(), any::<bool>()), 1..120),
    ) {
        let mut broker = Broker::new(config, [1; 32]);
        let mut used = UsedIds::default();
        let mut touches = 0;
        for (input, stamp, touch) in inputs {
            let _ = broker.handle_input(input, stamp);
            if let Some(target) = used.held.take().filter(|_| touch) {
                touches += 1;
                for queue in ["a", "b", "dead"].map(name) {
                    let touch = Request::Touch { queue, target: target.clone(), timeout: None };
                    let id = RequestId(1_000 + touches);
                    broker.handle_input(Input::Request(id, touch), stamp).unwrap();
                }
            }
            for (_, response) in drain(&mut broker).0 {
                if let Ok(response) = response {
                    used.take(response);
                }
            }
        }
    }
}

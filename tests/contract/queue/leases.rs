//! A reserved message belongs to one worker until its lease ends or it is settled.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ivy_proto::queue::{DeliveryCount, FaultKind};
use ivy_proto::{MessageId, Receipt, ReservationId};
use tokio::time::sleep;

use super::fixture::{Fixture, batch, text};

pub(super) async fn a_reserve_returns_no_more_than_requested(fixture: Fixture) {
    fixture.post_all(batch((0..5).map(|number| number.to_string()))).await;
    assert_eq!(fixture.reserve(2).await.len(), 2);
    assert_eq!(fixture.reserve(100).await.len(), 3);
}

pub(super) async fn a_reserve_of_an_empty_queue_returns_nothing(fixture: Fixture) {
    assert!(fixture.reserve(1).await.is_empty(), "the queue does not exist");
    fixture.post("hello").await;
    fixture.delete(&fixture.reserve_one().await.receipt).await.unwrap();
    assert!(fixture.reserve(1).await.is_empty());
}

pub(super) async fn a_reserved_message_is_delivered_to_no_other_worker(fixture: Fixture) {
    fixture.post("hello").await;
    fixture.reserve_one().await;
    assert!(fixture.reserve(1).await.is_empty());
    assert_eq!(fixture.size().await, Ok(Some(1)));
}

pub(super) async fn concurrent_reserves_return_distinct_messages(fixture: Fixture) {
    fixture.post_all(batch((0..50).map(|number| number.to_string()))).await;
    let reserved = join_all((0..10).map(|_| fixture.reserve(10))).await;
    let all: Vec<MessageId> =
        reserved.into_iter().flatten().map(|message| message.receipt.message).collect();
    assert_eq!(all.len(), 50);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 50);
}

pub(super) async fn a_message_whose_lease_has_ended_is_delivered_again(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    let id = fixture.post("hello").await;
    let first = fixture.reserve_one().await;
    let (second, waited) = fixture.reserve_soon().await;
    assert_eq!((&second.receipt.message, text(&second.body).as_str()), (&id, "hello"));
    assert_ne!(second.receipt, first.receipt);
    assert!(waited > fixture.lease / 2, "{waited:?}");
}

pub(super) async fn a_deleted_message_is_not_delivered_again(fixture: Fixture) {
    fixture.post("hello").await;
    fixture.delete(&fixture.reserve_one().await.receipt).await.unwrap();
    sleep(fixture.lease * 2).await;
    assert!(fixture.reserve(1).await.is_empty());
    assert_eq!(fixture.size().await, Ok(Some(0)));
}

pub(super) async fn several_messages_are_deleted_at_once(fixture: Fixture) {
    fixture.post_all(batch((0..3).map(|number| number.to_string()))).await;
    let receipts = fixture.reserve(3).await.into_iter().map(|message| message.receipt).collect();
    assert_eq!(fixture.delete_many(receipts).await, Ok(vec![Ok(()); 3]));
    assert_eq!(fixture.size().await, Ok(Some(0)));
}

/// A backend that cannot report which receipt it refuses deletes none, or treats a message that was
/// deleted before as deleted.
pub(super) async fn a_missing_message_does_not_prevent_deleting_the_others(fixture: Fixture) {
    fixture.post_all(batch((0..3).map(|number| number.to_string()))).await;
    let receipts: Vec<Receipt> =
        fixture.reserve(3).await.into_iter().map(|message| message.receipt).collect();
    fixture.delete(&receipts[1]).await.unwrap();
    match fixture.delete_many(receipts).await {
        Ok(entries) => {
            assert_eq!((entries[0], entries[2]), (Ok(()), Ok(())));
            if entries[1].is_err() {
                fixture.assert_stale(entries[1]);
            }
            assert_eq!(fixture.size().await, Ok(Some(0)));
        }
        Err(kind) => {
            fixture.assert_stale(Err::<(), _>(kind));
            assert_eq!(fixture.size().await, Ok(Some(2)));
        }
    }
}

pub(super) async fn a_receipt_whose_lease_has_ended_deletes_nothing(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    let first = fixture.reserve_one().await.receipt;
    // Until the next operation, a server may not have noticed that the lease has ended.
    let (second, _) = fixture.reserve_soon().await;
    fixture.assert_stale(fixture.delete(&first).await);
    fixture.delete_held(&second.receipt).await;
}

pub(super) async fn a_receipt_of_a_message_that_was_reserved_again_does_nothing(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    let first = fixture.reserve_one().await.receipt;
    let (second, _) = fixture.reserve_soon().await;
    fixture.assert_stale(fixture.touch(&first).await);
    fixture.assert_stale(fixture.release(&first).await);
    if fixture.capabilities().refuses_stale_receipts {
        assert!(fixture.reserve(1).await.is_empty(), "the second worker still holds it");
    }
    fixture.delete_held(&second.receipt).await;
}

pub(super) async fn the_receipt_of_a_deleted_message_is_refused(fixture: Fixture) {
    fixture.post("hello").await;
    let receipt = fixture.reserve_one().await.receipt;
    fixture.delete(&receipt).await.unwrap();
    fixture.assert_stale(fixture.delete(&receipt).await);
    fixture.assert_stale(fixture.touch(&receipt).await);
    fixture.assert_stale(fixture.release(&receipt).await);
}

pub(super) async fn a_touch_extends_the_lease(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    let mut receipt = fixture.reserve_one().await.receipt;
    for _ in 0..3 {
        sleep(fixture.lease / 2).await;
        receipt = fixture.touch(&receipt).await.unwrap();
    }
    assert!(fixture.reserve(1).await.is_empty());
    fixture.delete(&receipt).await.unwrap();
}

pub(super) async fn a_touch_may_be_repeated_with_its_new_receipt(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    let mut receipt = fixture.reserve_one().await.receipt;
    for _ in 0..10 {
        receipt = fixture.touch(&receipt).await.unwrap();
    }
    fixture.release(&receipt).await.unwrap();
    assert_eq!(text(&fixture.reserve_one().await.body), "hello");
}

pub(super) async fn a_replaced_receipt_deletes_nothing(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    let first = fixture.reserve_one().await.receipt;
    let second = fixture.touch(&first).await.unwrap();
    fixture.assert_stale(fixture.delete(&first).await);
    fixture.delete_held(&second).await;
}

pub(super) async fn a_released_message_is_delivered_again_immediately(fixture: Fixture) {
    let id = fixture.post("hello").await;
    fixture.release(&fixture.reserve_one().await.receipt).await.unwrap();
    assert_eq!(fixture.reserve_one().await.receipt.message, id);
}

pub(super) async fn a_message_released_with_a_delay_is_delivered_after_the_delay(fixture: Fixture) {
    fixture.post("hello").await;
    let receipt = fixture.reserve_one().await.receipt;
    fixture.release_for(&receipt, std::time::Duration::from_secs(2)).await.unwrap();
    assert!(fixture.reserve(1).await.is_empty());
    let (_, waited) = fixture.reserve_soon().await;
    assert!(waited > std::time::Duration::from_secs(1), "{waited:?}");
}

pub(super) async fn the_receipt_of_a_released_message_is_refused(fixture: Fixture) {
    fixture.post("hello").await;
    let receipt = fixture.reserve_one().await.receipt;
    fixture.release(&receipt).await.unwrap();
    fixture.assert_stale(fixture.release(&receipt).await);
    fixture.assert_stale(fixture.delete(&receipt).await);
    if fixture.capabilities().refuses_stale_receipts {
        assert_eq!(fixture.reserve(1).await.len(), 1);
    }
}

pub(super) async fn a_message_that_never_existed_cannot_be_settled(fixture: Fixture) {
    fixture.post("hello").await;
    let reservation = ReservationId::new("1");
    let receipt = Receipt { message: MessageId::new("1"), reservation };
    for settled in [fixture.delete(&receipt).await, fixture.release(&receipt).await] {
        let kind = settled.unwrap_err();
        let kinds = [FaultKind::LeaseLost, FaultKind::NoMessage, FaultKind::Refused];
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    assert_eq!(fixture.reserve(1).await.len(), 1);
}

/// An exact count contains how each earlier delivery ended; any other count is at least the number
/// of all of them.
pub(super) async fn every_delivery_is_counted(fixture: Fixture) {
    fixture.post("hello").await;
    for (delivery, failed) in [(1, false), (2, true), (3, true)] {
        let message = fixture.reserve_one().await;
        match message.deliveries {
            DeliveryCount::Exact { failed, lost } => {
                assert_eq!((failed, lost), (delivery.max(2) - 2, 0));
            }
            count => assert!(count.upper_bound().is_none_or(|count| count >= delivery)),
        }
        fixture.release_after_attempt(&message.receipt, failed).await.unwrap();
    }
}

pub(super) async fn a_lease_that_ended_is_counted_as_lost(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    fixture.reserve_one().await;
    let (message, _) = fixture.reserve_soon().await;
    match message.deliveries {
        DeliveryCount::Exact { failed, lost } => assert_eq!((failed, lost), (0, 1)),
        count => assert!(count.upper_bound().is_none_or(|count| count >= 2)),
    }
}

pub(super) async fn a_renewal_is_not_counted_if_the_count_is_exact(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    fixture.post("hello").await;
    let mut receipt = fixture.reserve_one().await.receipt;
    for _ in 0..3 {
        receipt = fixture.touch(&receipt).await.unwrap();
    }
    fixture.release(&receipt).await.unwrap();
    if let DeliveryCount::Exact { failed, lost } = fixture.reserve_one().await.deliveries {
        assert_eq!((failed, lost), (0, 0));
    }
}

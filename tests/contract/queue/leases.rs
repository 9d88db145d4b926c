//! A reserved message is one worker's, until its lease ends or it is settled.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ivy_proto::queue::{DeliveryCount, FaultKind};
use ivy_proto::{MessageId, Receipt, ReservationId};
use tokio::time::sleep;

use super::bench::{Bench, batch, text};

pub(super) async fn a_reserve_brings_no_more_than_it_asks_for(bench: Bench) {
    bench.post_all(batch((0..5).map(|number| number.to_string()))).await;
    assert_eq!(bench.reserve(2).await.len(), 2);
    assert_eq!(bench.reserve(100).await.len(), 3);
}

pub(super) async fn a_reserve_of_an_empty_queue_brings_nothing(bench: Bench) {
    assert!(bench.reserve(1).await.is_empty(), "it does not exist");
    bench.post("hello").await;
    bench.delete(&bench.reserve_one().await.receipt).await.unwrap();
    assert!(bench.reserve(1).await.is_empty());
}

pub(super) async fn a_reserved_message_is_given_to_nobody_else(bench: Bench) {
    bench.post("hello").await;
    bench.reserve_one().await;
    assert!(bench.reserve(1).await.is_empty());
    assert_eq!(bench.size().await, Ok(Some(1)));
}

pub(super) async fn reserves_at_a_time_share_no_message(bench: Bench) {
    bench.post_all(batch((0..50).map(|number| number.to_string()))).await;
    let reserved = join_all((0..10).map(|_| bench.reserve(10))).await;
    let all: Vec<MessageId> =
        reserved.into_iter().flatten().map(|message| message.receipt.message).collect();
    assert_eq!(all.len(), 50);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 50);
}

pub(super) async fn a_message_whose_lease_has_ended_is_given_again(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    let id = bench.post("hello").await;
    let first = bench.reserve_one().await;
    let (second, waited) = bench.reserve_soon().await;
    assert_eq!((&second.receipt.message, text(&second.body).as_str()), (&id, "hello"));
    assert_ne!(second.receipt, first.receipt);
    assert!(waited > bench.lease / 2, "{waited:?}");
}

pub(super) async fn a_deleted_message_does_not_come_again(bench: Bench) {
    bench.post("hello").await;
    bench.delete(&bench.reserve_one().await.receipt).await.unwrap();
    sleep(bench.lease * 2).await;
    assert!(bench.reserve(1).await.is_empty());
    assert_eq!(bench.size().await, Ok(Some(0)));
}

pub(super) async fn many_are_deleted_at_a_time(bench: Bench) {
    bench.post_all(batch((0..3).map(|number| number.to_string()))).await;
    let receipts = bench.reserve(3).await.into_iter().map(|message| message.receipt).collect();
    assert_eq!(bench.delete_many(receipts).await, Ok(vec![Ok(()); 3]));
    assert_eq!(bench.size().await, Ok(Some(0)));
}

/// A backend that cannot say which one it refuses deletes none, or takes one that was deleted before for
/// deleted.
pub(super) async fn of_many_one_that_is_gone_costs_no_other(bench: Bench) {
    bench.post_all(batch((0..3).map(|number| number.to_string()))).await;
    let receipts: Vec<Receipt> =
        bench.reserve(3).await.into_iter().map(|message| message.receipt).collect();
    bench.delete(&receipts[1]).await.unwrap();
    match bench.delete_many(receipts).await {
        Ok(entries) => {
            assert_eq!((entries[0], entries[2]), (Ok(()), Ok(())));
            if entries[1].is_err() {
                bench.assert_worthless(entries[1]);
            }
            assert_eq!(bench.size().await, Ok(Some(0)));
        }
        Err(kind) => {
            bench.assert_worthless(Err::<(), _>(kind));
            assert_eq!(bench.size().await, Ok(Some(2)));
        }
    }
}

pub(super) async fn a_receipt_whose_lease_has_ended_deletes_nothing(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    let first = bench.reserve_one().await.receipt;
    // Until somebody looks, a server may not have noticed that the lease has ended.
    let (second, _) = bench.reserve_soon().await;
    bench.assert_worthless(bench.delete(&first).await);
    bench.delete_held(&second.receipt).await;
}

pub(super) async fn a_receipt_of_a_message_that_was_reserved_again_does_nothing(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    let first = bench.reserve_one().await.receipt;
    let (second, _) = bench.reserve_soon().await;
    bench.assert_worthless(bench.touch(&first).await);
    bench.assert_worthless(bench.release(&first).await);
    if bench.capabilities().refuses_stale_receipts {
        assert!(bench.reserve(1).await.is_empty(), "it is still the second one's");
    }
    bench.delete_held(&second.receipt).await;
}

pub(super) async fn a_deleted_message_is_gone_for_its_receipt(bench: Bench) {
    bench.post("hello").await;
    let receipt = bench.reserve_one().await.receipt;
    bench.delete(&receipt).await.unwrap();
    bench.assert_worthless(bench.delete(&receipt).await);
    bench.assert_worthless(bench.touch(&receipt).await);
    bench.assert_worthless(bench.release(&receipt).await);
}

pub(super) async fn a_touch_lengthens_the_lease(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    let mut receipt = bench.reserve_one().await.receipt;
    for _ in 0..3 {
        sleep(bench.lease / 2).await;
        receipt = bench.touch(&receipt).await.unwrap();
    }
    assert!(bench.reserve(1).await.is_empty());
    bench.delete(&receipt).await.unwrap();
}

pub(super) async fn a_touch_may_be_repeated_by_its_new_receipt(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    let mut receipt = bench.reserve_one().await.receipt;
    for _ in 0..10 {
        receipt = bench.touch(&receipt).await.unwrap();
    }
    bench.release(&receipt).await.unwrap();
    assert_eq!(text(&bench.reserve_one().await.body), "hello");
}

pub(super) async fn a_receipt_that_was_replaced_deletes_nothing(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    let first = bench.reserve_one().await.receipt;
    let second = bench.touch(&first).await.unwrap();
    bench.assert_worthless(bench.delete(&first).await);
    bench.delete_held(&second).await;
}

pub(super) async fn a_released_message_is_given_again_at_once(bench: Bench) {
    let id = bench.post("hello").await;
    bench.release(&bench.reserve_one().await.receipt).await.unwrap();
    assert_eq!(bench.reserve_one().await.receipt.message, id);
}

pub(super) async fn a_message_that_is_released_with_a_delay_comes_after_it(bench: Bench) {
    bench.post("hello").await;
    let receipt = bench.reserve_one().await.receipt;
    bench.release_for(&receipt, std::time::Duration::from_secs(2)).await.unwrap();
    assert!(bench.reserve(1).await.is_empty());
    let (_, waited) = bench.reserve_soon().await;
    assert!(waited > std::time::Duration::from_secs(1), "{waited:?}");
}

pub(super) async fn a_released_message_is_gone_for_its_receipt(bench: Bench) {
    bench.post("hello").await;
    let receipt = bench.reserve_one().await.receipt;
    bench.release(&receipt).await.unwrap();
    bench.assert_worthless(bench.release(&receipt).await);
    bench.assert_worthless(bench.delete(&receipt).await);
    if bench.capabilities().refuses_stale_receipts {
        assert_eq!(bench.reserve(1).await.len(), 1);
    }
}

pub(super) async fn a_message_that_was_never_there_cannot_be_settled(bench: Bench) {
    bench.post("hello").await;
    let reservation = ReservationId::new("1");
    let receipt = Receipt { message: MessageId::new("1"), reservation };
    for settled in [bench.delete(&receipt).await, bench.release(&receipt).await] {
        let kind = settled.unwrap_err();
        let kinds = [FaultKind::LeaseLost, FaultKind::NoMessage, FaultKind::Refused];
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    assert_eq!(bench.reserve(1).await.len(), 1);
}

/// A count that is exact says how each earlier delivery ended, any other is at least that of all of them.
pub(super) async fn the_count_of_deliveries_misses_none(bench: Bench) {
    bench.post("hello").await;
    for (delivery, failed) in [(1, false), (2, true), (3, true)] {
        let message = bench.reserve_one().await;
        match message.deliveries {
            DeliveryCount::Exact { failed, lost } => {
                assert_eq!((failed, lost), (delivery.max(2) - 2, 0));
            }
            count => assert!(count.upper_bound().is_none_or(|count| count >= delivery)),
        }
        bench.release_after_attempt(&message.receipt, failed).await.unwrap();
    }
}

pub(super) async fn a_lease_that_ended_is_counted_as_lost(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    bench.reserve_one().await;
    let (message, _) = bench.reserve_soon().await;
    match message.deliveries {
        DeliveryCount::Exact { failed, lost } => assert_eq!((failed, lost), (0, 1)),
        count => assert!(count.upper_bound().is_none_or(|count| count >= 2)),
    }
}

pub(super) async fn a_renewal_is_not_counted_where_the_count_is_exact(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    bench.post("hello").await;
    let mut receipt = bench.reserve_one().await.receipt;
    for _ in 0..3 {
        receipt = bench.touch(&receipt).await.unwrap();
    }
    bench.release(&receipt).await.unwrap();
    if let DeliveryCount::Exact { failed, lost } = bench.reserve_one().await.deliveries {
        assert_eq!((failed, lost), (0, 0));
    }
}

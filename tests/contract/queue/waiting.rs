//! A reserve that waits. Where the queue does not wait, nothing is asked here.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use ivy_proto::queue::{QueueOp, ReservedMessage};
use tokio::time::{Instant, sleep};

use super::bench::{Bench, text};

/// Much shorter than what a case waits for, and long enough to be waiting by then.
const MOMENT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

/// What a reserve brings that waits while something else happens.
async fn while_waiting(
    bench: &Bench,
    happens: impl Future<Output = ()>,
) -> Option<Vec<ReservedMessage>> {
    if bench.capabilities().long_poll.is_zero() {
        return None;
    }
    let happens = async {
        sleep(MOMENT).await;
        happens.await;
    };
    Some(join(bench.reserve_within(1, LONG), happens).await.0)
}

/// A message that another worker holds.
async fn held(bench: &Bench) -> ReservedMessage {
    bench.post("hello").await;
    bench.reserve_one().await
}

/// A queue that exists and is empty.
async fn empty(bench: &Bench) {
    bench.delete(&held(bench).await.receipt).await.unwrap();
}

pub(super) async fn a_reserve_that_waits_is_answered_when_a_message_is_posted(bench: Bench) {
    empty(&bench).await;
    let posts = async {
        bench.post("now").await;
    };
    if let Some(messages) = while_waiting(&bench, posts).await {
        assert_eq!(text(&messages[0].body), "now");
    }
}

pub(super) async fn a_reserve_that_waits_is_answered_when_a_delay_ends(bench: Bench) {
    empty(&bench).await;
    bench.post_later("later", Duration::from_secs(2)).await;
    if let Some(messages) = while_waiting(&bench, async {}).await {
        assert_eq!(text(&messages[0].body), "later");
    }
}

pub(super) async fn a_reserve_that_waits_is_answered_when_a_lease_ends(bench: Bench) {
    if !bench.has_timed_leases() {
        return;
    }
    held(&bench).await;
    if let Some(messages) = while_waiting(&bench, async {}).await {
        assert_eq!(messages.len(), 1);
    }
}

pub(super) async fn a_reserve_that_waits_is_answered_when_a_message_is_released(bench: Bench) {
    let message = held(&bench).await;
    let releases = async { bench.release(&message.receipt).await.unwrap() };
    if let Some(messages) = while_waiting(&bench, releases).await {
        assert_eq!(messages[0].receipt.message, message.receipt.message);
    }
}

pub(super) async fn a_reserve_waits_no_longer_than_it_was_asked_to(bench: Bench) {
    empty(&bench).await;
    if bench.capabilities().long_poll.is_zero() {
        return;
    }
    let since = Instant::now();
    assert!(bench.reserve_within(1, Duration::from_secs(2)).await.is_empty());
    assert!(since.elapsed() >= Duration::from_millis(1900), "{:?}", since.elapsed());
}

pub(super) async fn a_reserve_that_waits_holds_no_other_operation_up(bench: Bench) {
    empty(&bench).await;
    let others = async {
        let other = bench.on("contract.held_up");
        other.post("hello").await;
        other.delete(&other.reserve_one().await.receipt).await.unwrap();
        bench.post("now").await;
    };
    if let Some(messages) = while_waiting(&bench, others).await {
        assert_eq!(text(&messages[0].body), "now");
    }
}

pub(super) async fn of_many_that_wait_one_gets_the_message(bench: Bench) {
    empty(&bench).await;
    if bench.capabilities().long_poll.is_zero() {
        return;
    }
    let wait = Duration::from_secs(2);
    let posts = async {
        sleep(MOMENT).await;
        bench.post("now").await;
    };
    let waiting = join_all((0..5).map(|_| bench.reserve_within(1, wait)));
    let (reserved, ()) = join(waiting, posts).await;
    // Within the waits, the lease of the one that got it may end.
    assert_eq!(reserved.iter().filter(|messages| !messages.is_empty()).count(), 1);
}

pub(super) async fn a_cancelled_reserve_keeps_no_message(bench: Bench) {
    empty(&bench).await;
    let capabilities = bench.capabilities();
    if capabilities.long_poll.is_zero() {
        return;
    }
    let (queue, lease) = (bench.queue.clone(), bench.lease);
    let op = QueueOp::Reserve { queue, count: 1, lease, wait: LONG };
    let mut waiting = bench.backend.execute(op);
    assert!((&mut waiting).now_or_never().is_none());
    sleep(MOMENT).await;
    drop(waiting);
    bench.post("now").await;
    if capabilities.takes_back_reserves {
        assert_eq!(text(&bench.reserve_one().await.body), "now");
    } else {
        // Whoever was gone already may have taken it along, for one lease.
        assert_eq!(text(&bench.reserve_soon().await.0.body), "now");
    }
}

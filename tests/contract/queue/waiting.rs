//! A reserve that waits. These cases do nothing if the queue does not support waiting.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use ivy_proto::queue::{QueueOp, ReservedMessage};
use tokio::time::{Instant, sleep};

use super::fixture::{Fixture, text};

/// Much shorter than what a case waits for, and long enough for the reserve to be waiting by then.
const SETUP_TIME: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

/// What a waiting reserve returns while something else happens.
async fn while_waiting(
    fixture: &Fixture,
    meanwhile: impl Future<Output = ()>,
) -> Option<Vec<ReservedMessage>> {
    if fixture.capabilities().long_poll.is_zero() {
        return None;
    }
    let meanwhile = async {
        sleep(SETUP_TIME).await;
        meanwhile.await;
    };
    Some(join(fixture.reserve_within(1, LONG), meanwhile).await.0)
}

/// A message that another worker holds.
async fn held(fixture: &Fixture) -> ReservedMessage {
    fixture.post("hello").await;
    fixture.reserve_one().await
}

/// A queue that exists and is empty.
async fn empty(fixture: &Fixture) {
    fixture.delete(&held(fixture).await.receipt).await.unwrap();
}

pub(super) async fn a_waiting_reserve_returns_when_a_message_is_posted(fixture: Fixture) {
    empty(&fixture).await;
    let posts = async {
        fixture.post("now").await;
    };
    if let Some(messages) = while_waiting(&fixture, posts).await {
        assert_eq!(text(&messages[0].body), "now");
    }
}

pub(super) async fn a_waiting_reserve_returns_when_a_delay_ends(fixture: Fixture) {
    empty(&fixture).await;
    fixture.post_later("later", Duration::from_secs(2)).await;
    if let Some(messages) = while_waiting(&fixture, async {}).await {
        assert_eq!(text(&messages[0].body), "later");
    }
}

pub(super) async fn a_waiting_reserve_returns_when_a_lease_ends(fixture: Fixture) {
    if !fixture.has_timed_leases() {
        return;
    }
    held(&fixture).await;
    if let Some(messages) = while_waiting(&fixture, async {}).await {
        assert_eq!(messages.len(), 1);
    }
}

pub(super) async fn a_waiting_reserve_returns_when_a_message_is_released(fixture: Fixture) {
    let message = held(&fixture).await;
    let releases = async { fixture.release(&message.receipt).await.unwrap() };
    if let Some(messages) = while_waiting(&fixture, releases).await {
        assert_eq!(messages[0].receipt.message, message.receipt.message);
    }
}

pub(super) async fn a_reserve_waits_no_longer_than_requested(fixture: Fixture) {
    empty(&fixture).await;
    if fixture.capabilities().long_poll.is_zero() {
        return;
    }
    let since = Instant::now();
    assert!(fixture.reserve_within(1, Duration::from_secs(2)).await.is_empty());
    assert!(since.elapsed() >= Duration::from_millis(1900), "{:?}", since.elapsed());
}

pub(super) async fn a_waiting_reserve_delays_no_other_operation(fixture: Fixture) {
    empty(&fixture).await;
    let others = async {
        let other = fixture.on("contract.held_up");
        other.post("hello").await;
        other.delete(&other.reserve_one().await.receipt).await.unwrap();
        fixture.post("now").await;
    };
    if let Some(messages) = while_waiting(&fixture, others).await {
        assert_eq!(text(&messages[0].body), "now");
    }
}

pub(super) async fn one_of_many_waiting_reserves_gets_the_message(fixture: Fixture) {
    empty(&fixture).await;
    if fixture.capabilities().long_poll.is_zero() {
        return;
    }
    let wait = Duration::from_secs(2);
    let posts = async {
        sleep(SETUP_TIME).await;
        fixture.post("now").await;
    };
    let waiting = join_all((0..5).map(|_| fixture.reserve_within(1, wait)));
    let (reserved, ()) = join(waiting, posts).await;
    // The waits end before the lease of the reserve that got the message.
    assert_eq!(reserved.iter().filter(|messages| !messages.is_empty()).count(), 1);
}

pub(super) async fn a_cancelled_reserve_loses_no_message(fixture: Fixture) {
    empty(&fixture).await;
    let capabilities = fixture.capabilities();
    if capabilities.long_poll.is_zero() {
        return;
    }
    let (queue, lease) = (fixture.queue.clone(), fixture.lease);
    let op = QueueOp::Reserve { queue, count: 1, lease, wait: LONG };
    let mut waiting = fixture.backend.execute(op);
    assert!((&mut waiting).now_or_never().is_none());
    sleep(SETUP_TIME).await;
    drop(waiting);
    fixture.post("now").await;
    if capabilities.takes_back_reserves {
        assert_eq!(text(&fixture.reserve_one().await.body), "now");
    } else {
        // A cancelled reserve may still have reserved it, for one lease.
        assert_eq!(text(&fixture.reserve_soon().await.0.body), "now");
    }
}

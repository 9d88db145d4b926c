//! Recorded notices that arrive in pieces, through the Redis clients of the three adapters: however
//! the bytes are split, the notice is the same.

use futures_util::StreamExt;
use ivy_core_tests::recorded::NOTICES;
use ivy_driver::{Ivy, Runtime, SubscriptionEvent};
use ivy_proto::{ChannelName, Rng};
use ivy_test_kit::{ScriptedRedis, cut_at_two_positions};

/// At how many pairs of positions each notice is cut, for each client. All pairs are too many.
const PAIRS: usize = 100;

async fn each_recorded_notice_survives_being_split<R: Runtime>() {
    let redis = ScriptedRedis::start();
    let url = redis.url("pass");
    let ivy =
        Ivy::<R>::builder().queue_url("memory://").notifier_url(url.as_str()).build().unwrap();
    let client = ivy.notifier().expect("a notifier is configured");
    let channel = ChannelName::new("ivy-notifier").unwrap();
    let mut rng = Rng::from_number(22);
    for notice in NOTICES {
        let mut events = client.subscribe(vec![channel.clone()]);
        assert!(matches!(events.next().await, Some(SubscriptionEvent::Subscribed)));
        for _ in 0..PAIRS {
            redis.publish_in_pieces(channel.as_str(), notice.as_bytes(), |message| {
                cut_at_two_positions(message, &mut rng)
            });
            match events.next().await {
                Some(SubscriptionEvent::Notice { payload, .. }) => {
                    assert_eq!(payload, notice.as_bytes())
                }
                other => panic!("{other:?}"),
            }
        }
        drop(events);
        redis.disconnect_subscribers();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_in_pieces_is_the_same_with_tokio() {
    each_recorded_notice_survives_being_split::<ivy_tokio::Tokio>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_in_pieces_is_the_same_with_async_std() {
    each_recorded_notice_survives_being_split::<ivy_async_std::AsyncStd>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_in_pieces_is_the_same_with_threads() {
    each_recorded_notice_survives_being_split::<ivy_blocking::Runtime>().await;
}

//! Recorded notices that come in pieces, through the Redis clients of the three adapters: however the
//! bytes of a notice are told apart on their way, it is the same notice.

use futures_util::StreamExt;
use ivy_core_tests::recorded::NOTICES;
use ivy_driver::{Ivy, Runtime, SubscriptionEvent};
use ivy_proto::{ChannelName, Rng};
use ivy_test_kit::{ScriptedRedis, cut_at_two};

/// At how many pairs of places each notice is cut, for each client. All pairs are too many.
const PAIRS: usize = 100;

async fn each_recorded_notice_survives_its_pieces<R: Runtime>() {
    let redis = ScriptedRedis::start();
    let url = redis.url("pass");
    let ivy =
        Ivy::<R>::builder().queue_url("memory://").notifier_url(url.as_str()).build().unwrap();
    let client = ivy.notifier().expect("it was given");
    let channel = ChannelName::new("ivy-notifier").unwrap();
    let mut rng = Rng::from_number(22);
    for notice in NOTICES {
        let mut heard = client.subscribe(vec![channel.clone()]);
        assert!(matches!(heard.next().await, Some(SubscriptionEvent::Subscribed)));
        for _ in 0..PAIRS {
            redis.publish_in_pieces(channel.as_str(), notice.as_bytes(), |message| {
                cut_at_two(message, &mut rng)
            });
            match heard.next().await {
                Some(SubscriptionEvent::Notice { payload, .. }) => {
                    assert_eq!(payload, notice.as_bytes())
                }
                other => panic!("{other:?}"),
            }
        }
        drop(heard);
        redis.disconnect_subscribers();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_make_the_same_notice_with_tokio() {
    each_recorded_notice_survives_its_pieces::<ivy_tokio::Tokio>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_make_the_same_notice_with_async_std() {
    each_recorded_notice_survives_its_pieces::<ivy_async_std::AsyncStd>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_make_the_same_notice_with_threads() {
    each_recorded_notice_survives_its_pieces::<ivy_blocking::Runtime>().await;
}

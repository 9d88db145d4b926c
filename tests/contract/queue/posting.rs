//! Posted messages arrive unchanged, once they are due.

use std::collections::BTreeSet;
use std::time::Duration;

use ivy_proto::queue::{Effect, QueueOp, QueueReply};

use super::fixture::{Fixture, batch, text};

pub(super) async fn a_message_arrives_as_it_was_posted(fixture: Fixture) {
    for posted in [
        "{\"name\":\"a\",\"options\":{},\"args\":[]}",
        "$tag$QUJD",
        "a \"quoted\" \\ text\r\nof two lines\t",
        "\u{e9}\u{4efb}\u{1f33f}\u{202e}\u{feff}",
        "\u{1}\u{7f}\u{80}",
    ] {
        let id = fixture.post(posted).await;
        let reserved = fixture.reserve_one().await;
        assert_eq!(text(&reserved.body), posted);
        assert_eq!(reserved.receipt.message, id);
        fixture.delete(&reserved.receipt).await.unwrap();
    }
}

pub(super) async fn a_body_of_the_largest_size_is_accepted(fixture: Fixture) {
    let posted = "x".repeat(fixture.capabilities().max_body);
    fixture.post(&posted).await;
    assert!(text(&fixture.reserve_one().await.body) == posted);
}

/// A backend that cannot report which message it refuses posts none.
pub(super) async fn one_refused_message_costs_no_other(fixture: Fixture) {
    let large = "x".repeat(fixture.capabilities().max_body + 1);
    let texts = ["one".to_owned(), large, "two".to_owned()];
    let queue = fixture.queue.clone();
    match fixture.execute(QueueOp::Post { queue, messages: batch(texts) }).await {
        Ok(QueueReply::Posted(entries)) => {
            assert_eq!(entries.len(), 3);
            assert!(entries[0].is_ok() && entries[2].is_ok());
            // It may accept more than it announces.
            let posted = entries.iter().flatten().count();
            assert_eq!(fixture.reserve(3).await.len(), posted);
        }
        Ok(other) => panic!("{other:?}"),
        Err(fault) => {
            assert_eq!(fault.effect(), Effect::Refused);
            assert!(fixture.reserve(3).await.is_empty());
        }
    }
}

pub(super) async fn a_batch_is_posted_in_order_with_an_id_for_each_message(fixture: Fixture) {
    let texts: Vec<String> =
        (0..fixture.capabilities().batch.post).map(|number| number.to_string()).collect();
    let ids = fixture.post_all(batch(texts.clone())).await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), texts.len());
    let mut found = Vec::new();
    for message in fixture.reserve(fixture.capabilities().batch.reserve).await {
        let place = ids.iter().position(|id| *id == message.receipt.message).unwrap();
        assert_eq!(text(&message.body), texts[place]);
        found.push(place);
    }
    found.sort_unstable();
    assert!(found.into_iter().eq(0..texts.len()));
}

pub(super) async fn messages_arrive_in_the_order_in_which_they_were_posted(fixture: Fixture) {
    let all = ["one", "two", "three", "four"];
    for text in all {
        fixture.post(text).await;
    }
    for expected in all {
        assert_eq!(text(&fixture.reserve_one().await.body), expected);
    }
}

pub(super) async fn a_post_creates_its_queue(fixture: Fixture) {
    fixture.post("hello").await;
    assert_eq!(fixture.size().await, Ok(Some(1)));
}

pub(super) async fn queues_are_independent(fixture: Fixture) {
    let other = fixture.on("contract.queues_are_independent.2");
    fixture.post("hello").await;
    other.post("you").await;
    assert_eq!(text(&other.reserve_one().await.body), "you");
    assert!(other.reserve(10).await.is_empty());
    assert_eq!(text(&fixture.reserve_one().await.body), "hello");
}

pub(super) async fn a_name_may_contain_every_allowed_character(fixture: Fixture) {
    for name in ["a b", "a/b", "a?b#c", "100%", "%2F", "{a}{}", "..", "a:b|c", "\u{e9}\u{4efb}"] {
        let odd = fixture.on(&format!("contract.{name}"));
        odd.post(name).await;
        assert_eq!(text(&odd.reserve_one().await.body), name);
    }
}

pub(super) async fn the_longest_name_is_accepted(fixture: Fixture) {
    let long = fixture.on(&"n".repeat(255));
    long.post("hello").await;
    assert_eq!(text(&long.reserve_one().await.body), "hello");
}

pub(super) async fn a_delayed_message_is_not_ready_before_its_time(fixture: Fixture) {
    fixture.post_later("later", Duration::from_secs(2)).await;
    assert!(fixture.reserve(1).await.is_empty());
    let (message, waited) = fixture.reserve_soon().await;
    assert_eq!(text(&message.body), "later");
    // A server may count in whole seconds.
    assert!(waited > Duration::from_secs(1), "{waited:?}");
}

pub(super) async fn a_delayed_message_delays_no_other(fixture: Fixture) {
    fixture.post_later("later", Duration::from_secs(60)).await;
    fixture.post("now").await;
    assert_eq!(text(&fixture.reserve_one().await.body), "now");
}

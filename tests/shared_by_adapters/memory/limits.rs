//! Calls with a time limit, at a queue and a notifier that hang.

use std::sync::Arc;
use std::time::Duration;

use super::{DOUBLE, SOON, doubling, ivy};
use crate::adapter::ivy_proto::ChannelName;
use crate::adapter::ivy_proto::backend::{
    BoxFuture, BoxStream, Notifier, Queue, SubscriptionEvent,
};
use crate::adapter::ivy_proto::notify::Publication;
use crate::adapter::ivy_proto::queue::{Capabilities, QueueOp, QueueReply};
use crate::adapter::{CallOptions, ErrorKind, Fault, Ivy, IvyBuilder, NotifyFault, wait};
use crate::time::{assert_lasted, now};

const LIMIT: Duration = Duration::from_secs(1);

/// The queue of another ivy. It stores what is posted, and never says so.
#[derive(Debug)]
struct Silent(Arc<dyn Queue>);

impl Queue for Silent {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let is_post = matches!(op, QueueOp::Post { .. });
        let done = self.0.execute(op);
        Box::pin(async move {
            let reply = done.await;
            if is_post { std::future::pending().await } else { reply }
        })
    }
}

/// The notifier of another ivy.
#[derive(Debug)]
struct Same(Arc<dyn Notifier>);

impl Notifier for Same {
    fn publish(&self, publication: Publication) -> BoxFuture<Result<u64, NotifyFault>> {
        self.0.publish(publication)
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<SubscriptionEvent> {
        self.0.subscribe(channels)
    }
}

/// A notifier that never confirms a subscription.
#[derive(Debug)]
struct Mute {
    /// Nothing is ever sent on this channel, and it never ends.
    events: (async_channel::Sender<SubscriptionEvent>, async_channel::Receiver<SubscriptionEvent>),
}

impl Notifier for Mute {
    fn publish(&self, _: Publication) -> BoxFuture<Result<u64, NotifyFault>> {
        Box::pin(std::future::pending())
    }

    fn subscribe(&self, _: Vec<ChannelName>) -> BoxStream<SubscriptionEvent> {
        Box::pin(self.events.1.clone())
    }
}

/// A builder of an ivy with the queue and notifier of another one, whose queue hangs.
fn silent(behind: &Ivy) -> IvyBuilder {
    let builder = Ivy::builder().queue(Silent(behind.queue()));
    builder.notifier(Same(behind.notifier().unwrap()))
}

#[test]
fn a_call_to_a_queue_that_hangs_ends_at_its_limit_and_still_gets_its_result() {
    let behind = ivy();
    let ivy = silent(&behind).build().unwrap();
    let begun = now();
    let error = wait(ivy.call_with(&DOUBLE, (1,), CallOptions::new().within(LIMIT))).unwrap_err();
    assert_lasted(begun, LIMIT);
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(error.to_string().contains("did not reply within 1s"), "{error}");
    let handle = error.into_handle(&DOUBLE).unwrap();
    let _worker = doubling(&behind);
    assert_eq!(wait(handle.result(SOON)).unwrap(), 2);
}

#[test]
fn the_limit_of_the_builder_applies_to_calls_and_sends() {
    let behind = ivy();
    let ivy = silent(&behind).within(LIMIT).build().unwrap();
    let begun = now();
    let error = wait(ivy.call(&DOUBLE, (1,))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_lasted(begun, LIMIT);
    let begun = now();
    let error = wait(ivy.send(&DOUBLE, (1,))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_lasted(begun, LIMIT);
}

#[test]
fn a_call_whose_turn_does_not_come_is_withdrawn() {
    let behind = ivy();
    let ivy = silent(&behind).within(LIMIT).build().unwrap();
    // More than fit into the requests that may be in flight.
    let calls = wait(ivy.call_many(&DOUBLE, (0..2_000).map(|n| (n,))));
    let kinds = calls.into_iter().map(|call| call.unwrap_err().kind());
    let withdrawn = kinds.filter(|kind| *kind == ErrorKind::Withdrawn).count();
    assert!((1..2_000).contains(&withdrawn), "{withdrawn}");
}

#[test]
fn a_call_is_withdrawn_if_its_result_cannot_be_received_within_its_limit() {
    let notifier = Mute { events: async_channel::unbounded() };
    let ivy = Ivy::builder().queue_url("memory://").notifier(notifier).build().unwrap();
    let begun = now();
    let error = wait(ivy.call_with(&DOUBLE, (1,), CallOptions::new().within(LIMIT))).unwrap_err();
    assert_lasted(begun, LIMIT);
    assert_eq!(error.kind(), ErrorKind::Withdrawn);
    assert!(error.to_string().contains("the notifier did not respond in time"), "{error}");
    assert!(error.into_handle(&DOUBLE).is_none());
}

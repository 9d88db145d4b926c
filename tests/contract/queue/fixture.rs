//! A queue and short methods for its operations.

use std::sync::Arc;
use std::time::Duration;

use ivy_proto::backend::Queue;
use ivy_proto::queue::{
    Batch, Body, Capabilities, Fault, FaultKind, Lease, NewMessage, QueueOp, QueueReply,
    ReceivedBody, ReservedMessage,
};
use ivy_proto::{MessageId, QueueName, Receipt};
use ivy_test_kit::PATIENCE;
use tokio::time::{Instant, sleep};

/// A queue that no other case uses.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(super) backend: Arc<dyn Queue>,
    pub(super) queue: QueueName,
    pub(super) lease: Duration,
}

impl Fixture {
    pub(crate) fn new(backend: Arc<dyn Queue>, case: &'static str) -> Self {
        // Long enough for a few operations, and short enough to wait for its end.
        let lease = backend.capabilities().lease.shortest().unwrap_or_default();
        let lease = lease.max(Duration::from_secs(2));
        Fixture { backend, queue: QueueName::new(&format!("contract.{case}")).unwrap(), lease }
    }

    /// The same, on another queue.
    pub(super) fn on(&self, queue: &str) -> Fixture {
        Fixture { queue: QueueName::new(queue).unwrap(), ..self.clone() }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// Whether leases are times that end and can be renewed.
    pub(super) fn has_timed_leases(&self) -> bool {
        matches!(self.capabilities().lease, Lease::Timed { .. })
    }

    /// The operation used a receipt that no longer holds its message. It is refused, except that a
    /// backend that accepts late receipts may accept it.
    pub(super) fn assert_stale<T: std::fmt::Debug>(&self, result: Result<T, FaultKind>) {
        let may_be_accepted = !self.capabilities().refuses_stale_receipts;
        assert!(is_refused(&result) || (may_be_accepted && result.is_ok()), "{result:?}");
    }

    /// Deletes a message by the receipt that holds it, unless the backend accepted a late receipt
    /// for it.
    pub(super) async fn delete_held(&self, receipt: &Receipt) {
        let deleted = self.delete(receipt).await;
        let was_accepted = !self.capabilities().refuses_stale_receipts && is_refused(&deleted);
        assert!(deleted.is_ok() || was_accepted, "{deleted:?}");
    }

    pub(super) async fn execute(&self, op: QueueOp) -> Result<QueueReply, Fault> {
        self.backend.execute(op).await
    }

    pub(super) async fn post(&self, text: &str) -> MessageId {
        self.post_later(text, Duration::ZERO).await
    }

    pub(super) async fn post_later(&self, text: &str, delay: Duration) -> MessageId {
        let message = NewMessage { body: Body::new(text), delay };
        self.post_all(Batch::one(message)).await.remove(0)
    }

    pub(super) async fn post_all(&self, messages: Batch<NewMessage>) -> Vec<MessageId> {
        match self.execute(QueueOp::Post { queue: self.queue.clone(), messages }).await {
            Ok(QueueReply::Posted(entries)) => {
                entries.into_iter().collect::<Result<_, _>>().expect("each message is posted")
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn reserve(&self, count: usize) -> Vec<ReservedMessage> {
        self.reserve_within(count, Duration::ZERO).await
    }

    /// A reserve that waits. On a queue that does not exist it returns nothing, too.
    pub(super) async fn reserve_within(
        &self,
        count: usize,
        wait: Duration,
    ) -> Vec<ReservedMessage> {
        let (queue, lease) = (self.queue.clone(), self.lease);
        match self.execute(QueueOp::Reserve { queue, count, lease, wait }).await {
            Ok(QueueReply::Reserved(reserved)) => {
                assert_eq!(reserved.unusable, 0);
                reserved.messages
            }
            Err(fault) if fault.kind() == FaultKind::NoQueue => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    /// Reserves the message that is ready.
    pub(super) async fn reserve_one(&self) -> ReservedMessage {
        let mut messages = self.reserve(1).await;
        assert_eq!(messages.len(), 1, "one message is ready");
        messages.remove(0)
    }

    /// Waits for the message that becomes ready. Returns how long that took.
    pub(super) async fn reserve_soon(&self) -> (ReservedMessage, Duration) {
        let since = Instant::now();
        loop {
            if let Some(message) = self.reserve(1).await.pop() {
                return (message, since.elapsed());
            }
            assert!(since.elapsed() < PATIENCE, "the message did not arrive in time");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn touch(&self, receipt: &Receipt) -> Result<Receipt, FaultKind> {
        let (queue, receipt, lease) = (self.queue.clone(), receipt.clone(), self.lease);
        match self.execute(QueueOp::Touch { queue, receipt, lease }).await {
            Ok(QueueReply::Touched(receipt)) => Ok(receipt),
            Err(fault) => Err(fault.kind()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn release(&self, receipt: &Receipt) -> Result<(), FaultKind> {
        self.release_for(receipt, Duration::ZERO).await
    }

    pub(super) async fn release_for(
        &self,
        receipt: &Receipt,
        delay: Duration,
    ) -> Result<(), FaultKind> {
        self.release_as(receipt, delay, false).await
    }

    pub(super) async fn release_after_attempt(
        &self,
        receipt: &Receipt,
        failed: bool,
    ) -> Result<(), FaultKind> {
        self.release_as(receipt, Duration::ZERO, failed).await
    }

    async fn release_as(
        &self,
        receipt: &Receipt,
        delay: Duration,
        failed: bool,
    ) -> Result<(), FaultKind> {
        let (queue, receipt) = (self.queue.clone(), receipt.clone());
        match self.execute(QueueOp::Release { queue, receipt, delay, failed }).await {
            Ok(QueueReply::Released) => Ok(()),
            Err(fault) => Err(fault.kind()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn delete(&self, receipt: &Receipt) -> Result<(), FaultKind> {
        let (queue, receipt) = (self.queue.clone(), receipt.clone());
        match self.execute(QueueOp::Delete { queue, receipt }).await {
            Ok(QueueReply::Deleted(entries)) if entries.len() == 1 => {
                entries.into_iter().collect::<Result<_, _>>().map_err(|fault| fault.kind())
            }
            Err(fault) => Err(fault.kind()),
            other => panic!("{other:?}"),
        }
    }

    /// Deletes several messages at once. A backend replies for each, or refuses them all.
    pub(super) async fn delete_many(
        &self,
        receipts: Vec<Receipt>,
    ) -> Result<Vec<Result<(), FaultKind>>, FaultKind> {
        let (queue, count) = (self.queue.clone(), receipts.len());
        let receipts = Batch::new(receipts).expect("the batch is not empty");
        match self.execute(QueueOp::DeleteMany { queue, receipts }).await {
            Ok(QueueReply::Deleted(entries)) if entries.len() == count => {
                let kind = |entry: Result<(), Fault>| entry.map_err(|fault| fault.kind());
                Ok(entries.into_iter().map(kind).collect())
            }
            Err(fault) => Err(fault.kind()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn size(&self) -> Result<Option<u64>, FaultKind> {
        match self.execute(QueueOp::GetQueue { queue: self.queue.clone() }).await {
            Ok(QueueReply::Queue(info)) => Ok(info.size),
            Err(fault) => Err(fault.kind()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn peek(&self) -> Vec<String> {
        match self.execute(QueueOp::Peek { queue: self.queue.clone(), count: 100 }).await {
            Ok(QueueReply::Peeked(messages)) => {
                messages.iter().map(|message| text(&message.body)).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn text(body: &ReceivedBody) -> String {
    match body {
        ReceivedBody::Text(body) => body.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Whether a receipt is refused because its message is not held by it, or not any longer.
fn is_refused<T>(result: &Result<T, FaultKind>) -> bool {
    matches!(result, Err(FaultKind::LeaseLost | FaultKind::NoMessage))
}

/// A batch of messages without a delay.
pub(super) fn batch(texts: impl IntoIterator<Item = String>) -> Batch<NewMessage> {
    let message = |text| NewMessage { body: Body::new(text), delay: Duration::ZERO };
    Batch::new(texts.into_iter().map(message).collect()).expect("the batch is not empty")
}

//! A queue on a server, and short ways to ask it.

use std::sync::Arc;
use std::time::Duration;

use ivy_proto::backend::Queue;
use ivy_proto::queue::{
    Batch, Body, DeliveryCount, Fault, FaultKind, NewMessage, QueueOp, QueueReply, ReceivedBody,
    Reserved, ReservedMessage,
};
use ivy_proto::{MessageId, QueueName, Receipt};
use ivy_tokio::Ivy;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A queue, by default named `mail`.
pub(crate) struct TestQueue {
    pub(crate) ivy: Ivy,
    queue: Arc<dyn Queue>,
    name: QueueName,
}

impl TestQueue {
    /// The queue on the server at this URL, over connections of its own.
    pub(crate) fn at(url: &str) -> Self {
        TestQueue::named(url, queue_name().as_str())
    }

    pub(crate) fn named(url: &str, name: &str) -> Self {
        let ivy = Ivy::builder().queue_url(url).build().unwrap();
        let queue = ivy.queue();
        TestQueue { ivy, queue, name: QueueName::new(name).unwrap() }
    }

    pub(crate) async fn execute(&self, op: QueueOp) -> Result<QueueReply, Fault> {
        self.queue.execute(op).await
    }

    pub(crate) async fn post(&self, text: &str, delay: Duration) -> Result<MessageId, Fault> {
        let message = NewMessage { body: Body::new(text), delay };
        let op = QueueOp::Post { queue: self.name.clone(), messages: Batch::one(message) };
        match self.execute(op).await? {
            QueueReply::Posted(mut entries) => entries.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn reserve(&self, wait: Duration) -> Result<Reserved, Fault> {
        self.reserve_by_name(self.name.clone(), wait).await
    }

    /// What another queue of the server returns at once.
    pub(crate) async fn reserve_from(&self, queue: &str) -> Reserved {
        let queue = QueueName::new(queue).unwrap();
        self.reserve_by_name(queue, Duration::ZERO).await.unwrap()
    }

    async fn reserve_by_name(&self, queue: QueueName, wait: Duration) -> Result<Reserved, Fault> {
        let op = QueueOp::Reserve { queue, count: 10, lease: 30 * SECOND, wait };
        match self.execute(op).await? {
            QueueReply::Reserved(reserved) => Ok(reserved),
            other => panic!("{other:?}"),
        }
    }

    /// The message that is there.
    pub(crate) async fn only_message(&self) -> ReservedMessage {
        let mut messages = self.reserve(Duration::ZERO).await.unwrap().messages;
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    pub(crate) async fn delete(&self, receipt: Receipt) -> Result<(), FaultKind> {
        match self.execute(QueueOp::Delete { queue: self.name.clone(), receipt }).await {
            Ok(QueueReply::Deleted(mut entries)) => entries.remove(0).map_err(|fault| fault.kind()),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault.kind()),
        }
    }
}

pub(crate) fn queue_name() -> QueueName {
    QueueName::new("mail").unwrap()
}

pub(crate) fn text(message: &ReservedMessage) -> &str {
    match &message.body {
        ReceivedBody::Text(body) => body.as_str(),
        other => panic!("{other:?}"),
    }
}

/// How many deliveries were lost.
pub(crate) fn lost(message: &ReservedMessage) -> u32 {
    match message.deliveries {
        DeliveryCount::Exact { lost, .. } => lost,
        other => panic!("{other:?}"),
    }
}

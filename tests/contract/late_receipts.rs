//! The queue in memory, as a backend that accepts a receipt whose lease has ended instead of the
//! one that holds its message now, as SQS may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::queue::{Batch, Capabilities, Fault, QueueOp, QueueReply};
use ivy_proto::{MessageId, Receipt};

/// A queue whose receipts never expire.
#[derive(Clone, Debug)]
pub(crate) struct LateReceipts {
    queue: Arc<dyn Queue>,
    /// The last receipt of each message.
    last: Arc<Mutex<BTreeMap<MessageId, Receipt>>>,
}

impl LateReceipts {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        LateReceipts { queue, last: Arc::default() }
    }

    fn last(&self, receipt: &Receipt) -> Receipt {
        let last = self.last.lock().unwrap();
        last.get(&receipt.message).unwrap_or(receipt).clone()
    }

    fn with_last_receipts(&self, mut op: QueueOp) -> QueueOp {
        match &mut op {
            QueueOp::Delete { receipt, .. }
            | QueueOp::Touch { receipt, .. }
            | QueueOp::Release { receipt, .. } => *receipt = self.last(receipt),
            QueueOp::DeleteMany { receipts, .. } => {
                let last = receipts.items().iter().map(|receipt| self.last(receipt)).collect();
                *receipts = Batch::new(last).unwrap();
            }
            _ => {}
        }
        op
    }

    fn note(&self, reply: &QueueReply) {
        let mut last = self.last.lock().unwrap();
        let mut note = |receipt: &Receipt| last.insert(receipt.message.clone(), receipt.clone());
        match reply {
            QueueReply::Reserved(reserved) => {
                for message in &reserved.messages {
                    note(&message.receipt);
                }
            }
            QueueReply::Touched(receipt) => {
                note(receipt);
            }
            _ => {}
        }
    }
}

impl Queue for LateReceipts {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.queue.capabilities();
        capabilities.refuses_stale_receipts = false;
        capabilities
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let (execution, this) = (self.queue.execute(self.with_last_receipts(op)), self.clone());
        Box::pin(async move {
            let reply = execution.await?;
            this.note(&reply);
            Ok(reply)
        })
    }
}

//! The true state of each message that a worker received.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::Arbitrary;
use ivy_proto::notify::Publication;
use ivy_proto::queue::{
    Body, DeliveryCount, Fault, QueueOp, QueueReply, ReceivedBody, ReservedMessage,
};
use ivy_proto::task::TaskOutcome;
use ivy_proto::wire::{DeadLetter, Envelope, Notice};
use ivy_proto::{MessageId, Moment, OpId, QueueName, Receipt, ReservationId};

/// The Unix time at [`Moment::EPOCH`].
pub(super) const UNIX_AT_START: Duration = Duration::from_secs(1_700_000_000);

/// A message that a queue delivers.
#[derive(Arbitrary, Debug)]
pub(super) struct QueuedMessage {
    /// Chooses a message that was delivered before, to be delivered again.
    redeliver: Option<u8>,
    content: Content,
    /// What the queue reports of earlier deliveries. An exact count has the failed ones in its lower
    /// four bits, the lost ones in its upper four.
    count: Option<u8>,
}

/// The content of a message.
#[derive(Arbitrary, Debug)]
enum Content {
    Fast,
    Slow,
    /// As ivy's producers write it.
    FromIvy {
        attempt: u8,
        lost: u8,
        wants_result: bool,
        deadline: bool,
    },
    WithoutRetry,
    UnknownTask,
    NotJson,
    NotText,
    Missing,
    LegacyFrame,
    DeadLetter,
    Anything(Vec<u8>),
}

/// A message that was delivered.
struct DeliveredMessage {
    body: ReceivedBody,
    done: bool,
    has_copy: bool,
    released: bool,
    deliveries: usize,
    starts: usize,
}

/// One delivery, from its reservation through all renewals.
struct Delivery {
    message: MessageId,
    /// The newest receipt.
    reservation: ReservationId,
    until: Moment,
    length: Duration,
    /// The request in flight that uses the receipt.
    in_use: Option<OpId>,
}

#[derive(Default)]
pub(super) struct Deliveries {
    /// Whether the queue reports how deliveries ended, instead of a count that includes renewals.
    exact_counts: bool,
    messages: BTreeMap<MessageId, DeliveredMessage>,
    /// For each reservation, the index of its delivery.
    reservations: BTreeMap<ReservationId, usize>,
    deliveries: Vec<Delivery>,
    /// When each request was sent.
    requests: BTreeMap<OpId, Moment>,
    /// Indices of the deliveries in the reply that the worker receives next.
    arriving: Vec<usize>,
}

impl Deliveries {
    /// For a queue that reports how deliveries ended, or one that counts them together with
    /// renewals.
    pub(super) fn new(exact_counts: bool) -> Self {
        Deliveries { exact_counts, ..Deliveries::default() }
    }

    /// Creates a message and a reservation of it.
    pub(super) fn deliver(&mut self, queue: &QueueName, queued: &QueuedMessage) -> ReservedMessage {
        let known = queued.redeliver.and_then(|number| {
            let number = usize::from(number) % self.messages.len().max(1);
            self.messages.keys().nth(number).cloned()
        });
        let message = known.unwrap_or_else(|| {
            let number = self.messages.len();
            let message = MessageId::new(number.to_string());
            let delivered = DeliveredMessage {
                body: queued.content.write(queue, number),
                done: false,
                has_copy: false,
                released: false,
                deliveries: 0,
                starts: 0,
            };
            self.messages.insert(message.clone(), delivered);
            message
        });
        let reservation = ReservationId::new(format!("r{}", self.reservations.len()));
        self.reservations.insert(reservation.clone(), self.deliveries.len());
        self.arriving.push(self.deliveries.len());
        self.deliveries.push(Delivery {
            message: message.clone(),
            reservation: reservation.clone(),
            until: Moment::EPOCH,
            length: Duration::ZERO,
            in_use: None,
        });
        let delivered = self.messages.get_mut(&message).expect("the message exists");
        delivered.deliveries += 1;
        ReservedMessage {
            receipt: Receipt { message, reservation },
            body: delivered.body.clone(),
            deliveries: match (self.exact_counts, queued.count) {
                (true, count) => {
                    let count = u32::from(count.unwrap_or_default());
                    DeliveryCount::Exact { failed: count % 16, lost: count / 16 }
                }
                (false, count) => DeliveryCount::from_reserved_count(count.map(u32::from)),
            },
        }
    }

    /// Replaces a receipt.
    pub(super) fn renew(&mut self, receipt: &Receipt) -> Receipt {
        let delivery = self.reservations[&receipt.reservation];
        let reservation = ReservationId::new(format!("r{}", self.reservations.len()));
        self.reservations.insert(reservation.clone(), delivery);
        self.deliveries[delivery].reservation = reservation.clone();
        Receipt { message: receipt.message.clone(), reservation }
    }

    pub(super) fn on_request(&mut self, op: OpId, operation: &QueueOp, now: Moment) {
        self.requests.insert(op, now);
        match operation {
            QueueOp::Touch { receipt, .. } | QueueOp::Release { receipt, .. } => {
                self.check_receipt(op, receipt);
            }
            QueueOp::Delete { receipt, .. } => self.check_delete(op, receipt),
            QueueOp::DeleteMany { receipts, .. } => {
                receipts.items().iter().for_each(|receipt| self.check_delete(op, receipt));
            }
            _ => {}
        }
    }

    /// Checks that the receipt of a request is the newest, and that no other request in flight uses it.
    fn check_receipt(&mut self, op: OpId, receipt: &Receipt) {
        let delivery = self.reservations.get(&receipt.reservation).expect("a receipt of the queue");
        let delivery = &mut self.deliveries[*delivery];
        assert_eq!(delivery.message, receipt.message, "a receipt of another message");
        assert_eq!(delivery.reservation, receipt.reservation, "a receipt that was replaced");
        assert_eq!(delivery.in_use.replace(op), None, "a receipt is used twice at a time");
    }

    /// Checks that a message is deleted only after its handler returned or its copy was accepted.
    fn check_delete(&mut self, op: OpId, receipt: &Receipt) {
        self.check_receipt(op, receipt);
        let delivered = &self.messages[&receipt.message];
        assert!(delivered.done || delivered.has_copy, "an unfinished message is deleted");
    }

    /// Records what a reply means before the worker receives it.
    pub(super) fn on_reply(
        &mut self,
        op: OpId,
        operation: &QueueOp,
        result: &Result<QueueReply, Fault>,
        now: Moment,
    ) {
        let asked_at = self.requests.remove(&op).expect("the request was sent");
        for delivery in self.deliveries.iter_mut().filter(|delivery| delivery.in_use == Some(op)) {
            delivery.in_use = None;
        }
        match (operation, result) {
            (QueueOp::Reserve { lease, wait, .. }, Ok(_)) => {
                let granted_at = if wait.is_zero() { asked_at } else { now };
                for delivery in std::mem::take(&mut self.arriving) {
                    self.deliveries[delivery].until = granted_at + *lease;
                    self.deliveries[delivery].length = *lease;
                }
            }
            (QueueOp::Touch { receipt, lease, .. }, Ok(_)) => {
                let delivery = self.reservations[&receipt.reservation];
                self.deliveries[delivery].until = asked_at + *lease;
                self.deliveries[delivery].length = *lease;
            }
            (QueueOp::Release { receipt, .. }, Ok(_)) => {
                self.messages.get_mut(&receipt.message).expect("it was delivered").released = true;
            }
            (QueueOp::Post { queue, messages }, Ok(_)) => {
                messages.items().iter().for_each(|copy| self.mark_copied(queue, &copy.body));
            }
            _ => {}
        }
    }

    /// Marks the messages whose successor or dead letter the queue accepted.
    fn mark_copied(&mut self, queue: &QueueName, copy: &Body) {
        if queue.as_str().ends_with(".dead")
            && let Ok(dead_letter) = DeadLetter::parse(copy)
            && let Some(delivered) = self.messages.get_mut(&dead_letter.id)
            && dead_letter.body.as_bytes() == bytes(&delivered.body)
        {
            delivered.has_copy = true;
            return;
        }
        let envelope = Envelope::parse(copy.as_str()).ok();
        let mut originals = BTreeSet::new();
        for (message, delivered) in &self.messages {
            let original = bytes(&delivered.body);
            let is_successor = envelope.as_ref().is_some_and(|successor| {
                let original = std::str::from_utf8(original).ok();
                original.and_then(|text| Envelope::parse(text).ok()).is_some_and(|original| {
                    original.args == successor.args && original.name == successor.name
                })
            });
            if original == copy.as_bytes() || is_successor {
                originals.insert(message.clone());
            }
        }
        assert!(!originals.is_empty(), "a post that is neither a successor nor a dead letter");
        let allows_retries = |envelope: &Envelope| envelope.options.retry() != Some(false);
        assert!(
            envelope.as_ref().is_none_or(allows_retries),
            "a successor of a task with `retry: false`"
        );
        for message in originals {
            if let Some(delivered) = self.messages.get_mut(&message) {
                delivered.has_copy = true;
            }
        }
    }

    /// Checks that a handler starts at most once per delivery, with enough of the lease left.
    pub(super) fn started(&mut self, message: &MessageId, now: Moment) {
        let delivered = self.messages.get_mut(message).expect("it was delivered");
        delivered.starts += 1;
        assert!(delivered.starts <= delivered.deliveries, "one delivery starts two handlers");
        let mut deliveries = self.deliveries.iter().filter(|delivery| delivery.message == *message);
        let in_time = deliveries.any(|delivery| {
            delivery.until.since(now) >= (delivery.length / 5).min(Duration::from_secs(5))
        });
        assert!(in_time, "a handler starts too late");
    }

    pub(super) fn done(&mut self, message: &MessageId) {
        self.messages.get_mut(message).expect("it was delivered").done = true;
    }

    /// Checks that a notice reports only what is already true.
    pub(super) fn published(&self, publication: &Publication) {
        let notice = Notice::parse(publication.payload.as_str().as_bytes()).expect("a notice");
        let delivered = &self.messages[notice.message()];
        match notice.outcome() {
            Some(TaskOutcome::Failed(_)) => assert!(delivered.has_copy, "not dead-lettered yet"),
            Some(_) => assert!(delivered.done, "not done yet"),
            None => assert!(delivered.released, "not released yet"),
        }
    }
}

fn bytes(body: &ReceivedBody) -> &[u8] {
    match body {
        ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_bytes(),
        ReceivedBody::Missing | ReceivedBody::TooLarge => b"",
    }
}

impl Content {
    fn write(&self, queue: &QueueName, number: usize) -> ReceivedBody {
        let task = |name: &str, options: &str| {
            format!(r#"{{"name":"{name}","options":{{{options}}},"args":[{number}]}}"#)
        };
        let text = match self {
            Content::Fast => task("fast", ""),
            Content::Slow => task("slow", ""),
            Content::FromIvy { attempt, lost, wants_result, deadline } => {
                let channel = if *wants_result { "ivy-notifier.r." } else { "elsewhere." };
                let seconds = UNIX_AT_START.as_secs() + u64::from(*deadline) * 120;
                let ivy = format!(
                    r#""ivy":{{"v":1,"id":"{number:A>22}","reply":"{channel}{:A>22}","attempt":{},"lost":{lost},"deadline":{seconds}000}}"#,
                    "",
                    u32::from(*attempt) + 1,
                );
                task("fast", &ivy)
            }
            Content::WithoutRetry => task("fast", r#""retry":false"#),
            Content::UnknownTask => task("unknown", ""),
            Content::NotJson => format!("no JSON {number}"),
            Content::NotText => return ReceivedBody::NotText(Body::new(format!("[{number}]"))),
            Content::Missing => return ReceivedBody::Missing,
            Content::LegacyFrame => format!("$aes-256-cbc$DWKO1589bRhzNrgivtoXyw==&{number}"),
            Content::DeadLetter => {
                let dead_letter = DeadLetter {
                    queue: queue.clone(),
                    id: MessageId::new("elsewhere"),
                    reason: ivy_proto::wire::DeadLetterReason::Fatal,
                    error: None,
                    attempts: 1,
                    deliveries: 1,
                    at: 0,
                    body: Body::new(task("fast", "")),
                };
                return ReceivedBody::Text(dead_letter.to_body());
            }
            Content::Anything(bytes) => return Body::from_bytes(bytes.clone()).into(),
        };
        ReceivedBody::Text(Body::new(text))
    }
}

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

/// The wall clock at the epoch.
pub(super) const UNIX_AT_START: Duration = Duration::from_secs(1_700_000_000);

/// A message that a queue delivers.
#[derive(Arbitrary, Debug)]
pub(super) struct QueuedMessage {
    /// One that was delivered before, delivered again.
    again: Option<u8>,
    content: Content,
    count: Option<u8>,
}

/// The content of a message.
#[derive(Arbitrary, Debug)]
enum Content {
    Fast,
    Slow,
    /// As ivy's producers write it.
    Ours {
        attempt: u8,
        lost: u8,
        wants_result: bool,
        deadline: bool,
    },
    Once,
    UnknownTask,
    NoJson,
    NotText,
    Missing,
    Frame,
    DeadLetter,
    Anything(Vec<u8>),
}

/// A message that was delivered.
struct Delivered {
    body: ReceivedBody,
    done: bool,
    copied: bool,
    released: bool,
    deliveries: usize,
    starts: usize,
}

/// One delivery, from its reservation through all renewals.
struct Grant {
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
    exact_counts: bool,
    messages: BTreeMap<MessageId, Delivered>,
    /// The delivery of each reservation.
    reservations: BTreeMap<ReservationId, usize>,
    grants: Vec<Grant>,
    /// When each request was sent, and the lease that it requests.
    requests: BTreeMap<OpId, Moment>,
    /// Deliveries whose reply is about to be handled.
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
        let known = queued.again.and_then(|number| {
            let number = usize::from(number) % self.messages.len().max(1);
            self.messages.keys().nth(number).cloned()
        });
        let message = known.unwrap_or_else(|| {
            let number = self.messages.len();
            let message = MessageId::new(number.to_string());
            let delivered = Delivered {
                body: queued.content.write(queue, number),
                done: false,
                copied: false,
                released: false,
                deliveries: 0,
                starts: 0,
            };
            self.messages.insert(message.clone(), delivered);
            message
        });
        let reservation = ReservationId::new(format!("r{}", self.reservations.len()));
        self.reservations.insert(reservation.clone(), self.grants.len());
        self.arriving.push(self.grants.len());
        self.grants.push(Grant {
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
        let grant = self.reservations[&receipt.reservation];
        let reservation = ReservationId::new(format!("r{}", self.reservations.len()));
        self.reservations.insert(reservation.clone(), grant);
        self.grants[grant].reservation = reservation.clone();
        Receipt { message: receipt.message.clone(), reservation }
    }

    pub(super) fn on_request(&mut self, op: OpId, operation: &QueueOp, now: Moment) {
        self.requests.insert(op, now);
        match operation {
            QueueOp::Touch { receipt, .. } | QueueOp::Release { receipt, .. } => {
                self.used(op, receipt);
            }
            QueueOp::Delete { receipt, .. } => self.deleting(op, receipt),
            QueueOp::DeleteMany { receipts, .. } => {
                receipts.items().iter().for_each(|receipt| self.deleting(op, receipt));
            }
            _ => {}
        }
    }

    /// A request uses a receipt: it must be the newest, with no other request in flight for it.
    fn used(&mut self, op: OpId, receipt: &Receipt) {
        let grant = self.reservations.get(&receipt.reservation).expect("a receipt of the queue");
        let grant = &mut self.grants[*grant];
        assert_eq!(grant.message, receipt.message, "a receipt of another message");
        assert_eq!(grant.reservation, receipt.reservation, "a receipt that was replaced");
        assert_eq!(grant.in_use.replace(op), None, "a receipt is used twice at a time");
    }

    fn deleting(&mut self, op: OpId, receipt: &Receipt) {
        self.used(op, receipt);
        let delivered = &self.messages[&receipt.message];
        assert!(delivered.done || delivered.copied, "an unfinished message is deleted");
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
        for grant in self.grants.iter_mut().filter(|grant| grant.in_use == Some(op)) {
            grant.in_use = None;
        }
        match (operation, result) {
            (QueueOp::Reserve { lease, wait, .. }, Ok(_)) => {
                let granted_at = if wait.is_zero() { asked_at } else { now };
                for grant in std::mem::take(&mut self.arriving) {
                    self.grants[grant].until = granted_at + *lease;
                    self.grants[grant].length = *lease;
                }
            }
            (QueueOp::Touch { receipt, lease, .. }, Ok(_)) => {
                let grant = self.reservations[&receipt.reservation];
                self.grants[grant].until = asked_at + *lease;
                self.grants[grant].length = *lease;
            }
            (QueueOp::Release { receipt, .. }, Ok(_)) => {
                self.messages.get_mut(&receipt.message).expect("it was delivered").released = true;
            }
            (QueueOp::Post { queue, messages }, Ok(_)) => {
                messages.items().iter().for_each(|copy| self.copied(queue, &copy.body));
            }
            _ => {}
        }
    }

    /// Finds whose successor or dead letter was accepted.
    fn copied(&mut self, queue: &QueueName, copy: &Body) {
        if queue.as_str().ends_with(".dead")
            && let Ok(queued) = DeadLetter::parse(copy)
            && let Some(delivered) = self.messages.get_mut(&queued.id)
            && queued.body.as_bytes() == bytes(&delivered.body)
        {
            delivered.copied = true;
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
        assert!(!originals.is_empty(), "a copy of nothing");
        let allows_retries = |envelope: &Envelope| envelope.options.retry() != Some(false);
        assert!(envelope.as_ref().is_none_or(allows_retries), "a second copy of what runs once");
        for message in originals {
            if let Some(delivered) = self.messages.get_mut(&message) {
                delivered.copied = true;
            }
        }
    }

    /// A handler starts: once for each delivery, with enough of the lease left.
    pub(super) fn started(&mut self, message: &MessageId, now: Moment) {
        let delivered = self.messages.get_mut(message).expect("it was delivered");
        delivered.starts += 1;
        assert!(delivered.starts <= delivered.deliveries, "one delivery starts two handlers");
        let mut grants = self.grants.iter().filter(|grant| grant.message == *message);
        let in_time = grants
            .any(|grant| grant.until.since(now) >= (grant.length / 5).min(Duration::from_secs(5)));
        assert!(in_time, "a handler starts too late");
    }

    pub(super) fn done(&mut self, message: &MessageId) {
        self.messages.get_mut(message).expect("it was delivered").done = true;
    }

    /// A notice reports only what is already true.
    pub(super) fn published(&self, publication: &Publication) {
        let notice = Notice::parse(publication.payload.as_str().as_bytes()).expect("a notice");
        let delivered = &self.messages[notice.message()];
        match notice.outcome() {
            Some(TaskOutcome::Failed(_)) => assert!(delivered.copied, "not dead-lettered yet"),
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
            Content::Ours { attempt, lost, wants_result, deadline } => {
                let channel = if *wants_result { "ivy-notifier.r." } else { "elsewhere." };
                let seconds = UNIX_AT_START.as_secs() + u64::from(*deadline) * 120;
                let ivy = format!(
                    r#""ivy":{{"v":1,"id":"{number:A>22}","reply":"{channel}{:A>22}","attempt":{},"lost":{lost},"deadline":{seconds}000}}"#,
                    "",
                    u32::from(*attempt) + 1,
                );
                task("fast", &ivy)
            }
            Content::Once => task("fast", r#""retry":false"#),
            Content::UnknownTask => task("unknown", ""),
            Content::NoJson => format!("no JSON {number}"),
            Content::NotText => return ReceivedBody::NotText(Body::new(format!("[{number}]"))),
            Content::Missing => return ReceivedBody::Missing,
            Content::Frame => format!("$aes-256-cbc$DWKO1589bRhzNrgivtoXyw==&{number}"),
            Content::DeadLetter => {
                let queued = DeadLetter {
                    queue: queue.clone(),
                    id: MessageId::new("elsewhere"),
                    reason: ivy_proto::wire::DeadLetterReason::Fatal,
                    error: None,
                    attempts: 1,
                    deliveries: 1,
                    at: 0,
                    body: Body::new(task("fast", "")),
                };
                return ReceivedBody::Text(queued.to_body());
            }
            Content::Anything(bytes) => return Body::from_bytes(bytes.clone()).into(),
        };
        ReceivedBody::Text(Body::new(text))
    }
}

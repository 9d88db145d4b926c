//! Peers of the Node package, as they really behave: one message a second, reserved for 10,000 s,
//! deleted whatever its task's outcome, and a message that cannot be parsed ends the process.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::Receipt;
use ivy_proto::broker::{Delivery, Refusal, Response};
use ivy_proto::notify::Publication;
use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::host::{self, Machine};
use crate::setup::shared_channel;
use crate::task::{Plan, ProcessId, args, number_in};
use crate::world::{Due, World};

/// It means milliseconds, but IronMQ reads seconds.
const LEASE: Duration = Duration::from_secs(10_000);
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A request of a peer of the Node package.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NodeRequest {
    Post,
    Reserve,
    Delete,
}

/// An input of such a peer.
pub(crate) enum NodeInput {
    Poll,
    Response(NodeRequest, Result<Response, Refusal>),
    /// Its handler has called back.
    Ran(Box<Delivery>),
}

/// A message as the Node package parses it.
#[derive(Deserialize)]
struct Message<'a> {
    name: String,
    #[serde(borrow)]
    options: BTreeMap<String, &'a RawValue>,
    #[serde(borrow)]
    args: Vec<&'a RawValue>,
}

/// A notice as the Node package parses it.
#[derive(Deserialize)]
struct Notice {
    name: String,
}

impl World {
    pub(crate) fn start_node_worker(&mut self, who: ProcessId) {
        self.schedule_input(who, POLL_INTERVAL, NodeInput::Poll);
    }

    fn schedule_input(&mut self, who: ProcessId, after: Duration, input: NodeInput) {
        self.schedule(after, Due::ProcessInput(who, host::ProcessInput::Node(input)));
    }

    pub(crate) fn feed_node(&mut self, who: ProcessId, input: host::ProcessInput) {
        match input {
            host::ProcessInput::Node(NodeInput::Poll) => {
                let queue = self.kinds[0].queue.clone();
                let op = QueueOp::Reserve { queue, count: 1, lease: LEASE, wait: Duration::ZERO };
                self.request_for_node(who, NodeRequest::Reserve, op);
                self.schedule_input(who, POLL_INTERVAL, NodeInput::Poll);
            }
            host::ProcessInput::Node(NodeInput::Response(
                NodeRequest::Reserve,
                Ok(Response::Reserved(deliveries)),
            )) => {
                for delivery in deliveries {
                    self.begin(who, delivery);
                }
            }
            host::ProcessInput::Node(NodeInput::Response(..)) => {}
            host::ProcessInput::Node(NodeInput::Ran(delivery)) => self.end(who, &delivery),
            host::ProcessInput::Calls(tasks) => self.post_as_node(who, &tasks),
            host::ProcessInput::Notice(_, _, payload) => self.check_as_node(who, &payload),
            _ => {}
        }
    }

    /// It parses a message, and crashes if it cannot parse it or has no handler for it.
    fn begin(&mut self, who: ProcessId, delivery: Delivery) {
        let message: Option<Message<'_>> = serde_json::from_str(delivery.body.as_str()).ok();
        let known = message.is_some_and(|message| message.name == self.kinds[0].name.as_str());
        let task = self.checker.task_of_message(&delivery.message);
        match task {
            Some(task) if known => {
                let takes = Duration::from_millis(self.checker.tasks[task].takes);
                self.schedule_input(who, takes, NodeInput::Ran(Box::new(delivery)));
            }
            _ => self.crash(who.host),
        }
    }

    /// A handler has called back. The message is deleted whatever the outcome.
    fn end(&mut self, who: ProcessId, delivery: &Delivery) {
        let Some(number) = self.checker.task_of_message(&delivery.message) else { return };
        let done = matches!(self.checker.tasks[number].plan, Plan::Succeeds | Plan::FailsFirst(_));
        self.checker.node_ran(&delivery.message, done);
        if done {
            let payload = notice(delivery, number, self.kinds[0].queue.as_str());
            let publication = Publication { channel: shared_channel(), payload };
            self.send_notice(who, None, publication, false);
        }
        let receipt = Receipt {
            message: delivery.message.clone(),
            reservation: delivery.reservation.clone(),
        };
        let queue = self.kinds[0].queue.clone();
        self.request_for_node(who, NodeRequest::Delete, QueueOp::Delete { queue, receipt });
    }

    fn post_as_node(&mut self, who: ProcessId, tasks: &[usize]) {
        self.unscheduled -= tasks.len();
        for number in tasks {
            let kind = &self.kinds[0];
            let (name, queue) = (kind.name.as_str(), kind.queue.clone());
            let retries = kind.settings.max_retries;
            let text = format!(
                "{{\"name\":\"{name}\",\"options\":{{\"retry\":true,\"maxRetries\":{retries}}},\
                 \"args\":{}}}",
                args(*number)
            );
            let message = NewMessage { body: Body::new(text), delay: Duration::ZERO };
            let op = QueueOp::Post { queue, messages: Batch::one(message) };
            self.request_for_node(who, NodeRequest::Post, op);
        }
    }

    /// A notice of a task that it does not know crashes a producer of the Node package.
    fn check_as_node(&mut self, who: ProcessId, payload: &Body) {
        let notice: Result<Notice, _> = serde_json::from_str(payload.as_str());
        let known = notice
            .is_ok_and(|notice| self.kinds.iter().any(|kind| kind.name.as_str() == notice.name));
        // Noise does not come from ivy.
        if !known && number_in(payload.as_str()).is_some() {
            self.checker.broken("S10", || {
                format!("a notice crashed the peer of the Node package at {who:?}")
            });
        }
    }

    pub(crate) fn is_node_worker(&self, host: usize) -> bool {
        matches!(self.hosts[host].machine, Machine::NodeWorker)
    }
}

/// A notice as the Node package writes it: the options echoed, with the reservation leaking into
/// them.
fn notice(delivery: &Delivery, number: usize, queue: &str) -> Body {
    let message: Message<'_> =
        serde_json::from_str(delivery.body.as_str()).expect("it was parsed before");
    let mut options = message.options;
    let reservation = format!("\"{}\"", delivery.reservation.as_str());
    let reservation: Box<RawValue> =
        RawValue::from_string(reservation).expect("the reservation is valid JSON");
    options.insert("reservation_id".to_owned(), &reservation);
    let text = serde_json::json!({
        "id": delivery.message.as_str(),
        "name": message.name,
        "args": message.args,
        "options": options,
        "result": [number],
        "notify": true,
        "queue": queue,
    });
    Body::new(text.to_string())
}

/// How long a message may be hidden by a peer of the Node package.
pub(crate) fn longest_hidden(node_peers: bool) -> Duration {
    if node_peers { LEASE } else { Duration::ZERO }
}

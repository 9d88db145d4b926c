//! The caller's side of a test: makes the message of a call, and reads the notice of its end.

use ivy_proto::notify::Publication;
use ivy_proto::producer::{Call, Input, Output, Producer, ProducerConfig};
use ivy_proto::queue::{Body, Capabilities, QueueOp, QueueReply};
use ivy_proto::task::TaskOutcome;
use ivy_proto::wire::Codec;
use ivy_proto::{Cause, ChannelName, MessageId, Moment, WallClock};

use crate::pump::check_accepted;
use crate::random::random;

/// A producer that makes one call.
#[derive(Debug)]
pub(super) struct Caller {
    producer: Producer,
    outcome: Option<TaskOutcome>,
}

impl Caller {
    pub(super) fn new(
        capabilities: Capabilities,
        codec: Codec,
        channel: ChannelName,
        wall: WallClock,
    ) -> Result<Self, Cause> {
        let config = ProducerConfig::new(capabilities, codec).with_node_peers(false);
        let config = config.with_notifier(channel).map_err(Cause::config)?;
        Ok(Caller { producer: Producer::new(config, random()?, wall), outcome: None })
    }

    /// The body of the message of this call, which gets this id.
    pub(super) fn write(
        &mut self,
        call: Call,
        message: &MessageId,
        now: Moment,
    ) -> Result<Option<Body>, Cause> {
        let mut written = None;
        self.feed(Input::Calls(vec![call]), now);
        loop {
            match self.producer.poll_output() {
                Output::Subscribe(_) => self.feed(Input::Subscribed, now),
                Output::Queue(op, QueueOp::Post { messages, .. }) => {
                    written = messages.items().first().map(|message| message.body.clone());
                    let reply = QueueReply::all_posted([message.clone()]);
                    self.feed(Input::Queue(op, Ok(reply)), now);
                }
                Output::Sent(_, result) => {
                    result?;
                }
                Output::Wait(_) | Output::Finished => return Ok(written),
                _ => {}
            }
        }
    }

    /// Reads what the worker published.
    pub(super) fn read(&mut self, publication: Publication, now: Moment) {
        let Publication { channel, payload } = publication;
        self.feed(Input::Notice { channel, payload: payload.as_bytes().to_vec() }, now);
        loop {
            match self.producer.poll_output() {
                Output::Result { outcome, .. } => self.outcome = Some(outcome),
                Output::Wait(_) | Output::Finished => return,
                _ => {}
            }
        }
    }

    /// How the task has ended, if it has.
    pub(super) fn outcome(&self) -> Option<&TaskOutcome> {
        self.outcome.as_ref()
    }

    fn feed(&mut self, input: Input, now: Moment) {
        check_accepted("producer", self.producer.handle_input(input, now));
    }
}

//! Responses with messages, assembled from text that is already JSON.
//!
//! Bodies are stored as written in the JSON of their request, and ids are digits, so nothing needs
//! escaping here.

use ivy_proto::broker::{Delivery, MessageView};
use ivy_proto::queue::Body;
use ivy_proto::{MessageId, ReservationId};

/// An upper bound of what a message takes in addition to its body.
const MESSAGE_OVERHEAD: usize = 160;
/// An upper bound of what a message id takes in a list.
const LISTED_ID_SIZE: usize = 24;

/// A message whose parts can be inserted into JSON unchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonMessage<'a> {
    id: &'a MessageId,
    body: &'a Body,
    reserved_count: u32,
    reservation: Option<&'a ReservationId>,
}

impl<'a> JsonMessage<'a> {
    pub(crate) fn reserved(delivery: &'a Delivery) -> Self {
        let Delivery { message, body, reserved_count, reservation, .. } = delivery;
        let reserved_count = *reserved_count;
        JsonMessage { id: message, body, reserved_count, reservation: Some(reservation) }
    }

    pub(crate) fn viewed(view: &'a MessageView) -> Self {
        let MessageView { message, body, reserved_count } = view;
        JsonMessage { id: message, body, reserved_count: *reserved_count, reservation: None }
    }

    fn capacity(&self) -> usize {
        MESSAGE_OVERHEAD + self.body.as_str().len()
    }

    fn push_to(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"{\"id\":\"");
        text.extend_from_slice(self.id.as_bytes());
        text.extend_from_slice(b"\",\"body\":\"");
        text.extend_from_slice(self.body.as_str().as_bytes());
        text.extend_from_slice(b"\",\"reserved_count\":");
        text.extend_from_slice(itoa::Buffer::new().format(self.reserved_count).as_bytes());
        if let Some(reservation) = self.reservation {
            text.extend_from_slice(b",\"reservation_id\":\"");
            text.extend_from_slice(reservation.as_bytes());
            text.push(b'"');
        }
        text.push(b'}');
    }
}

/// The response with the ids of posted messages.
pub(crate) fn posted(ids: &[MessageId]) -> Vec<u8> {
    let mut text = Vec::with_capacity(LISTED_ID_SIZE * (ids.len() + 2));
    text.extend_from_slice(b"{\"ids\":[");
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.push(b'"');
        text.extend_from_slice(id.as_bytes());
        text.push(b'"');
    }
    text.extend_from_slice(b"],\"msg\":\"Messages put on queue.\"}");
    text
}

/// The response with one message.
pub(crate) fn message(message: JsonMessage<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.capacity());
    text.extend_from_slice(b"{\"message\":");
    message.push_to(&mut text);
    text.push(b'}');
    text
}

/// The response with several messages.
pub(crate) fn messages<'a>(messages: impl Iterator<Item = JsonMessage<'a>> + Clone) -> Vec<u8> {
    let capacity: usize = messages.clone().map(|message| message.capacity()).sum();
    let mut text = Vec::with_capacity(MESSAGE_OVERHEAD + capacity);
    text.extend_from_slice(b"{\"messages\":[");
    for (index, message) in messages.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        message.push_to(&mut text);
    }
    text.extend_from_slice(b"]}");
    text
}

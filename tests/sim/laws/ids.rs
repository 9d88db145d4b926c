//! The ids of messages, and their indices.

use std::collections::BTreeMap;

use ivy_proto::MessageId;

/// All ids that were ever assigned.
#[derive(Default)]
pub(super) struct Ids {
    indices: BTreeMap<MessageId, usize>,
    ids: Vec<MessageId>,
}

impl Ids {
    /// The index of a message.
    pub(super) fn index_of(&self, id: &MessageId) -> Option<usize> {
        self.indices.get(id).copied()
    }

    /// The id of the message with this index.
    pub(super) fn id_at(&self, at: usize) -> MessageId {
        self.ids[at].clone()
    }

    /// Assigns the next index to an id. Returns whether the id is new.
    pub(super) fn assign(&mut self, id: &MessageId) -> bool {
        let is_new = self.indices.insert(id.clone(), self.ids.len()).is_none();
        self.ids.push(id.clone());
        is_new
    }
}

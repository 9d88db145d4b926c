//! The messages that a sweep has reserved.

use std::collections::BTreeSet;

use crate::id::{MessageId, Receipt};
use crate::time::Moment;

use super::super::same_ids::SameIds;
use super::groups::GroupId;

/// Identifies a reserved message. Ascending in the order of the reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldId(usize);

/// A reserved message.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) receipt: Receipt,
    /// The id under which it is shown.
    pub(super) message: MessageId,
    /// The end of its lease, which began at the latest when the request was sent.
    pub(super) lease_end: Moment,
    pub(super) state: HeldState,
    /// The selected message that it is a copy of.
    pub(super) group: Option<GroupId>,
    /// Whether a request to delete it was sent, and possibly executed without a reply.
    pub(super) may_be_deleted: bool,
}

impl Held {
    /// Its entry among the leases. That of a lost one has ended.
    fn lease_entry(&self, id: HeldId) -> (MessageId, Moment, HeldId) {
        let is_lost = self.state == HeldState::Lost;
        let end = if is_lost { Moment::EPOCH } else { self.lease_end };
        (self.receipt.message.clone(), end, id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldState {
    Held,
    /// Its release was sent, and has no reply yet.
    Releasing,
    Deleted,
    Released,
    /// Its lease has ended, or its receipt was refused.
    Lost,
}

#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    held: Vec<Held>,
    ids: SameIds,
    /// Those that may be reserved again, by their ids in the queue and the ends of their leases.
    leases: BTreeSet<(MessageId, Moment, HeldId)>,
}

impl HeldMessages {
    /// Adds a reserved message. Returns also the id under which it is shown.
    pub(super) fn add(&mut self, receipt: Receipt, lease_end: Moment) -> (HeldId, MessageId) {
        let id = HeldId(self.held.len());
        let message = self.ids.shown(&receipt.message);
        self.leases.insert((receipt.message.clone(), lease_end, id));
        let state = HeldState::Held;
        self.held.push(Held {
            receipt,
            message: message.clone(),
            lease_end,
            state,
            group: None,
            may_be_deleted: false,
        });
        (id, message)
    }

    /// The messages with this id in the queue whose leases have ended, so that they may have been
    /// reserved again.
    pub(super) fn lapsed(&self, message: &MessageId, now: Moment) -> impl Iterator<Item = HeldId> {
        let first = (message.clone(), Moment::EPOCH, HeldId(0));
        let last = (message.clone(), now, HeldId(usize::MAX));
        self.leases.range(first..=last).map(|(_, _, id)| *id)
    }

    /// Records a new lease of a message, which was renewed or reserved again.
    pub(super) fn renew(&mut self, id: HeldId, receipt: Receipt, lease_end: Moment) {
        let Some(held) = self.held.get_mut(id.0) else { return };
        self.leases.remove(&held.lease_entry(id));
        (held.receipt, held.lease_end) = (receipt, lease_end);
        held.state = HeldState::Held;
        self.leases.insert(held.lease_entry(id));
    }

    pub(super) fn get(&self, id: HeldId) -> Option<&Held> {
        self.held.get(id.0)
    }

    pub(super) fn get_mut(&mut self, id: HeldId) -> Option<&mut Held> {
        self.held.get_mut(id.0)
    }

    pub(super) fn set(&mut self, id: HeldId, state: HeldState) {
        let Some(held) = self.held.get_mut(id.0) else { return };
        self.leases.remove(&held.lease_entry(id));
        held.state = state;
        if !matches!(state, HeldState::Deleted | HeldState::Released) {
            self.leases.insert(held.lease_entry(id));
        }
    }

    /// Whether the message is held by a lease that lasts until after `moment`.
    pub(super) fn lasts(&self, id: HeldId, moment: Moment) -> bool {
        self.get(id).is_some_and(|held| held.state == HeldState::Held && held.lease_end > moment)
    }

    /// All messages that are held by leases that last until after `moment`, in the order of their
    /// reserves.
    pub(super) fn lasting(&self, moment: Moment) -> impl Iterator<Item = (HeldId, &Held)> {
        let ids = (0..self.held.len()).map(HeldId);
        ids.zip(&self.held)
            .filter(move |(_, held)| held.state == HeldState::Held && held.lease_end > moment)
    }

    /// The ends of all leases that last until after `moment`, including those of messages whose
    /// release has no reply yet.
    pub(super) fn lease_ends(&self, moment: Moment) -> impl Iterator<Item = Moment> {
        let is_leased = |held: &&Held| matches!(held.state, HeldState::Held | HeldState::Releasing);
        self.held
            .iter()
            .filter(is_leased)
            .map(|held| held.lease_end)
            .filter(move |lease_end| *lease_end > moment)
    }
}

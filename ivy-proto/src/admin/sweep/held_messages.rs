//! The messages that a sweep has reserved.

use std::collections::BTreeMap;

use crate::id::{MessageId, Receipt};
use crate::time::Moment;

use super::groups::GroupId;

/// Identifies a reserved message. Ascending in the order of the reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldId(usize);

/// A reserved message.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) receipt: Receipt,
    /// The end of its lease, which began at the latest when the request was sent.
    pub(super) lease_end: Moment,
    pub(super) state: HeldState,
    /// The selected message that it is a copy of.
    pub(super) group: Option<GroupId>,
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
    by_message: BTreeMap<MessageId, HeldId>,
}

impl HeldMessages {
    /// Adds a reserved message. `None` if it was reserved before: then its lease had ended, and the
    /// new receipt replaces the old one.
    pub(super) fn add(&mut self, receipt: Receipt, lease_end: Moment) -> Option<HeldId> {
        if let Some(known) = self.by_message.get(&receipt.message) {
            if let Some(held) = self.held.get_mut(known.0) {
                (held.receipt, held.lease_end) = (receipt, lease_end);
                held.state = HeldState::Held;
            }
            return None;
        }
        let id = HeldId(self.held.len());
        self.by_message.insert(receipt.message.clone(), id);
        let state = HeldState::Held;
        self.held.push(Held { receipt, lease_end, state, group: None });
        Some(id)
    }

    pub(super) fn get(&self, id: HeldId) -> Option<&Held> {
        self.held.get(id.0)
    }

    pub(super) fn get_mut(&mut self, id: HeldId) -> Option<&mut Held> {
        self.held.get_mut(id.0)
    }

    pub(super) fn set(&mut self, id: HeldId, state: HeldState) {
        if let Some(held) = self.held.get_mut(id.0) {
            held.state = state;
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

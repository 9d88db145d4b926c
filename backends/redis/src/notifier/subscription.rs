//! A subscription, which outlives its connections.

use ivy_proto::backend::{CommandId, ConnectionId, LinkFault, Output, SubscriptionEvent};
use ivy_proto::notify::NotifyFault;
use ivy_proto::{ChannelName, Moment};

use super::feed::Feed;
use super::subscriber::{Change, Subscriber};
use crate::conversation::Conversation;
use crate::effects::Effects;

/// The connection of a subscription, and the one that is to replace it, as [`Subscriber`] decides.
#[derive(Debug)]
pub(crate) struct Subscription {
    command_id: CommandId,
    channels: Vec<ChannelName>,
    current: Feed,
    replacement: Option<Feed>,
    /// As soon as it stands.
    decision: Option<Subscriber>,
}

impl Subscription {
    pub(crate) fn open(
        command_id: CommandId,
        channels: Vec<ChannelName>,
        effects: &mut Effects,
        now: Moment,
    ) -> Self {
        let current = Feed::open(&channels, effects, now);
        Subscription { command_id, channels, current, replacement: None, decision: None }
    }

    pub(crate) fn close(self, effects: &mut Effects) {
        for feed in self.feeds() {
            effects.close(feed.line());
        }
    }

    pub(crate) fn wait_until(&self) -> Option<Moment> {
        let decision = self.decision.as_ref().and_then(Subscriber::wait_until);
        self.feeds().map(Feed::wait_until).chain(decision).min()
    }

    /// The conversation on this line, if it is one of these.
    pub(crate) fn conversation(&mut self, line: ConnectionId) -> Option<&mut Conversation> {
        self.feed(line).map(Feed::conversation)
    }

    /// Takes in what has arrived on a line. Returns whether the subscription goes on, as all below do.
    pub(crate) fn advance(
        &mut self,
        line: ConnectionId,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        loop {
            let channels = std::mem::take(&mut self.channels);
            let heard = self.feed(line).and_then(|feed| feed.next_heard(&channels, effects, now));
            self.channels = channels;
            let Some(heard) = heard else { return true };
            match heard {
                SubscriptionEvent::Lost(fault) => {
                    effects.close(line);
                    return self.lost(line, fault, effects, now);
                }
                SubscriptionEvent::Subscribed => self.subscribed(line, effects, now),
                notice @ SubscriptionEvent::Notice { .. } => self.tell(notice, effects),
            }
        }
    }

    pub(crate) fn closed(
        &mut self,
        line: ConnectionId,
        fault: &LinkFault,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        match self.feed(line).map(|feed| feed.closed(fault)) {
            Some(fault) => self.lost(line, fault, effects, now),
            None => true,
        }
    }

    pub(crate) fn tick(&mut self, effects: &mut Effects, now: Moment) -> bool {
        let lines: Vec<ConnectionId> = self.feeds().map(Feed::line).collect();
        for line in lines {
            if let Some(fault) = self.feed(line).and_then(|feed| feed.tick(effects, now)) {
                effects.close(line);
                if !self.lost(line, fault, effects, now) {
                    return false;
                }
            }
        }
        match self.decision.as_mut().and_then(|decision| decision.tick(now)) {
            Some(Change::Open) => {
                self.replacement = Some(Feed::open(&self.channels, effects, now));
            }
            Some(Change::DropOld) => {
                if let Some(replacement) = self.replacement.take() {
                    effects.close(self.current.line());
                    self.current = replacement;
                }
            }
            None => {}
        }
        true
    }

    fn subscribed(&mut self, line: ConnectionId, effects: &mut Effects, now: Moment) {
        if self.current.line() == line {
            self.decision = Some(Subscriber::new(now));
            self.tell(SubscriptionEvent::Subscribed, effects);
        } else if let Some(decision) = &mut self.decision {
            decision.subscribed(now);
        }
    }

    /// A connection is gone. Without a replacement that stands, the subscription ends.
    fn lost(
        &mut self,
        line: ConnectionId,
        fault: NotifyFault,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        if self.current.line() != line {
            tracing::debug!(%fault, "the subscription was not replaced");
            self.replacement = None;
            if let Some(decision) = &mut self.decision {
                decision.failed(now);
            }
            return true;
        }
        let is_replaced = self.decision.as_mut().is_some_and(|decision| decision.old_lost(now));
        match self.replacement.take() {
            Some(replacement) if is_replaced => {
                self.current = replacement;
                true
            }
            replacement => {
                if let Some(replacement) = replacement {
                    effects.close(replacement.line());
                }
                self.tell(SubscriptionEvent::Lost(fault), effects);
                false
            }
        }
    }

    fn tell(&self, heard: SubscriptionEvent, effects: &mut Effects) {
        effects.push(Output::SubscriptionEvent(self.command_id, heard));
    }

    fn feeds(&self) -> impl Iterator<Item = &Feed> {
        std::iter::once(&self.current).chain(&self.replacement)
    }

    fn feed(&mut self, line: ConnectionId) -> Option<&mut Feed> {
        std::iter::once(&mut self.current)
            .chain(&mut self.replacement)
            .find(|feed| feed.line() == line)
    }
}

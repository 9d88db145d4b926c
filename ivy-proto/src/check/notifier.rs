//! The check of a notifier.

use crate::backend::SubscriptionEvent;
use crate::name::{ChannelName, InvalidName};
use crate::notify::{NotifyFault, NotifyFaultKind, Publication};
use crate::producer::reply_channel;
use crate::queue::Body;

/// Checks whether a notifier is reached and accepts the credentials: a publication to a channel that
/// nobody else listens to arrives. The channel has the form of a reply channel, so a user needs no
/// more permissions than for results.
#[derive(Clone, Debug)]
pub struct NotifierCheck {
    channel: ChannelName,
}

/// The next step of a [`NotifierCheck`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierStep {
    /// Wait for the next event of the subscription.
    Wait,
    /// Publish this, pass the reply to [`NotifierCheck::on_published`], and go on waiting.
    Publish(Publication),
    /// The check has ended.
    Done(Result<(), NotifyFault>),
}

impl NotifierCheck {
    /// A check on a channel below this prefix. `random` are sixteen fresh random bytes.
    ///
    /// # Errors
    /// If the prefix is too long.
    pub fn new(prefix: &ChannelName, random: [u8; 16]) -> Result<Self, InvalidName> {
        Ok(NotifierCheck { channel: reply_channel(prefix, random)? })
    }

    /// The channel to subscribe to first.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The step that follows an event of the subscription; `None` if it has ended.
    #[must_use]
    pub fn on_event(&self, event: Option<SubscriptionEvent>) -> NotifierStep {
        match event {
            Some(SubscriptionEvent::Subscribed) => NotifierStep::Publish(Publication {
                channel: self.channel.clone(),
                payload: Body::new("{}"),
            }),
            Some(SubscriptionEvent::Notice { .. }) => NotifierStep::Done(Ok(())),
            Some(SubscriptionEvent::Lost(fault)) => NotifierStep::Done(Err(fault)),
            None => NotifierStep::Done(Err(NotifyFault::new(NotifyFaultKind::ConnectionLost))),
        }
    }

    /// The step that follows the reply to the publication.
    #[must_use]
    pub fn on_published(&self, reply: Result<u64, NotifyFault>) -> NotifierStep {
        match reply {
            Ok(_) => NotifierStep::Wait,
            Err(fault) => NotifierStep::Done(Err(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> NotifierCheck {
        NotifierCheck::new(&ChannelName::new("ivy-notifier").unwrap(), [7; 16]).unwrap()
    }

    #[test]
    fn what_arrives_was_published_to_a_reply_channel_of_its_own() {
        let check = check();
        let NotifierStep::Publish(publication) =
            check.on_event(Some(SubscriptionEvent::Subscribed))
        else {
            panic!("it publishes")
        };
        assert_eq!(publication.channel.as_str(), "ivy-notifier.r.BwcHBwcHBwcHBwcHBwcHBw");
        assert_eq!(check.on_published(Ok(1)), NotifierStep::Wait);
        let notice =
            SubscriptionEvent::Notice { channel: publication.channel, payload: b"{}".to_vec() };
        assert_eq!(check.on_event(Some(notice)), NotifierStep::Done(Ok(())));
    }

    #[test]
    fn a_subscription_or_publication_that_fails_ends_the_check() {
        let fault = || NotifyFault::new(NotifyFaultKind::Unauthorized);
        let failed = NotifierStep::Done(Err(fault()));
        assert_eq!(check().on_event(Some(SubscriptionEvent::Lost(fault()))), failed);
        assert_eq!(check().on_published(Err(fault())), failed);
        assert!(matches!(check().on_event(None), NotifierStep::Done(Err(_))));
    }
}

//! What a queue and a notifier must be able to do, whatever stands behind them.

use std::fmt;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};

use ivy_proto::ChannelName;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use crate::cancel::CancellationToken;

/// How many notices may wait to be taken in before a publisher waits, or cuts the subscriber off.
pub(crate) const UNREAD_NOTICES: usize = 1024;

/// A queue backend.
pub(crate) trait Queue: fmt::Debug + Send + Sync + 'static {
    fn capabilities(&self) -> Capabilities;

    /// Does what is asked, within [`QueueOp::time_limit`], and gives the answer in some thread.
    /// Returns at once. Nobody waits for the answer any more once the operation is given up.
    fn execute(&self, op: QueueOp, given_up: &CancellationToken, answer: Answer<QueueResult>);
}

/// A notifier backend.
pub(crate) trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Publishes, and tells in some thread how many subscribers heard it. Returns at once.
    fn publish(&self, publication: Publication, answer: Answer<PublishResult>);

    /// Subscribes to these channels. Dropping the subscription ends it.
    fn subscribe(&self, channels: Vec<ChannelName>, news: News) -> Subscription;
}

/// What a queue answers.
pub(crate) type QueueResult = Result<QueueReply, Fault>;
/// What a notifier answers to a publication.
pub(crate) type PublishResult = Result<u64, NotifyFault>;
/// Is called after each thing that a subscription has heard.
pub(crate) type News = Box<dyn Fn() + Send>;

/// Where the answer to a question goes. It is given exactly once: that it was lost, if whoever
/// should give it is gone.
pub(crate) struct Answer<T> {
    give: Option<Box<dyn FnOnce(T) + Send>>,
    lost: fn() -> T,
}

impl Answer<QueueResult> {
    pub(crate) fn of_queue(give: impl FnOnce(QueueResult) + Send + 'static) -> Self {
        let lost = || Err(Fault::new(FaultKind::AnswerLost));
        Answer { give: Some(Box::new(give)), lost }
    }
}

impl Answer<PublishResult> {
    pub(crate) fn of_notifier(give: impl FnOnce(PublishResult) + Send + 'static) -> Self {
        let lost = || Err(NotifyFault::new(NotifyFaultKind::ConnectionLost));
        Answer { give: Some(Box::new(give)), lost }
    }
}

impl<T> Answer<T> {
    pub(crate) fn give(mut self, answer: T) {
        if let Some(give) = self.give.take() {
            give(answer);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(give) = self.give.take() {
            give((self.lost)());
        }
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// Asks a queue, and waits for its answer.
pub(crate) fn ask(queue: &dyn Queue, op: QueueOp) -> QueueResult {
    let (sender, answer) = mpsc::channel();
    let give = move |answer| {
        // The receiver waits just below.
        let _ = sender.send(answer);
    };
    queue.execute(op, &CancellationToken::new(), Answer::of_queue(give));
    answer.recv().unwrap_or_else(|_| Err(Fault::new(FaultKind::AnswerLost)))
}

/// What a subscription brings.
#[derive(Debug)]
pub(crate) enum Heard {
    /// All channels are subscribed to.
    Subscribed,
    /// A notice arrived.
    Notice {
        /// The channel that it arrived on.
        channel: ChannelName,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The subscription could not be made, or has ended.
    Lost(NotifyFault),
}

/// The listening end of a subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    heard: Receiver<Heard>,
    ended: CancellationToken,
}

/// The other end of a subscription.
pub(crate) struct Subscriber {
    heard: Option<SyncSender<Heard>>,
    news: News,
    ended: CancellationToken,
}

impl Subscription {
    /// Both ends of a subscription.
    pub(crate) fn new(news: News) -> (Subscriber, Self) {
        let (sender, heard) = mpsc::sync_channel(UNREAD_NOTICES);
        let ended = CancellationToken::new();
        let subscriber = Subscriber { heard: Some(sender), news, ended: ended.clone() };
        (subscriber, Subscription { heard, ended })
    }

    /// The next thing that was heard, if there is one yet. Ends with [`Heard::Lost`].
    pub(crate) fn next(&self) -> Option<Heard> {
        match self.heard.try_recv() {
            Ok(heard) => Some(heard),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Heard::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost)))
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Subscriber {
    /// Tells what was heard. Waits while too much is unread, until the subscription is dropped.
    pub(crate) fn tell(&self, heard: Heard) {
        if self.heard.as_ref().is_some_and(|sender| sender.send(heard).is_ok()) {
            (self.news)();
        }
    }

    /// Tells what was heard, if there is room for it.
    pub(crate) fn try_tell(&self, heard: Heard) -> Result<(), TrySendError<Heard>> {
        if let Some(sender) = &self.heard {
            sender.try_send(heard)?;
            (self.news)();
        }
        Ok(())
    }

    /// Is cancelled when nobody listens any more.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // In this order, who asks because of the news finds that there is no more.
        self.heard = None;
        (self.news)();
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}

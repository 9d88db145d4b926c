//! A call that is being sent.

use std::future::poll_fn;

use ivy_proto::MessageId;
use ivy_proto::producer::SendError;

use crate::call_listener::CallListener;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::trace::SendSpan;

/// A call that is being sent, and the span of it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Sending<R> {
    listener: CallListener<R>,
    span: SendSpan,
}

impl<R: Runtime> Sending<R> {
    pub(crate) fn new(listener: CallListener<R>, span: SendSpan) -> Self {
        Sending { listener, span }
    }

    /// Waits until the call has been sent.
    pub(crate) async fn sent(self) -> Result<CallListener<R>, Error<R>> {
        // Not by way of `posted`: a future within a future would contain the call twice.
        let sent = poll_fn(|context| self.listener.call.poll_sent(context)).await;
        self.end(sent).map(|(listener, _)| listener)
    }

    /// Waits until the call has been sent. Returns the id of its message as well.
    pub(crate) async fn posted(self) -> Result<(CallListener<R>, MessageId), Error<R>> {
        let sent = poll_fn(|context| self.listener.call.poll_sent(context)).await;
        self.end(sent)
    }

    fn end(
        self,
        sent: Option<Result<MessageId, SendError>>,
    ) -> Result<(CallListener<R>, MessageId), Error<R>> {
        let Sending { listener, span } = self;
        let posted = listener.posted(sent);
        match &posted {
            Ok((_, message)) => span.sent(message),
            Err(error) => span.failed(error.kind()),
        }
        posted
    }
}

//! Checks whether keys, queue and notifier work.

use std::time::Duration;

use futures_util::future::{Either, join, select};
use futures_util::stream::StreamExt;
use ivy_proto::Cause;
use ivy_proto::check::{
    self, CheckFault, CheckReport, Checked, NotifierCheck, NotifierStep, QueueCheck, QueueStep,
};

use crate::error::Error;
use crate::ivy::Ivy;
use crate::random::random;
use crate::runtime::Runtime;
use crate::timeout::timeout;

/// The result of a part that can be checked. The reason, if it cannot.
type PartResult = Result<Result<(), CheckFault>, &'static str>;

impl<R: Runtime> Ivy<R> {
    /// Checks all parts. Queue and notifier have `limit` each, at the same time.
    pub(crate) async fn check_parts(&self, limit: Duration) -> Result<CheckReport, Error<R>> {
        self.check_process()?;
        let keys = match check::keys(self.codec(), random()?) {
            Ok(true) => Checked::Works { took: Duration::ZERO },
            Ok(false) => Checked::NotChecked("there are no keys: messages are not encrypted"),
            Err(fault) => Checked::Failed(fault),
        };
        let queue = timed::<R>(limit, self.check_queue());
        let notifier = timed::<R>(limit, self.check_notifier());
        let (queue, notifier) = join(queue, notifier).await;
        let report = CheckReport::new(keys, queue, notifier);
        if report.failures().next().is_some() {
            return Err(Error::from(Cause::Check(Box::new(report))));
        }
        Ok(report)
    }

    async fn check_queue(&self) -> PartResult {
        let queue = self.queue();
        let mut check = QueueCheck::new(&queue.capabilities());
        let mut step = check.start();
        loop {
            match step {
                QueueStep::Execute(op) => step = check.on_reply(queue.execute(op).await),
                QueueStep::Done(result) => return Ok(result.map_err(CheckFault::Queue)),
                _ => return Err("this kind of queue answers no request that changes nothing"),
            }
        }
    }

    async fn check_notifier(&self) -> PartResult {
        let Some(notifier) = self.notifier() else {
            return Err("there is no notifier: tasks return no results");
        };
        let check = random().map(|random| NotifierCheck::new(self.channel(), random));
        let Ok(Ok(check)) = check else { return Err("its channel could not be named") };
        let mut events = notifier.subscribe(vec![check.channel().clone()]);
        let mut step = NotifierStep::Wait;
        loop {
            step = match step {
                NotifierStep::Publish(publication) => {
                    // The notice may arrive before the reply.
                    match select(notifier.publish(publication), events.next()).await {
                        Either::Left((reply, _)) => check.on_published(reply),
                        Either::Right((event, _)) => check.on_event(event),
                    }
                }
                NotifierStep::Done(result) => return Ok(result.map_err(CheckFault::Notifier)),
                _ => check.on_event(events.next().await),
            };
        }
    }
}

async fn timed<R: Runtime>(limit: Duration, check: impl Future<Output = PartResult>) -> Checked {
    let begun = R::now();
    match timeout::<R, _>(limit, check).await {
        Some(Ok(Ok(()))) => Checked::Works { took: R::now().saturating_duration_since(begun) },
        Some(Ok(Err(fault))) => Checked::Failed(fault),
        Some(Err(why)) => Checked::NotChecked(why),
        None => Checked::Failed(CheckFault::NoReply { limit }),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use ivy_proto::ErrorKind;
    use ivy_proto::backend::{BoxFuture, Queue};
    use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

    use super::*;
    use crate::clock::Clock;
    use crate::memory_queue::MemoryQueue;
    use crate::testing::Tokio;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A queue of one's own.
    #[derive(Clone, Copy, Debug)]
    enum Own {
        KnowsNothing,
        Silent,
        LosesReplies,
    }

    impl Queue for Own {
        fn capabilities(&self) -> Capabilities {
            Capabilities::broker()
        }

        fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
            match self {
                Own::KnowsNothing => {
                    Box::pin(async move { Err(Fault::unsupported(&op, "look elsewhere")) })
                }
                Own::Silent => Box::pin(pending()),
                Own::LosesReplies => Box::pin(async { Err(Fault::new(FaultKind::ReplyLost)) }),
            }
        }
    }

    async fn check(queue: Own) -> Result<CheckReport, Error<Tokio>> {
        let builder = Ivy::<Tokio>::builder().queue(queue).notifier_url("memory://");
        builder.build().unwrap().check_parts(LIMIT).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_supports_no_such_request_is_not_checked() {
        let report = check(Own::KnowsNothing).await.unwrap();
        assert!(matches!(report.queue, Checked::NotChecked(_)), "{report:?}");
        assert!(matches!(report.notifier, Checked::Works { .. }), "{report:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_queue_fails_within_the_limit() {
        let begun = tokio::time::Instant::now();
        let error = check(Own::Silent).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (ErrorKind::Queue, LIMIT));
        let report = error.check_report().unwrap();
        assert_eq!(report.queue, Checked::Failed(CheckFault::NoReply { limit: LIMIT }));
        assert!(matches!(report.notifier, Checked::Works { .. }), "{report:?}");
        assert!(error.to_string().contains("the queue failed the check: no reply within 5s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_keeps_losing_replies_fails() {
        let error = check(Own::LosesReplies).await.unwrap_err();
        let report = error.check_report().unwrap();
        let Checked::Failed(CheckFault::Queue(fault)) = &report.queue else { panic!("{report:?}") };
        assert_eq!(fault.kind(), FaultKind::ReplyLost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_without_a_notifier_passes() {
        let queue = MemoryQueue::<Tokio>::new(Clock::start(), [7; 32]);
        let ivy = Ivy::<Tokio>::builder().queue(queue).build().unwrap();
        let report = ivy.check_parts(LIMIT).await.unwrap();
        assert!(matches!(report.queue, Checked::Works { .. }), "{report:?}");
        assert!(matches!(report.notifier, Checked::NotChecked(_)), "{report:?}");
    }
}

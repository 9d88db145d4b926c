//! The check of a queue.

use crate::name::QueueName;
use crate::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use super::NAME;

/// How often a request is made whose reply was lost: the server may have closed a connection that was
/// idle.
const TRIES: u32 = 2;

/// Checks whether a queue's server is reached and accepts the credentials, with requests that change
/// nothing.
#[derive(Clone, Debug)]
pub struct QueueCheck {
    /// The request in flight, and those to make if the backend does not support it.
    requests: Vec<QueueOp>,
    tries: u32,
}

/// The next step of a [`QueueCheck`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueStep {
    /// Execute this, and pass the reply to [`QueueCheck::on_reply`].
    Execute(QueueOp),
    /// The check has ended: the server has replied, or this has failed.
    Done(Result<(), Fault>),
    /// The backend supports no request that changes nothing.
    NotSupported,
}

impl QueueCheck {
    /// A check of a backend with these capabilities.
    #[must_use]
    pub fn new(capabilities: &Capabilities) -> Self {
        let list = QueueOp::ListQueues { prefix: NAME.to_owned(), after: None, count: 1 };
        let mut requests = vec![list];
        if let Ok(queue) = QueueName::new(NAME)
            && capabilities.check_name(&queue).is_ok()
        {
            requests.push(QueueOp::GetQueue { queue });
        }
        QueueCheck { requests, tries: 0 }
    }

    /// The first step.
    pub fn start(&mut self) -> QueueStep {
        match self.requests.last() {
            Some(request) => {
                self.tries += 1;
                QueueStep::Execute(request.clone())
            }
            None => QueueStep::NotSupported,
        }
    }

    /// The step that follows a reply.
    pub fn on_reply(&mut self, reply: Result<QueueReply, Fault>) -> QueueStep {
        match reply {
            Ok(_) => QueueStep::Done(Ok(())),
            Err(fault) => match fault.kind() {
                // The server looked for it.
                FaultKind::NoQueue => QueueStep::Done(Ok(())),
                FaultKind::Unsupported { .. } => {
                    self.requests.pop();
                    self.tries = 0;
                    self.start()
                }
                FaultKind::ReplyLost if self.tries < TRIES => self.start(),
                _ => QueueStep::Done(Err(fault)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::NameRule;

    fn fault(kind: FaultKind) -> Result<QueueReply, Fault> {
        Err(Fault::new(kind))
    }

    fn request(step: QueueStep) -> QueueOp {
        match step {
            QueueStep::Execute(op) => op,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_queue_that_does_not_exist_is_well() {
        let mut check = QueueCheck::new(&Capabilities::broker());
        assert!(matches!(request(check.start()), QueueOp::GetQueue { .. }));
        assert_eq!(check.on_reply(fault(FaultKind::NoQueue)), QueueStep::Done(Ok(())));
    }

    #[test]
    fn a_backend_that_does_not_describe_a_queue_lists_its_queues() {
        let mut check = QueueCheck::new(&Capabilities::broker());
        let op = request(check.start());
        let op = request(check.on_reply(Err(Fault::unsupported(&op, "look elsewhere"))));
        assert!(matches!(op, QueueOp::ListQueues { count: 1, .. }));
        assert_eq!(check.on_reply(Ok(QueueReply::Queues(Vec::new()))), QueueStep::Done(Ok(())));
    }

    #[test]
    fn a_backend_without_either_is_not_checked() {
        let mut check = QueueCheck::new(&Capabilities::broker());
        for _ in 0..2 {
            let op = check.requests.last().unwrap().clone();
            assert!(!matches!(
                check.on_reply(Err(Fault::unsupported(&op, "no"))),
                QueueStep::Done(_)
            ));
        }
        assert_eq!(check.start(), QueueStep::NotSupported);
    }

    #[test]
    fn a_backend_that_refuses_the_name_is_asked_for_no_queue_of_it() {
        let capabilities =
            Capabilities { names: Some(NameRule::new(|_| Err("no"))), ..Capabilities::broker() };
        let mut check = QueueCheck::new(&capabilities);
        assert!(matches!(request(check.start()), QueueOp::ListQueues { .. }));
    }

    #[test]
    fn a_lost_reply_is_tried_once_more_and_other_faults_are_not() {
        let mut check = QueueCheck::new(&Capabilities::broker());
        check.start();
        request(check.on_reply(fault(FaultKind::ReplyLost)));
        assert!(matches!(check.on_reply(fault(FaultKind::ReplyLost)), QueueStep::Done(Err(_))));
        for kind in [FaultKind::Unreachable, FaultKind::Unauthorized, FaultKind::Unavailable] {
            let mut check = QueueCheck::new(&Capabilities::broker());
            check.start();
            assert_eq!(check.on_reply(fault(kind)), QueueStep::Done(Err(Fault::new(kind))));
        }
    }
}

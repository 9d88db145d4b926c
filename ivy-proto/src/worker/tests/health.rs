use std::time::Duration;

use super::scenario::*;
use crate::event::Part;
use crate::health::{Liveness, QueueHealth, State, WorkerHealth};
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::queue::FaultKind;
use crate::worker::Input;

const SECOND: Duration = Duration::from_secs(1);

impl Scenario {
    fn health(&self) -> WorkerHealth {
        self.worker.health(self.now)
    }

    fn queue_health(&self) -> QueueHealth {
        self.health().queues.remove(0)
    }

    /// Lets each request fail for this long.
    fn fail_for(&mut self, time: Duration, kind: FaultKind) {
        let end = self.now + time;
        while self.now < end {
            while let Some((op, ())) = self.take(|_| Some(())) {
                self.reply_fault(op, kind);
            }
            self.advance(SECOND);
        }
    }
}

#[test]
fn an_idle_worker_is_ready_while_its_long_poll_is_under_way() {
    let mut worker = started();
    worker.advance(29 * SECOND);
    let queue = worker.queue_health();
    assert_eq!((queue.last_reply, queue.polling), (Some(29 * SECOND), Some(29 * SECOND)));
    assert!(worker.health().is_ready());
}

#[test]
fn a_worker_whose_queue_is_unreachable_for_hours_is_live_and_not_ready() {
    let mut worker = started();
    worker.fail_for(50 * SECOND, FaultKind::Unreachable);
    assert!(worker.health().is_ready(), "it answered less than a minute ago");
    worker.fail_for(3 * 3600 * SECOND, FaultKind::Unreachable);
    let health = worker.health();
    assert!(health.is_live() && !health.is_ready(), "{health}");
    assert_eq!(health.queues[0].trouble, Some(FaultKind::Unreachable));
    assert_eq!(health.liveness, Liveness::Running);
}

#[test]
fn a_queue_that_answers_again_is_well() {
    let mut worker = started();
    worker.fail_for(300 * SECOND, FaultKind::Unauthorized);
    assert!(!worker.health().is_ready());
    worker.advance(60 * SECOND);
    let (op, _) = worker.take_poll().expect("it polls again");
    worker.deliver_to(op, &[]);
    let health = worker.health();
    assert!(health.is_ready() && health.queues[0].trouble.is_none(), "{health}");
}

#[test]
fn a_queue_that_does_not_exist_yet_answers() {
    let mut worker = started();
    worker.fail_for(300 * SECOND, FaultKind::NoQueue);
    assert!(worker.health().is_ready());
}

#[test]
fn a_worker_that_is_paused_stays_ready() {
    let mut worker = started();
    let (op, _) = worker.take_poll().unwrap();
    worker.deliver_to(op, &[]);
    worker.feed(Input::Pause);
    worker.advance(3600 * SECOND);
    assert_eq!(worker.health().state, State::Paused);
    assert!(worker.health().is_ready());
}

#[test]
fn a_refusal_about_one_message_is_an_answer() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.advance(20 * SECOND);
    let (op, _) = worker.take_touch().unwrap();
    worker.reply_fault(op, FaultKind::LeaseLost);
    let queue = worker.queue_health();
    assert_eq!((queue.last_reply, queue.trouble), (Some(Duration::ZERO), None));
    worker.done(&run);
}

#[test]
fn the_lateness_of_the_last_renewal_is_known() {
    let mut worker = started();
    worker.running(&our_body(1, None));
    assert_eq!(worker.health().touch_lag, None);
    // It is due after half to 70 % of 30 s.
    worker.now = worker.now + 25 * SECOND;
    worker.feed(Input::Tick);
    let lag = worker.health().touch_lag.unwrap();
    assert!(lag >= 4 * SECOND && lag <= 10 * SECOND, "{lag:?}");
}

#[test]
fn a_worker_that_drains_says_so() {
    let mut worker = started();
    let run = worker.running(&our_body(1, None));
    worker.feed(Input::Drain { limit: 30 * SECOND });
    let health = worker.health();
    assert_eq!((health.state, health.running), (State::Draining, 1));
    assert!(health.is_live() && !health.is_ready());
    worker.done(&run);
}

#[test]
fn trouble_of_the_notifier_leaves_the_worker_ready() {
    let mut worker = started();
    for _ in 0..3 {
        let run = worker.running(&our_body(1, Some(NOTICE_CHANNEL)));
        worker.done(&run);
    }
    for _ in 0..20 {
        while let Some((op, _)) = worker.publications.pop_front() {
            let fault = NotifyFault::new(NotifyFaultKind::Unreachable);
            worker.feed(Input::Published(op, Err(fault)));
        }
        worker.advance(10 * SECOND);
    }
    let health = worker.health();
    assert_eq!(health.degraded, [Part::Notifier]);
    assert!(health.is_ready());
}

use super::*;
use crate::id::TaskId;
use crate::metrics::Meter;
use crate::name::{ChannelName, QueueName, TaskName};
use crate::notify::NotifyFaultKind;
use crate::queue::Body;
use crate::time::WallClock;
use crate::worker::io::Output;

const KB: usize = 1_000;

/// Notices and a notifier that replies when the test says so.
struct Scenario {
    notices: Notices,
    fx: Effects,
    /// The publications in flight, with the numbers of their tasks.
    in_flight: VecDeque<(OpId, u8)>,
    /// The tasks whose notices were dropped.
    dropped: Vec<u8>,
}

impl Scenario {
    fn keeping(bytes: usize) -> Self {
        let meter = Meter::new([].iter(), [].iter());
        let fx = Effects::new([7; 32], WallClock::default(), meter);
        let notices = Notices::new(bytes, 1);
        Scenario { notices, fx, in_flight: VecDeque::new(), dropped: Vec::new() }
    }

    /// The task of this number is done, and its notice has this size.
    fn send(&mut self, number: u8, size: usize) {
        self.send_kind(number, size, NoticeKind::Success);
    }

    fn send_kind(&mut self, number: u8, size: usize, kind: NoticeKind) {
        let task = TaskRef {
            id: TaskId::from_random([number; 16]),
            name: TaskName::new("testpackage.factorial").unwrap(),
            queue: QueueName::new("testpackage").unwrap(),
        };
        let channel = ChannelName::new("ivy-notifier").unwrap();
        let payload = Body::new(char::from(number).to_string().repeat(size));
        let publication = Publication { channel, payload };
        self.notices.send(OutgoingNotice { task, kind, publication }, &mut self.fx);
        self.take_outputs();
    }

    /// The notifier replies to the first publication in flight.
    fn complete(&mut self, result: Result<u64, NotifyFault>) {
        let (op, _) = self.in_flight.pop_front().unwrap();
        self.notices.published(op, result, &mut self.fx);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.fx.outputs.pop_front() {
            match output {
                Output::Publish(op, publication) => {
                    self.in_flight.push_back((op, publication.payload.as_str().as_bytes()[0]));
                }
                Output::Event(Event::NoticeDropped {
                    task,
                    reason: NoticeDropReason::Overflow,
                }) => {
                    let number = (0..128).find(|n| TaskId::from_random([*n; 16]) == task.id);
                    self.dropped.push(number.unwrap());
                }
                _ => {}
            }
        }
    }

    fn numbers_in_flight(&self) -> Vec<u8> {
        self.in_flight.iter().map(|(_, number)| *number).collect()
    }
}

#[test]
fn a_notice_that_ends_no_wait_displaces_no_other() {
    let mut scenario = Scenario::keeping(10 * KB);
    for number in 1..=10 {
        scenario.send(number, KB);
    }
    scenario.send_kind(11, KB, NoticeKind::Released);
    assert_eq!(scenario.dropped, [11]);
    scenario.send(12, KB);
    assert_eq!(scenario.dropped, [11, 6]);
}

#[test]
fn if_the_notifier_never_replies_the_oldest_waiting_notice_is_dropped_for_the_newest() {
    let mut scenario = Scenario::keeping(10 * KB);
    for number in 1..=15 {
        scenario.send(number, KB);
        assert!(scenario.notices.bytes() <= 10 * KB);
    }
    assert_eq!(scenario.numbers_in_flight(), [1, 2, 3, 4, 5]);
    assert_eq!(scenario.dropped, [6, 7, 8, 9, 10]);
}

#[test]
fn waiting_notices_are_published_as_replies_arrive() {
    let mut scenario = Scenario::keeping(4 * KB);
    for number in 1..=4 {
        scenario.send(number, KB);
    }
    scenario.complete(Ok(1));
    assert_eq!(scenario.numbers_in_flight(), [2, 3]);
    scenario.complete(Err(NotifyFault::new(NotifyFaultKind::ConnectionLost)));
    scenario.notices.on_backoff_ended(&mut scenario.fx);
    scenario.take_outputs();
    assert_eq!(scenario.numbers_in_flight(), [3, 4]);
    scenario.complete(Ok(1));
    scenario.complete(Ok(1));
    assert!(scenario.notices.is_idle());
    assert_eq!(scenario.notices.bytes(), 0);
}

#[test]
fn a_notice_larger_than_the_limit_is_still_published() {
    let mut scenario = Scenario::keeping(2 * KB);
    for number in 1..=3 {
        scenario.send(number, KB);
    }
    scenario.send(4, 5 * KB);
    assert_eq!((scenario.numbers_in_flight(), &scenario.dropped[..]), (vec![1], &[2, 3][..]));
    scenario.complete(Ok(1));
    assert_eq!(scenario.numbers_in_flight(), [4]);
}

#[test]
fn a_notice_to_be_retried_counts_as_waiting() {
    let mut scenario = Scenario::keeping(4 * KB);
    scenario.send(1, KB);
    scenario.complete(Err(NotifyFault::new(NotifyFaultKind::Unreachable)));
    assert_eq!(scenario.notices.bytes(), KB);
    for number in 2..=5 {
        scenario.send(number, KB);
    }
    assert_eq!(scenario.dropped, [1]);
}

#[test]
fn the_number_of_notices_is_limited_as_well() {
    let mut scenario = Scenario::keeping(usize::MAX);
    for _ in 0..=MAX_NOTICES {
        scenario.send(1, 1);
    }
    assert_eq!(scenario.in_flight.len(), MAX_NOTICES / 2);
    assert_eq!((scenario.notices.bytes(), scenario.dropped.len()), (MAX_NOTICES, 1));
}

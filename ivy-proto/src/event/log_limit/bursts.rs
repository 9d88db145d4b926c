//! Counts similar warnings per minute.

use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use crate::event::Event;
use crate::name::QueueName;
use crate::time::Moment;

use super::LogLine;

/// The number of lines of a kind that are written one by one in each minute, if each names another
/// task or message.
const ONE_BY_ONE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// The maximum number of kinds that are counted; the oldest is evicted.
const MAX_KINDS: usize = 256;

/// The current minute of each recent kind, ordered by start.
#[derive(Debug, Default)]
pub(super) struct Bursts(VecDeque<Minute>);

#[derive(Debug)]
struct Minute {
    began: Moment,
    written: u32,
    left_out: u64,
    /// An event of the kind: the first that was left out, if any was.
    like: Event,
}

/// What similar warnings have in common.
#[derive(PartialEq)]
struct Kind<'a> {
    event: Discriminant<Event>,
    queue: Option<&'a QueueName>,
    reason: Option<&'static str>,
    error: Option<&'static str>,
    /// The text, if it is all that tells events apart.
    text: Option<&'a str>,
}

impl Bursts {
    pub(super) fn admits(&mut self, event: &Event, now: Moment, lines: &mut Vec<LogLine>) -> bool {
        self.end(now, lines);
        let kind = kind(event);
        if let Some(minute) = self.0.iter_mut().find(|minute| self::kind(&minute.like) == kind) {
            if minute.written < one_by_one(event) {
                minute.written += 1;
                return true;
            }
            if minute.left_out == 0 {
                minute.like = event.clone();
            }
            minute.left_out += 1;
            return false;
        }
        if self.0.len() == MAX_KINDS {
            lines.extend(self.0.pop_front().and_then(|mut oldest| oldest.line()));
        }
        self.0.push_back(Minute { began: now, written: 1, left_out: 0, like: event.clone() });
        true
    }

    /// Ends the minutes that are over.
    pub(super) fn end(&mut self, now: Moment, lines: &mut Vec<LogLine>) {
        let over = self.0.partition_point(|minute| minute.ends() <= now);
        lines.extend(self.0.drain(..over).filter_map(|mut minute| minute.line()));
    }

    /// When the first minute ends in which a line was left out.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.0.iter().find(|minute| minute.left_out > 0).map(Minute::ends)
    }

    pub(super) fn flush(&mut self, lines: &mut Vec<LogLine>) {
        lines.extend(self.0.iter_mut().filter_map(Minute::line));
    }
}

impl Minute {
    fn ends(&self) -> Moment {
        self.began + MINUTE
    }

    /// The line for the events that were left out, which then count as written.
    fn line(&mut self) -> Option<LogLine> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then(|| LogLine { event: self.like.clone(), left_out })
    }
}

fn kind(event: &Event) -> Kind<'_> {
    let fields = event.fields();
    let text = match event {
        Event::QueueServerWarning { warning } => Some(&**warning),
        _ => None,
    };
    let (queue, reason, error) = (fields.queue, fields.reason, fields.error_kind);
    Kind { event: discriminant(event), queue, reason, error, text }
}

/// A warning about a queue or a notifier says nothing new when it is repeated.
fn one_by_one(event: &Event) -> u32 {
    if event.fields().name_a_task_or_message() { ONE_BY_ONE } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DegradedReason, LogLimit, Part};
    use crate::id::MessageId;
    use crate::queue::{Fault, FaultKind};
    use crate::wire::DeadLetterReason;

    fn dead_lettered(queue: &str, reason: DeadLetterReason, number: u32) -> Event {
        Event::DeadLettered {
            queue: QueueName::new(queue).unwrap(),
            message: MessageId::new(number.to_string()),
            task: None,
            reason,
            detail: "the body is not JSON".to_owned(),
            attempts: 0,
            lost: 0,
        }
    }

    fn second(number: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(number))
    }

    /// Returns how many of `messages` invalid messages are written one by one.
    fn written(limit: &mut LogLimit, messages: u32, now: Moment) -> usize {
        let events = (0..messages).map(|n| dead_lettered("shop", DeadLetterReason::BadJson, n));
        events.filter(|event| limit.admits(event, now)).count()
    }

    #[test]
    fn each_minute_writes_ten_lines_and_the_count_of_the_rest() {
        let mut limit = LogLimit::default();
        for minute in 0..3 {
            let now = second(60 * minute);
            assert_eq!(written(&mut limit, 10_000, now), 10);
            assert!(limit.due(second(60 * minute + 59)).is_empty());
            assert_eq!(limit.next_due(), Some(second(60 * minute + 60)));
            let lines = limit.due(second(60 * minute + 60));
            let texts: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let event = dead_lettered("shop", DeadLetterReason::BadJson, 10);
            assert_eq!(texts, [format!("9990 more within a minute, among them: {event}")]);
            assert_eq!(limit.next_due(), None);
        }
    }

    #[test]
    fn rare_warnings_are_written_immediately() {
        let mut limit = LogLimit::default();
        for number in 0..100 {
            let event = dead_lettered("shop", DeadLetterReason::BadJson, number);
            assert!(limit.admits(&event, second(u64::from(number) * 7)));
            assert_eq!(limit.next_due(), None);
        }
    }

    #[test]
    fn each_queue_and_each_reason_is_counted_separately() {
        let mut limit = LogLimit::default();
        assert_eq!(written(&mut limit, 100, second(0)), 10);
        for other in [
            dead_lettered("mail", DeadLetterReason::BadJson, 1),
            dead_lettered("shop", DeadLetterReason::BadArgs, 1),
            Event::PeerFault {
                queue: QueueName::new("shop").unwrap(),
                message: MessageId::new("1"),
            },
        ] {
            assert!(limit.admits(&other, second(0)), "{other}");
        }
    }

    #[test]
    fn a_warning_about_a_queue_is_written_once_a_minute_with_the_count_of_its_repeats() {
        let failing = |queue: &str, kind| Event::Degraded {
            part: Part::Queue(QueueName::new(queue).unwrap()),
            why: DegradedReason::Queue(Fault::new(kind)),
        };
        let unreachable = failing("shop", FaultKind::Unreachable);
        let mut limit = LogLimit::default();
        let admitted = (0..60).filter(|now| limit.admits(&unreachable, second(*now)));
        assert_eq!(admitted.collect::<Vec<_>>(), [0]);
        assert!(limit.admits(&failing("mail", FaultKind::Unreachable), second(1)), "another queue");
        assert!(limit.admits(&failing("shop", FaultKind::Unauthorized), second(1)), "news");
        let lines: Vec<_> = limit.due(second(60)).iter().map(ToString::to_string).collect();
        assert_eq!(lines, [format!("59 more within a minute, among them: {unreachable}")]);
        assert!(limit.admits(&unreachable, second(61)), "the next minute");
    }

    #[test]
    fn different_warnings_of_a_server_are_all_written() {
        let mut limit = LogLimit::default();
        let warning = |text: &str| Event::QueueServerWarning { warning: text.to_owned() };
        for text in ["it stores nothing", "it evicts keys"] {
            assert!(limit.admits(&warning(text), second(0)));
            assert!(!limit.admits(&warning(text), second(0)));
        }
    }

    #[test]
    fn the_line_of_many_has_the_fields_that_they_have_in_common() {
        let mut limit = LogLimit::default();
        written(&mut limit, 15, second(0));
        let lines = limit.due(second(60));
        let fields = lines[0].fields();
        assert_eq!((fields.count, fields.reason), (Some(5), Some("BadJson")));
        assert_eq!(fields.queue.map(QueueName::as_str), Some("shop"));
        assert_eq!(fields.message_id, None);
    }

    #[test]
    fn the_count_is_written_if_the_log_ends_before_the_minute() {
        let mut limit = LogLimit::default();
        written(&mut limit, 15, second(0));
        let lines = limit.flush();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].to_string().starts_with("5 more within a minute"), "{}", lines[0]);
        assert!(limit.flush().is_empty(), "a flushed count is not written again");
        assert_eq!(written(&mut limit, 1, second(30)), 0, "the minute continues");
    }

    #[test]
    fn evicting_a_kind_writes_its_count() {
        let mut limit = LogLimit::default();
        written(&mut limit, 15, second(0));
        for number in 0..u32::try_from(MAX_KINDS).unwrap() {
            let queue = format!("queue{number}");
            limit.admits(&dead_lettered(&queue, DeadLetterReason::BadJson, 1), second(1));
        }
        assert_eq!(limit.bursts.0.len(), MAX_KINDS);
        assert_eq!(limit.next_due(), Some(Moment::EPOCH));
        let lines = limit.due(second(1));
        assert!(lines[0].to_string().starts_with("5 more within a minute"), "{lines:?}");
    }
}

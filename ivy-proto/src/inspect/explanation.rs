//! Why a message does not run: evidence first, and guesses marked as such.

mod queue;
mod visibility;
mod workers;

use std::fmt;

use crate::name::QueueName;
use crate::presence::Heard;
use crate::text::{Counted, Escaped};
use crate::wire::{DeadLetterReason, Protection};

pub use queue::{QueueEvidence, UndecidedReleases};
pub use visibility::Visibility;
use workers::Runner;

use super::description::{DescribedLetter, DescribedTask, Description, Unreadable};
use super::times::{Timestamp, Wait};

/// The number of retries if neither the message nor the worker specifies it.
const USUAL_RETRIES: u32 = crate::wire::DEFAULT_MAX_RETRIES;

/// What is known about a message that is to be explained.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The physical queue that it is in.
    pub queue: QueueName,
    /// What it is.
    pub description: Description,
    /// Whether workers can reserve it.
    pub visibility: Visibility,
    /// How often it was reserved, if the queue reports it.
    pub reserved_count: Option<u32>,
    /// The number of messages in the queue, if the queue reports it.
    pub size: Option<u64>,
    /// The workers that were heard, if somebody listened for them.
    pub heard: Option<Heard>,
    /// The time of the operator's host, in milliseconds since 1970.
    pub now: u64,
}

impl Evidence {
    fn is_in_dead_letter_queue(&self) -> bool {
        self.queue.of_dead_letters().is_some()
    }
}

/// How certain a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certainty {
    /// The message, or its queue, says so.
    Known,
    /// It follows from what is known in most cases.
    Likely,
    /// It cannot be known from here.
    Unknown,
}

impl Certainty {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Certainty::Known => "known",
            Certainty::Likely => "likely",
            Certainty::Unknown => "unknown",
        }
    }
}

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// How certain it is.
    pub certainty: Certainty,
    /// The text. Control characters are escaped, and arguments do not occur in it.
    pub text: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.certainty {
            Certainty::Known => f.write_str(&self.text),
            Certainty::Likely => write!(f, "probably {}", self.text),
            Certainty::Unknown => write!(f, "not known: {}", self.text),
        }
    }
}

/// What a message is, where it is, why it does not run, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The message in one line.
    pub what: String,
    /// What is known, and what is guessed.
    pub facts: Vec<Fact>,
    /// What to do next.
    pub next: Vec<String>,
}

impl Explanation {
    /// Explains a message.
    #[must_use]
    pub fn of(evidence: &Evidence) -> Self {
        let what = what(evidence);
        let mut explanation = Explanation { what, facts: Vec::new(), next: Vec::new() };
        let Description { letter, task, unreadable, .. } = &evidence.description;
        match letter {
            Some(letter) => explanation.letter(evidence, letter),
            None if evidence.is_in_dead_letter_queue() => {
                explanation.stays_until_an_operator_acts(evidence);
            }
            None => {
                explanation.visibility(evidence);
                let runner = match &evidence.heard {
                    Some(heard) => explanation.workers(evidence, heard),
                    None => Runner::Unknown,
                };
                explanation.why_not_visible(evidence, runner);
            }
        }
        match (task, unreadable) {
            (Some(task), _) => explanation.task(evidence, task),
            (None, Some(unreadable)) => explanation.unreadable(evidence, unreadable),
            (None, None) => {}
        }
        explanation
    }

    fn known(&mut self, text: impl Into<String>) {
        self.facts.push(Fact { certainty: Certainty::Known, text: text.into() });
    }

    fn likely(&mut self, text: impl Into<String>) {
        self.facts.push(Fact { certainty: Certainty::Likely, text: text.into() });
    }

    fn unknown(&mut self, text: impl Into<String>) {
        self.facts.push(Fact { certainty: Certainty::Unknown, text: text.into() });
    }

    fn letter(&mut self, evidence: &Evidence, letter: &DescribedLetter) {
        let DescribedLetter { queue, id, reason, error, attempts, at, .. } = letter;
        let since = Wait::of(*at, evidence.now);
        self.known(format!(
            "it is a dead letter: message {id} of queue {queue}, moved here {since} for the reason {reason}, after {}",
            Counted(*attempts, "attempt", "attempts")
        ));
        if let Some(error) = error {
            self.known(format!("the error was: {}", Escaped(error)));
        }
        if evidence.is_in_dead_letter_queue() {
            self.stays_until_an_operator_acts(evidence);
            return;
        }
        let here = &evidence.queue;
        self.known(format!(
            "queue {here} is one of tasks, where it does not belong: no worker runs a dead letter"
        ));
        let message = &evidence.description.message;
        self.next.push(format!(
            "a worker of queue {here} moves it to {here}.dead, from where `ivy dead requeue {here}` returns its task to queue {queue}; to keep it elsewhere: ivy show {here} {message} --raw"
        ));
    }

    fn stays_until_an_operator_acts(&mut self, evidence: &Evidence) {
        self.known("no worker serves a dead-letter queue, so it stays here until an operator requeues or deletes it");
        let dead = &evidence.queue;
        let message = &evidence.description.message;
        self.next.push(format!(
            "when the cause is fixed: ivy dead requeue {dead} --id {message}; to discard it: ivy dead delete {dead} --id {message}"
        ));
    }

    fn task(&mut self, evidence: &Evidence, task: &DescribedTask) {
        if let Some(deadline) = task.deadline {
            match Wait::of(deadline, evidence.now) {
                passed @ Wait::Since(_) => {
                    self.known(format!("its deadline passed {passed}: later than a minute after it, because clocks may differ, a worker moves it to the dead-letter queue instead of running it"));
                    if evidence.description.letter.is_some() {
                        self.next.push("to run it although its deadline has passed: requeue it with --drop-deadline".to_owned());
                    }
                }
                left @ Wait::Until(_) => self.known(format!(
                    "it must be started {left}, or up to a minute later, because clocks may differ"
                )),
            }
        }
        let last = task.retries.unwrap_or(USUAL_RETRIES).saturating_add(1);
        if evidence.description.letter.is_none() && task.attempt >= last {
            self.known(
                "this is its last attempt: if it fails, it is moved to the dead-letter queue",
            );
        }
        if task.lost > 0 {
            let deliveries = Counted(task.lost, "delivery", "deliveries");
            self.known(format!(
                "{deliveries} of this attempt were lost: workers crashed, or leases ended"
            ));
        }
        if task.later > 0 {
            let times = Counted(task.later, "time", "times");
            self.known(format!("its handler postponed it {times}"));
        }
        if task.requeued > 0 {
            let times = Counted(task.requeued, "time", "times");
            self.known(format!("it was requeued {times} before"));
        }
    }

    fn unreadable(&mut self, evidence: &Evidence, unreadable: &Unreadable) {
        let Unreadable { reason, text } = unreadable;
        self.known(format!("its task cannot be read here: {reason}: {text}"));
        if matches!(reason, DeadLetterReason::Downgrade | DeadLetterReason::ExpectedEncrypted) {
            self.known("the policy of the keyset does not accept messages of this form on its queue, whatever keys there are");
        }
        if evidence.is_in_dead_letter_queue() {
            self.key(evidence, *reason);
            return;
        }
        if reason.may_be_decided_elsewhere() {
            self.likely("a worker without the right keys releases it again and again, and then moves it to the dead-letter queue");
        } else {
            self.known("a worker moves such a message to the dead-letter queue");
        }
        self.key(evidence, *reason);
    }

    /// Which key opens it.
    fn key(&mut self, evidence: &Evidence, reason: DeadLetterReason) {
        if matches!(reason, DeadLetterReason::NoKey | DeadLetterReason::UnknownKey) {
            self.next.push(match &evidence.description.protection {
                Protection::Form { key: Some(key), .. } => {
                    format!("run this again with a keyset that contains the key {key}")
                }
                _ => "run this again with the password or keyset of its sender".to_owned(),
            });
        }
    }
}

fn what(evidence: &Evidence) -> String {
    let Description { message, bytes, task, .. } = &evidence.description;
    let place = format!("message {message} of queue {}", evidence.queue);
    let Some(task) = task else { return format!("{place}: {bytes} bytes") };
    let mut text = format!("{place}: task {}", task.name);
    if let Some(id) = task.id {
        text += &format!(" ({id})");
    }
    text += &format!(", attempt {}", task.attempt);
    text += &match task.retries {
        Some(retries) => format!(" of {}", retries.saturating_add(1)),
        None => format!(" of {} unless its worker says otherwise", USUAL_RETRIES + 1),
    };
    if let Some(due) = task.due {
        text += &format!(", due {} ({})", Timestamp(due), Wait::of(due, evidence.now));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;
    use crate::inspect::Redaction;
    use crate::queue::{Body, ReceivedBody};
    use crate::wire::crypto::samples::both;
    use crate::wire::crypto::{EntropyPool, Policy};
    use crate::wire::{Codec, Content, DeadLetter};

    pub(super) const NOW: u64 = 1_764_421_331_000;

    pub(super) fn evidence(queue: &str, body: &str, visibility: Visibility) -> Evidence {
        read_by(&Codec::plain(), queue, body, visibility)
    }

    fn read_by(codec: &Codec, queue: &str, body: &str, visibility: Visibility) -> Evidence {
        let queue = QueueName::new(queue).unwrap();
        let body = ReceivedBody::Text(Body::new(body));
        let content = Content::read(&body, &queue, codec);
        let description =
            Description::of(MessageId::new("6114"), &body, &content, &Redaction::new());
        let (reserved_count, size, heard) = (None, Some(1), None);
        Evidence { queue, description, visibility, reserved_count, size, heard, now: NOW }
    }

    pub(super) fn task(ivy: &str) -> String {
        format!(
            r#"{{"name":"mail.send","options":{{"maxRetries":3,"ivy":{{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw"{ivy}}}}},"args":["secret"]}}"#
        )
    }

    pub(super) fn texts(evidence: &Evidence) -> Vec<String> {
        let Explanation { what, facts, next } = Explanation::of(evidence);
        let facts = facts.iter().map(Fact::to_string);
        [what].into_iter().chain(facts).chain(next).collect()
    }

    pub(super) fn says(evidence: &Evidence, text: &str) {
        let texts = texts(evidence);
        assert!(texts.iter().any(|line| line.contains(text)), "{text}: {texts:#?}");
    }

    #[test]
    fn the_first_line_says_what_it_is() {
        let due = format!(r#","attempt":2,"due":{}"#, NOW + 130_000);
        let explained = Explanation::of(&evidence("mail", &task(&due), Visibility::NotReady));
        assert_eq!(
            explained.what,
            "message 6114 of queue mail: task mail.send (BwcHBwcHBwcHBwcHBwcHBw), attempt 2 of 4, due 2025-11-29 13:04:21 UTC (in 2m 10s)"
        );
    }

    #[test]
    fn deadline_last_attempt_and_counts_are_facts() {
        let options =
            format!(r#","attempt":4,"lost":1,"later":2,"requeued":1,"deadline":{}"#, NOW - 61_000);
        let evidence = Evidence {
            reserved_count: Some(9),
            ..evidence("mail", &task(&options), Visibility::Ready(1))
        };
        says(&evidence, "its deadline passed 1m 1s ago: later than a minute after it");
        says(&evidence, "this is its last attempt");
        says(&evidence, "1 delivery of this attempt");
        says(&evidence, "postponed it 2 times");
        says(&evidence, "requeued 1 time before");
        says(&evidence, "reserved 9 times");
        says(&evidence, "probably it crashes its workers");
    }

    #[test]
    fn a_dead_letter_is_explained_with_the_commands_that_settle_it() {
        let letter = DeadLetter {
            queue: QueueName::new("mail").unwrap(),
            id: MessageId::new("7"),
            reason: DeadLetterReason::Fatal,
            error: Some("out of\nluck".to_owned()),
            attempts: 2,
            deliveries: 1,
            at: NOW - 60_000,
            body: Body::new(task("")),
        };
        let evidence = evidence("mail.dead", letter.to_body().as_str(), Visibility::Ready(1));
        says(
            &evidence,
            "a dead letter: message 7 of queue mail, moved here 1m 0s ago for the reason Fatal, after 2 attempts",
        );
        says(&evidence, r"the error was: out of\nluck");
        says(&evidence, "ivy dead requeue mail.dead --id 6114");
    }

    #[test]
    fn a_sealed_letter_without_an_envelope_gets_the_advice_of_a_dead_letter() {
        let sealed =
            evidence("mail.dead", &format!("$ivy2$k1${}", "A".repeat(128)), Visibility::Ready(1));
        says(&sealed, "no worker serves a dead-letter queue");
        says(&sealed, "ivy dead requeue mail.dead --id 6114");
        says(&sealed, "with a keyset that contains the key k1");
        let texts = texts(&sealed);
        assert!(!texts.iter().any(|text| text.contains("a worker")), "{texts:#?}");
    }

    #[test]
    fn a_dead_letter_in_a_queue_of_tasks_does_not_belong_there() {
        let letter = DeadLetter {
            queue: QueueName::new("mail").unwrap(),
            id: MessageId::new("7"),
            reason: DeadLetterReason::Fatal,
            error: None,
            attempts: 2,
            deliveries: 1,
            at: NOW,
            body: Body::new(task("")),
        };
        let evidence = evidence("orders", letter.to_body().as_str(), Visibility::Ready(1));
        says(&evidence, "no worker runs a dead letter");
        says(&evidence, "moves it to orders.dead, from where `ivy dead requeue orders`");
    }

    #[test]
    fn an_unreadable_message_is_explained_by_the_missing_key() {
        let sealed =
            evidence("mail", &format!("$ivy2$k1${}", "A".repeat(128)), Visibility::Ready(1));
        says(&sealed, "its task cannot be read here: NoKey");
        says(&sealed, "with a keyset that contains the key k1");
        says(&evidence("mail", "<html>", Visibility::Ready(1)), "a worker moves such a message to");
    }

    #[test]
    fn a_form_that_the_policy_refuses_is_explained_by_the_policy() {
        let with = |policy| Codec::new(&both().with_policy(policy)).unwrap();
        let plain = ReceivedBody::Text(Body::new(task("")));
        let queue = QueueName::new("mail").unwrap();
        let Content::Task(envelope) = Content::read(&plain, &queue, &Codec::plain()) else {
            panic!("it is a task")
        };
        let mut pool = EntropyPool::from_seed(&[3; 32]);
        let legacy = with(Policy::legacy()).seal(&envelope, &queue, &mut pool);
        for body in [legacy.as_str(), &task("")] {
            let refused = read_by(&with(Policy::v2()), "mail", body, Visibility::Ready(1));
            says(&refused, "its task cannot be read here: Downgrade");
            says(&refused, "the policy of the keyset does not accept messages of this form");
            let texts = texts(&refused);
            assert!(!texts.iter().any(|text| text.contains("run this again")), "{texts:#?}");
        }
    }

    #[test]
    fn arguments_do_not_occur_in_an_explanation() {
        let texts = texts(&evidence("mail", &task(""), Visibility::Ready(1)));
        assert!(!format!("{texts:?}").contains("secret"), "{texts:#?}");
    }
}

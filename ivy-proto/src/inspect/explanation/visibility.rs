//! Whether workers can reserve the message, and if not, why.

use crate::inspect::times::Wait;
use crate::text::Counted;

use super::workers::Runner;
use super::{Evidence, Explanation};

/// How many deliveries are usual. More are worth a line.
const USUAL_DELIVERIES: u32 = 5;
/// Why a message that is due is not visible although no worker runs it.
const RELEASED_OR_LOST: &str = "\
a worker released it with a delay, because it has no handler or no key for it, or because a failed \
attempt is to be repeated later; or its worker crashed, and it returns when its lease ends";

/// Whether workers can reserve a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// It is among the messages that are ready, at this place, from 1.
    Ready(usize),
    /// It is not among the messages that are ready, and all of them were seen.
    NotReady,
    /// It is not among the first messages that are ready. There are more than could be seen.
    NotAmongFirst(usize),
    /// The message was not looked up in a queue.
    Unknown,
}

impl Explanation {
    pub(super) fn visibility(&mut self, evidence: &Evidence) {
        match evidence.visibility {
            Visibility::Ready(place) => {
                self.known(format!(
                    "it is ready: number {place} of the messages that workers can reserve{}",
                    of_all(evidence)
                ));
                if evidence.heard.is_none() {
                    self.likely(
                        "no worker serves this queue, or all slots of those that do are occupied, or they pause",
                    );
                    self.next.push(format!(
                        "listen for workers with --workers, and check that one serves queue {}; on a busy queue, add workers",
                        evidence.queue
                    ));
                }
            }
            Visibility::NotReady | Visibility::NotAmongFirst(_) if is_early(evidence) => {
                self.known("it is not among the messages that workers can reserve");
                self.likely("it is delayed: its attempt is not due yet");
            }
            Visibility::NotReady => {
                self.known("it is not visible to workers: it is delayed or reserved, and the queue does not report which");
            }
            Visibility::NotAmongFirst(seen) => {
                self.unknown(format!(
                    "whether it is ready: it is not among the first {seen} messages{}, and the queue shows no more",
                    of_all(evidence)
                ));
            }
            Visibility::Unknown => self.unknown("where it is: it was not looked up in a queue"),
        }
        if let Some(count) = evidence.reserved_count.filter(|count| *count > 0) {
            let times = Counted(count, "time", "times");
            self.known(format!(
                "it was reserved {times}; some queues count renewals and releases too"
            ));
            if count > USUAL_DELIVERIES {
                self.likely("it crashes its workers, its handler outlives many leases, or it is not for the workers that reserve it");
            }
        }
    }

    /// Guesses why a message that is due is not ready.
    pub(super) fn why_not_visible(&mut self, evidence: &Evidence, runner: Runner) {
        if evidence.visibility != Visibility::NotReady || is_early(evidence) {
            return;
        }
        match runner {
            Runner::Heard => return,
            Runner::NoneHeard => self.likely(RELEASED_OR_LOST),
            Runner::Unknown => {
                self.likely(format!("a worker runs it now; or {RELEASED_OR_LOST}"));
            }
        }
        if evidence.heard.is_none() {
            self.next.push(
                "listen for workers with --workers: it says who runs it, and who has no handler for it".to_owned(),
            );
        }
        self.next.push(
            "look again later: leases last 30 s by default, and a release is delayed for at most 5 minutes".to_owned(),
        );
    }
}

/// Whether the message is not due yet.
fn is_early(evidence: &Evidence) -> bool {
    matches!(evidence.description.wait(evidence.now), Some(Wait::Until(_)))
}

/// The size of the queue, as a remark.
fn of_all(evidence: &Evidence) -> String {
    evidence.size.map(|size| format!(" (of {size} in the queue)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::explanation::tests::{NOW, evidence, says, task, texts};

    #[test]
    fn a_ready_message_waits_for_a_worker() {
        let evidence = evidence("mail", &task(""), Visibility::Ready(3));
        says(
            &evidence,
            "it is ready: number 3 of the messages that workers can reserve (of 1 in the queue)",
        );
        says(&evidence, "probably no worker serves this queue");
        says(&evidence, "check that one serves queue mail");
    }

    #[test]
    fn a_message_that_is_not_due_is_delayed() {
        let due = format!(r#","due":{}"#, NOW + 1);
        let early = evidence("mail", &task(&due), Visibility::NotReady);
        says(&early, "probably it is delayed");
        assert!(!texts(&early).iter().any(|text| text.contains("released")));
    }

    #[test]
    fn a_message_that_is_due_and_not_visible_is_running_or_released_or_lost() {
        let hidden = evidence("mail", &task(""), Visibility::NotReady);
        says(&hidden, "probably a worker runs it now; or a worker released it with a delay");
        says(&hidden, "or its worker crashed");
        says(&hidden, "listen for workers with --workers");
    }

    #[test]
    fn what_cannot_be_known_is_said() {
        let unseen = evidence("mail", &task(""), Visibility::NotAmongFirst(100));
        says(
            &unseen,
            "not known: whether it is ready: it is not among the first 100 messages (of 1 in the queue)",
        );
        says(&evidence("mail", &task(""), Visibility::Unknown), "not known: where it is");
    }
}

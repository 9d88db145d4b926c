//! Large numbers: a hundred thousand messages in a queue, and a notifier that accepts nothing.

use crate::run::Case;
use crate::setup::Setup;
use crate::task::Plan;

/// How many messages wait.
const MESSAGES: usize = 100_000;
/// How many handlers run at a time.
const CONCURRENCY: usize = 100;

#[test]
fn a_hundred_thousand_messages_are_done_by_a_worker_that_holds_few_at_a_time() {
    let setup = Setup {
        tasks: MESSAGES,
        fault_seconds: 20,
        notifier: false,
        plan: Some(Plan::Succeeds),
        concurrency: CONCURRENCY,
        handler_millis: 1_000,
        ..Setup::default()
    };
    let outcome = Case { setup, faults: None, in_words: false }.run();
    assert_eq!(outcome.breach, None);
    let coverage = &outcome.coverage;
    // One more shows at the end that everything works.
    assert!(coverage.executions > MESSAGES as u64, "{} executions", coverage.executions);
    let max = CONCURRENCY + MAX_NOT_RUNNING;
    assert_eq!(coverage.dead, 0);
    // The worker is replaced once, and the messages that it held run again.
    assert!(coverage.duplicates <= max as u64, "{} duplicates", coverage.duplicates);
    assert!(coverage.max_held <= max, "{} messages were held at a time", coverage.max_held);
    assert!(coverage.max_held >= CONCURRENCY, "all slots were used at a time");
}

/// Messages that may wait for a slot, and finished ones that accumulate until they are deleted:
/// about 60 handlers end within the 120 ms for which a delete may be delayed and in flight.
const MAX_NOT_RUNNING: usize = 250;

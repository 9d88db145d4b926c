//! Elements and replies that another program has caused.

use ivy_proto::queue::{Reserved, ReservedMessage};

use super::operations::{END, ID, NOTHING_LOST, connected, mail};
use super::*;

/// A session that has reserved these elements of a queue.
fn reserved_from(queue: &str, elements: &[&str], due: &str) -> Harness {
    let mut harness = connected();
    let (queue, lease) = (QueueName::new(queue).unwrap(), Duration::from_secs(30));
    harness.execute(1, QueueOp::Reserve { queue, count: 10, lease, wait: Duration::ZERO });
    harness.receive(NOTHING_LOST);
    harness.receive(&array(&[elements, &[END, due]].concat()));
    harness
}

fn reserved(harness: &Harness) -> &Reserved {
    match harness.last_executed() {
        Ok(QueueReply::Reserved(reserved)) => reserved,
        other => panic!("{other:?}"),
    }
}

fn body(message: &ReservedMessage) -> &str {
    match &message.body {
        ReceivedBody::Text(body) => body.as_str(),
        other => panic!("{other:?}"),
    }
}

fn warning(harness: &Harness) -> &str {
    match &harness.events[..] {
        [Event::QueueServerWarning { warning }] => warning,
        other => panic!("{other:?}"),
    }
}

fn large_message() -> String {
    format!("{ID}0100{}", "x".repeat(256 * 1024 + 1))
}

#[test]
fn a_time_of_the_next_message_that_is_no_number_costs_no_message() {
    for due in ["inf", "-1", "18446744073709551616", "nan", ""] {
        let harness = reserved_from("mail", &[&format!("{ID}0000body")], due);
        assert_eq!(reserved(&harness).messages.len(), 1, "{due}");
    }
}

#[test]
fn an_element_that_is_not_a_message_is_moved_to_the_dead_letter_queue() {
    let mut harness = reserved_from("mail", &[&format!("{ID}0102body"), "hello"], "more");
    assert_eq!((reserved(&harness).messages.len(), reserved(&harness).unusable), (1, 1));
    assert!(harness.last_sent().contains("ivy1:{mail.dead}:r"));
    harness.receive(":1\r\n:1\r\n");
    assert!(warning(&harness).contains("queue mail: an element that is not a message"));
}

#[test]
fn a_message_with_a_large_body_is_moved_to_the_dead_letter_queue_as_it_is() {
    let mut harness = reserved_from("mail", &[&large_message()], "more");
    assert_eq!((reserved(&harness).messages.len(), reserved(&harness).unusable), (0, 1));
    // Without a header of its own.
    assert!(harness.last_sent().ends_with("$0\r\n\r\n"), "{}", harness.last_sent());
    harness.receive(":1\r\n:1\r\n");
    assert!(warning(&harness).contains("a message of more than 256 KiB was moved"));
}

#[test]
fn an_element_that_cannot_be_moved_to_the_dead_letter_queue_is_reported() {
    for (error, advice) in [
        ("WRONGTYPE Operation against a key", "rename that key"),
        ("NOPERM this user has no permissions", "grant the user"),
    ] {
        let mut harness = reserved_from("mail", &["hello"], "more");
        harness.receive(&format!(":1\r\n-{error}\r\n"));
        let warning = warning(&harness);
        assert!(warning.contains("could not be moved") && warning.contains(advice), "{warning}");
    }
}

#[test]
fn a_dead_letter_queue_of_another_kind_is_named_by_its_key() {
    let mut harness = reserved_from("mail", &["hello"], "more");
    harness.receive(":1\r\n-WRONGTYPE Operation against a key\r\n");
    let warning = warning(&harness);
    assert!(warning.contains("the key ivy1:{mail.dead}:r contains other data"), "{warning}");
}

#[test]
fn nothing_is_moved_out_of_a_dead_letter_queue() {
    let large = large_message();
    let harness = reserved_from("mail.dead", &["hello", &large, ""], "more");
    let reserved = reserved(&harness);
    assert_eq!((reserved.messages.len(), reserved.unusable), (3, 0));
    assert_eq!(reserved.messages[0].receipt.message.as_bytes(), b"raw-aaf4c61ddcc5e8");
    assert_eq!(body(&reserved.messages[0]), "hello");
    assert_eq!(body(&reserved.messages[1]).len(), 256 * 1024 + 1);
    assert!(harness.sent.iter().all(|(_, sent)| !sent.contains(".dead.dead")));
    // It can be released and deleted by its receipt.
    assert_eq!(reserved.messages[2].body, ReceivedBody::TooLarge);
    assert!(harness.events.is_empty(), "{:?}", harness.events);
}

#[test]
fn a_peek_shows_elements_that_are_not_messages() {
    let mut harness = connected();
    harness.execute(1, QueueOp::Peek { queue: mail(), count: 10 });
    harness.receive(&array(&["hello", &format!("{ID}0001body")]));
    let Ok(QueueReply::Peeked(peeked)) = harness.last_executed() else { panic!() };
    let ids: Vec<&[u8]> = peeked.iter().map(|message| message.id.as_bytes()).collect();
    assert_eq!(ids, [b"raw-aaf4c61ddcc5e8", ID.as_bytes()]);
    assert_eq!(peeked[0].reserved_count, None);
}

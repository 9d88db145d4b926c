//! Reserves that wait.

use super::operations::{END, ID, NOTHING_LOST, connected, mail};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn reserve(wait: Duration) -> QueueOp {
    QueueOp::Reserve { queue: mail(), count: 10, lease: 60 * SECOND, wait }
}

/// A session whose reserve has found nothing and waits, and the connection on which it waits; `due`
/// is the time in ms until a message is due, if any.
fn waiting(wait: Duration, due: &str) -> (Harness, ConnectionId) {
    let mut harness = connected();
    harness.execute(1, reserve(wait));
    harness.receive(&format!("{NOTHING_LOST}{}", array(&[due])));
    harness.accept();
    let connection_id = harness.connection_id();
    assert_eq!(harness.opened.len(), 2);
    (harness, connection_id)
}

fn blmove(seconds: &str) -> String {
    command(&["BLMOVE", "ivy1:{mail}:r", "ivy1:{mail}:p", "LEFT", "RIGHT", seconds])
}

/// A reserve's reply with a message; `due` is the time in ms until the next one is due, or `more`.
fn message(due: &str) -> String {
    array(&[&format!("{ID}0000hello"), END, due])
}

fn reserved_count(harness: &Harness) -> usize {
    match harness.last_executed() {
        Ok(QueueReply::Reserved(reserved)) => reserved.messages.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wait_and_its_script_are_sent_together() {
    let (harness, connection_id) = waiting(20 * SECOND, "");
    let sent = harness.last_sent();
    let begin = format!("{}{}", command(&["CLIENT", "ID"]), blmove("20.000"));
    assert!(sent.starts_with(&begin), "{sent}");
    assert!(sent.contains("EVALSHA") && sent.contains(&text("wait")));
    assert_eq!(harness.sent_on(connection_id).matches("BLMOVE").count(), 1);
}

#[test]
fn a_server_waits_until_a_message_is_due_or_half_a_minute_at_most() {
    for (wait, due, seconds) in
        [(60, "", "30.000"), (5, "", "5.000"), (60, "2500", "2.500"), (60, "0", "0.010")]
    {
        let (harness, _) = waiting(wait * SECOND, due);
        assert!(harness.last_sent().contains(&blmove(seconds)), "{wait} {due}");
    }
}

#[test]
fn messages_are_returned_and_the_connection_serves_the_next_wait() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n{}{}", text("moved"), message("more")));
    assert_eq!(reserved_count(&harness), 1);
    harness.execute(2, reserve(20 * SECOND));
    let short = harness.opened[0];
    harness.receive_on(short, &array(&[""]));
    assert_eq!(harness.opened.len(), 2);
    assert_eq!(harness.sent_on(connection_id).matches("BLMOVE").count(), 2);
    assert_eq!(harness.sent_on(connection_id).matches("CLIENT").count(), 1);
}

/// What is sent for a reserve that follows, after this time, one that left no message ready and
/// reported when the next one is due.
fn sent_after(due: &str, pause: Duration) -> String {
    let (mut harness, _) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n{}{}", text("moved"), message(due)));
    harness.pass(pause);
    harness.execute(2, reserve(60 * SECOND));
    harness.last_sent().to_owned()
}

#[test]
fn a_reserve_after_one_that_left_no_message_ready_waits_without_looking_first() {
    let pause = Duration::from_millis(100);
    for (due, seconds) in [("", "29.900"), ("2500", "2.400"), ("110", "0.010")] {
        assert!(sent_after(due, pause).starts_with(&blmove(seconds)), "{due}");
    }
}

#[test]
fn a_reserve_looks_first_if_messages_may_be_ready_or_the_report_is_old() {
    let pause = Duration::from_millis(100);
    for (due, pause) in [("more", pause), ("0", pause), ("109", pause), ("", SECOND)] {
        assert!(!sent_after(due, pause).contains("BLMOVE"), "{due} {pause:?}");
    }
}

#[test]
fn a_wait_without_a_look_ends_with_the_lease_of_the_messages_before_it() {
    let mut harness = connected();
    let (lease, wait) = (5 * SECOND, 20 * SECOND);
    harness.execute(1, QueueOp::Reserve { queue: mail(), count: 10, lease, wait });
    harness.receive(&format!("{NOTHING_LOST}{}", message("")));
    assert_eq!(reserved_count(&harness), 1);
    harness.execute(2, reserve(wait));
    harness.accept();
    assert!(harness.last_sent().contains(&blmove("5.000")), "{}", harness.last_sent());
}

#[test]
fn a_reserve_looks_first_after_a_connection_was_lost() {
    let (mut harness, _) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n{}{}", text("moved"), message("")));
    harness.execute(2, reserve(20 * SECOND));
    harness.fail(LinkFaultKind::Ended);
    harness.execute(3, reserve(20 * SECOND));
    assert!(!harness.last_sent().contains("BLMOVE"));
}

#[test]
fn a_reserve_that_does_not_wait_always_looks() {
    let (mut harness, _) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n{}{}", text("moved"), message("")));
    harness.execute(2, reserve(Duration::ZERO));
    assert!(harness.last_sent().contains("EVALSHA") && !harness.last_sent().contains("BLMOVE"));
}

#[test]
fn a_wait_continues_in_pieces_until_it_is_over() {
    let (mut harness, connection_id) = waiting(40 * SECOND, "");
    harness.pass(30 * SECOND);
    harness.receive(&format!(":7\r\n$-1\r\n{}", array(&[""])));
    assert!(harness.last_sent().contains(&blmove("10.000")));
    harness.pass(10 * SECOND);
    harness.receive(&format!("$-1\r\n{}", array(&[""])));
    assert_eq!(reserved_count(&harness), 0);
    assert_eq!(harness.sent_on(connection_id).matches("BLMOVE").count(), 2);
}

#[test]
fn an_idle_queue_costs_two_waits_a_minute() {
    let mut harness = connected();
    let half_a_minute = 30 * SECOND;
    let (queue, lease, wait) = (mail(), half_a_minute, 2 * half_a_minute);
    harness.execute(1, QueueOp::Reserve { queue, count: 10, lease, wait });
    harness.receive(&format!("{NOTHING_LOST}{}", array(&[""])));
    harness.accept();
    harness.receive(":7\r\n");
    for _ in 0..2 {
        assert_eq!(harness.executed.len(), 1);
        harness.pass(half_a_minute);
        harness.receive_on(harness.opened[1], &format!("$-1\r\n{}", array(&[""])));
    }
    assert_eq!(reserved_count(&harness), 0);
    assert_eq!(harness.sent_on(harness.opened[1]).matches("BLMOVE").count(), 2);
}

#[test]
fn each_waiting_reserve_has_its_own_connection() {
    let (mut harness, first) = waiting(20 * SECOND, "");
    harness.execute(2, reserve(20 * SECOND));
    let short = harness.opened[0];
    harness.receive_on(short, &array(&[""]));
    assert_eq!(harness.opened.len(), 3);
    harness.accept();
    harness.receive_on(first, &format!(":7\r\n$-1\r\n{}", message("more")));
    assert_eq!(harness.executed.last().unwrap().0, 1);
}

#[test]
fn an_unknown_script_is_sent_again_without_the_wait() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n{}-NOSCRIPT No matching script.\r\n", text("moved")));
    assert!(harness.last_sent().starts_with("*15\r\n$4\r\nEVAL\r\n"), "{}", harness.last_sent());
    assert_eq!(harness.sent_on(connection_id).matches("BLMOVE").count(), 1);
    harness.receive(&message("more"));
    assert_eq!(reserved_count(&harness), 1);
}

#[test]
fn a_cancelled_wait_is_ended_on_the_server_and_loses_no_message() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.receive(":7\r\n");
    harness.handle(Input::Cancel(CommandId(1)));
    assert_eq!(harness.last_sent(), command(&["CLIENT", "UNBLOCK", "7"]));
    let short = harness.opened[0];
    harness.receive_on(short, ":1\r\n");
    // A message arrived at the same time.
    harness.receive_on(connection_id, &format!("{}{}", text("moved"), message("more")));
    assert!(harness.last_sent().contains("EVALSHA"));
    assert_eq!(harness.sent.last().unwrap().0, short);
    assert_eq!(harness.executed.len(), 1);
    assert_eq!(harness.sent_on(connection_id).matches("BLMOVE").count(), 1);
}

#[test]
fn a_cancelled_wait_is_ended_once_the_client_id_is_known() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.handle(Input::Cancel(CommandId(1)));
    assert!(!harness.last_sent().contains("UNBLOCK"));
    harness.receive_on(connection_id, ":7\r\n");
    assert_eq!(harness.last_sent(), command(&["CLIENT", "UNBLOCK", "7"]));
}

#[test]
fn a_wait_cancelled_before_its_connection_is_ready_is_not_sent() {
    let mut harness = connected();
    harness.execute(1, reserve(20 * SECOND));
    harness.receive(&format!("{NOTHING_LOST}{}", array(&[""])));
    harness.handle(Input::Cancel(CommandId(1)));
    harness.accept();
    assert!(!harness.sent_on(harness.connection_id()).contains("BLMOVE"));
}

#[test]
fn a_wait_without_a_reply_is_lost_ten_seconds_later() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.pass(30 * SECOND - Duration::from_millis(1));
    assert_eq!(harness.executed.len(), 1);
    harness.pass(Duration::from_millis(1));
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::ReplyLost);
    assert!(harness.closed.contains(&connection_id));
}

#[test]
fn a_full_server_that_refuses_to_wait_is_retried_after_a_second() {
    let (mut harness, _) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n-OOM command not allowed\r\n{}", array(&[""])));
    let sent = harness.sent.len();
    harness.pass(Duration::from_millis(999));
    assert_eq!(harness.sent.len(), sent);
    harness.pass(Duration::from_millis(1));
    assert!(harness.sent.len() > sent);
    assert_eq!(harness.executed.len(), 1);
}

#[test]
fn messages_of_the_script_are_returned_even_if_the_wait_was_refused() {
    let (mut harness, _) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n-UNBLOCKED force unblock\r\n{}", message("more")));
    assert_eq!(reserved_count(&harness), 1);
}

#[test]
fn a_server_without_the_blocking_command_is_not_retried() {
    let (mut harness, _) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n-ERR unknown command 'BLMOVE'\r\n{}", array(&[""])));
    let fault = harness.last_executed().as_ref().unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Refused);
    assert!(fault.to_string().contains("6.2"));
}

#[test]
fn a_connection_to_a_replica_is_not_reused() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.receive(":7\r\n-READONLY You can't write\r\n-READONLY You can't write\r\n");
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::Unavailable);
    assert!(harness.closed.contains(&connection_id));
}

#[test]
fn a_connection_that_becomes_idle_after_a_minute_is_closed_at_once() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n$-1\r\n{}", message("more")));
    harness.pass(45 * SECOND);
    harness.execute(2, reserve(20 * SECOND));
    let short = harness.opened[0];
    harness.receive_on(short, HELLO);
    harness.receive_on(short, &array(&[""]));
    harness.pass(20 * SECOND);
    harness.receive_on(connection_id, &format!("$-1\r\n{}", message("more")));
    assert!(harness.closed.contains(&connection_id));
    assert!(harness.deadline.is_none_or(|deadline| deadline > harness.now));
}

#[test]
fn an_idle_connection_is_closed_when_it_is_a_minute_old() {
    let (mut harness, connection_id) = waiting(20 * SECOND, "");
    harness.receive(&format!(":7\r\n$-1\r\n{}", message("more")));
    harness.pass(59 * SECOND);
    assert!(!harness.closed.contains(&connection_id));
    harness.pass(SECOND);
    assert!(harness.closed.contains(&connection_id));
}

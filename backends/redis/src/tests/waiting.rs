//! Reserves that wait.

use super::operations::{mail, standing};
use super::*;

const ID: &str = "-AbCdEfG0123456789";
const END: &str = "1764421234567";
const NOTHING_LOST: &str = "*2\r\n$1\r\n0\r\n:0\r\n";
const SECOND: Duration = Duration::from_secs(1);

fn reserve(wait: Duration) -> QueueOp {
    QueueOp::Reserve { queue: mail(), count: 10, lease: 60 * SECOND, wait }
}

/// A session whose reserve has found nothing and waits, and the connection on which it waits; `due`
/// is the time in ms until a message is due, if any.
fn waiting(wait: Duration, due: &str) -> (Scene, ConnectionId) {
    let mut scene = standing();
    scene.execute(1, reserve(wait));
    scene.say(&format!("{NOTHING_LOST}{}", array(&[due])));
    scene.accept();
    let connection_id = scene.connection_id();
    assert_eq!(scene.opened.len(), 2);
    (scene, connection_id)
}

fn blmove(seconds: &str) -> String {
    command(&["BLMOVE", "ivy1:{mail}:r", "ivy1:{mail}:p", "LEFT", "RIGHT", seconds])
}

fn message() -> String {
    array(&[&format!("{ID}0000hello"), END])
}

fn brings(scene: &Scene) -> usize {
    match scene.last_executed() {
        Ok(QueueReply::Reserved(reserved)) => reserved.messages.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wait_and_its_script_are_sent_together() {
    let (scene, connection_id) = waiting(20 * SECOND, "");
    let sent = scene.last_sent();
    let begin = format!("{}{}", command(&["CLIENT", "ID"]), blmove("20.000"));
    assert!(sent.starts_with(&begin), "{sent}");
    assert!(sent.contains("EVALSHA") && sent.contains(&text("wait")));
    assert_eq!(scene.sent_on(connection_id).matches("BLMOVE").count(), 1);
}

#[test]
fn a_server_waits_until_a_message_is_due_or_half_a_minute_at_most() {
    for (wait, due, seconds) in
        [(60, "", "30.000"), (5, "", "5.000"), (60, "2500", "2.500"), (60, "0", "0.010")]
    {
        let (scene, _) = waiting(wait * SECOND, due);
        assert!(scene.last_sent().contains(&blmove(seconds)), "{wait} {due}");
    }
}

#[test]
fn messages_are_returned_and_the_connection_serves_the_next_wait() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.say(&format!(":7\r\n{}{}", text("moved"), message()));
    assert_eq!(brings(&scene), 1);
    scene.execute(2, reserve(20 * SECOND));
    let short = scene.opened[0];
    scene.say_on(short, &array(&[""]));
    assert_eq!(scene.opened.len(), 2);
    assert_eq!(scene.sent_on(connection_id).matches("BLMOVE").count(), 2);
    assert_eq!(scene.sent_on(connection_id).matches("CLIENT").count(), 1);
}

#[test]
fn a_wait_continues_in_pieces_until_it_is_over() {
    let (mut scene, connection_id) = waiting(40 * SECOND, "");
    scene.pass(30 * SECOND);
    scene.say(&format!(":7\r\n$-1\r\n{}", array(&[""])));
    assert!(scene.last_sent().contains(&blmove("10.000")));
    scene.pass(10 * SECOND);
    scene.say(&format!("$-1\r\n{}", array(&[""])));
    assert_eq!(brings(&scene), 0);
    assert_eq!(scene.sent_on(connection_id).matches("BLMOVE").count(), 2);
}

#[test]
fn each_waiting_reserve_has_its_own_connection() {
    let (mut scene, first) = waiting(20 * SECOND, "");
    scene.execute(2, reserve(20 * SECOND));
    let short = scene.opened[0];
    scene.say_on(short, &array(&[""]));
    assert_eq!(scene.opened.len(), 3);
    scene.accept();
    scene.say_on(first, &format!(":7\r\n$-1\r\n{}", message()));
    assert_eq!(scene.executed.last().unwrap().0, 1);
}

#[test]
fn an_unknown_script_is_sent_again_without_the_wait() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.say(&format!(":7\r\n{}-NOSCRIPT No matching script.\r\n", text("moved")));
    assert!(scene.last_sent().starts_with("*15\r\n$4\r\nEVAL\r\n"), "{}", scene.last_sent());
    assert_eq!(scene.sent_on(connection_id).matches("BLMOVE").count(), 1);
    scene.say(&message());
    assert_eq!(brings(&scene), 1);
}

#[test]
fn a_cancelled_wait_is_ended_on_the_server_and_loses_no_message() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.say(":7\r\n");
    scene.hand_in(Input::Cancel(CommandId(1)));
    assert_eq!(scene.last_sent(), command(&["CLIENT", "UNBLOCK", "7"]));
    let short = scene.opened[0];
    scene.say_on(short, ":1\r\n");
    // A message arrived at the same time.
    scene.say_on(connection_id, &format!("{}{}", text("moved"), message()));
    assert!(scene.last_sent().contains("EVALSHA"));
    assert_eq!(scene.sent.last().unwrap().0, short);
    assert_eq!(scene.executed.len(), 1);
    assert_eq!(scene.sent_on(connection_id).matches("BLMOVE").count(), 1);
}

#[test]
fn a_cancelled_wait_is_ended_once_the_client_id_is_known() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.hand_in(Input::Cancel(CommandId(1)));
    assert!(!scene.last_sent().contains("UNBLOCK"));
    scene.say_on(connection_id, ":7\r\n");
    assert_eq!(scene.last_sent(), command(&["CLIENT", "UNBLOCK", "7"]));
}

#[test]
fn a_wait_cancelled_before_its_connection_is_ready_is_not_sent() {
    let mut scene = standing();
    scene.execute(1, reserve(20 * SECOND));
    scene.say(&format!("{NOTHING_LOST}{}", array(&[""])));
    scene.hand_in(Input::Cancel(CommandId(1)));
    scene.accept();
    assert!(!scene.sent_on(scene.connection_id()).contains("BLMOVE"));
}

#[test]
fn a_wait_without_a_reply_is_lost_ten_seconds_later() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.pass(30 * SECOND - Duration::from_millis(1));
    assert_eq!(scene.executed.len(), 1);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.last_executed().as_ref().unwrap_err().kind(), FaultKind::AnswerLost);
    assert!(scene.closed.contains(&connection_id));
}

#[test]
fn a_full_server_that_refuses_to_wait_is_asked_again_after_a_second() {
    let (mut scene, _) = waiting(20 * SECOND, "");
    scene.say(&format!(":7\r\n-OOM command not allowed\r\n{}", array(&[""])));
    let sent = scene.sent.len();
    scene.pass(Duration::from_millis(999));
    assert_eq!(scene.sent.len(), sent);
    scene.pass(Duration::from_millis(1));
    assert!(scene.sent.len() > sent);
    assert_eq!(scene.executed.len(), 1);
}

#[test]
fn messages_of_the_script_are_returned_even_if_the_wait_was_refused() {
    let (mut scene, _) = waiting(20 * SECOND, "");
    scene.say(&format!(":7\r\n-UNBLOCKED force unblock\r\n{}", message()));
    assert_eq!(brings(&scene), 1);
}

#[test]
fn a_server_without_the_blocking_command_is_not_asked_again() {
    let (mut scene, _) = waiting(20 * SECOND, "");
    scene.say(&format!(":7\r\n-ERR unknown command 'BLMOVE'\r\n{}", array(&[""])));
    let fault = scene.last_executed().as_ref().unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Refused);
    assert!(fault.to_string().contains("6.2"));
}

#[test]
fn a_connection_to_a_replica_is_not_reused() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.say(":7\r\n-READONLY You can't write\r\n-READONLY You can't write\r\n");
    assert_eq!(scene.last_executed().as_ref().unwrap_err().kind(), FaultKind::Unavailable);
    assert!(scene.closed.contains(&connection_id));
}

#[test]
fn an_idle_connection_is_closed_when_it_is_a_minute_old() {
    let (mut scene, connection_id) = waiting(20 * SECOND, "");
    scene.say(&format!(":7\r\n$-1\r\n{}", message()));
    scene.pass(59 * SECOND);
    assert!(!scene.closed.contains(&connection_id));
    scene.pass(SECOND);
    assert!(scene.closed.contains(&connection_id));
}

//! Operations of a queue on Redis, and the replies of a server.

use std::time::Duration;

use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};

use super::array;

/// A receipt that no reserve has given.
pub(super) fn unknown_receipt() -> Receipt {
    Receipt { message: MessageId::new("1"), reservation: ReservationId::new("1") }
}

/// One of the operations, about this receipt if it is about one.
pub(super) fn operation(kind: u8, number: u8, receipt: &Receipt) -> QueueOp {
    let queues = ["mail", "news", "mail.dead"];
    let queue = QueueName::new(queues[usize::from(number) % queues.len()]).expect("a name");
    let receipt = receipt.clone();
    let (count, lease) = (usize::from(number), Duration::from_secs(30));
    let delay = Duration::from_secs(u64::from(number / 128));
    match kind % 12 {
        0 | 1 => {
            let wait = Duration::from_secs(u64::from(number));
            QueueOp::Reserve { queue, count: count + 1, lease, wait }
        }
        2 => {
            let message = NewMessage { body: Body::new("x".repeat(count)), delay };
            QueueOp::Post { queue, messages: Batch::one(message) }
        }
        3 => QueueOp::Delete { queue, receipt },
        4 => QueueOp::DeleteMany { queue, receipts: Batch::one(receipt) },
        5 => QueueOp::Touch { queue, receipt, lease },
        6 => QueueOp::Release { queue, receipt, delay, failed: number < 128 },
        7 => QueueOp::Peek { queue, count: count + 1 },
        8 => QueueOp::Get { queue, message: receipt.message },
        9 => QueueOp::GetQueue { queue },
        10 => QueueOp::DeleteQueue { queue },
        _ => QueueOp::ListQueues { prefix: "m".to_owned(), after: Some(queue), count: count + 1 },
    }
}

/// The reply of a server that has a message; to a script, everything that any script returns.
pub(super) fn reply(command: &[&str]) -> Option<String> {
    let element = "-AbCdEfG01234567890000body";
    Some(match command {
        ["EVALSHA", ..] => "-NOSCRIPT No matching script.\r\n".to_owned(),
        ["EVAL", text, ..] if text.contains("local claimed") => {
            array(&[element, "hello", "1764421234567"])
        }
        ["EVAL", text, ..] if text.contains("HSCAN', held") => "*2\r\n$1\r\n0\r\n:0\r\n".to_owned(),
        ["EVAL", text, ..] if text.contains("HEXISTS") => "$13\r\n1764421264567\r\n".to_owned(),
        ["EVAL", ..] => array(&["", "0", "1"]),
        ["BLMOVE", ..] => "$-1\r\n".to_owned(),
        ["TIME"] => array(&["1764421234", "567"]),
        ["CLIENT", "ID"] => ":7\r\n".to_owned(),
        ["ZRANGEBYLEX", ..] => array(&["mail"]),
        ["RPUSH" | "ZADD" | "HDEL" | "ZREM" | "LLEN" | "HLEN" | "ZCARD" | "UNLINK", ..] => {
            ":1\r\n".to_owned()
        }
        _ => return None,
    })
}

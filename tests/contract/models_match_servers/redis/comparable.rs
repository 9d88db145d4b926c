//! Replies and keys in a form that is comparable between the model and a real server.

use redis::Value;

/// Times are compared in steps of this many milliseconds.
const STEP: i64 = 1_000_000;
/// Numbers from here on are times, up to the next constant.
const TIMES: i64 = 1_000_000_000_000;
/// The largest reported time until something is due, and scores that are no times.
const UNLIMITED: i64 = 1 << 53;

/// A reply, in words.
pub(super) fn reply_text(value: &Value, start: i64) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(status) => format!("\"{status}\""),
        Value::Okay => "\"OK\"".to_owned(),
        Value::BulkString(bytes) => text(bytes, start),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| reply_text(value, start)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::ServerError(error) => {
            let error_text = format!("-{} {}", error.code(), error.details().unwrap_or_default());
            // The rest names the script and the line.
            error_text.split(" script: ").next().unwrap_or_default().to_owned()
        }
        other => panic!("unexpected reply {other:?}"),
    }
}

/// A text. A number may be a time, or the remainder of one.
pub(super) fn text(bytes: &[u8], start: i64) -> String {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(number) if (TIMES..UNLIMITED).contains(&number) => time(number, start),
        Some(number) if number >= UNLIMITED => format!("\"{number}\""),
        Some(number) if number >= 1_000 => format!("\"about {}\"", (number + STEP / 2) / STEP),
        _ => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A time, relative to the start.
pub(super) fn time(at: i64, start: i64) -> String {
    if !(TIMES..UNLIMITED).contains(&at) {
        return at.to_string();
    }
    format!("\"at {}\"", (at - start + STEP / 2).div_euclid(STEP))
}

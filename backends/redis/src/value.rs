//! Decodes replies.
//!
//! Frequent replies consist of strings, numbers and arrays. They are decoded here, because the
//! `redis` crate allocates and clears kilobytes for each reply. It decodes everything else.

use redis::Value;

/// The shortest value: a kind, one digit and a line break.
const SHORTEST_VALUE: usize = 4;

/// Decodes a whole frame, whose size and nesting were checked. `None` if it is damaged.
pub(crate) fn decode(frame: &[u8]) -> Option<Value> {
    let mut unread = frame;
    match value(&mut unread, MOST_NESTED) {
        Some(value) if unread.is_empty() => Some(value),
        _ => redis::parse_redis_value(frame).ok(),
    }
}

/// The nesting depth up to which arrays are decoded here.
const MOST_NESTED: usize = 4;

/// Decodes the next value. `None` if it is not one of the frequent ones.
fn value(unread: &mut &[u8], depth: usize) -> Option<Value> {
    let (&kind, behind) = unread.split_first()?;
    let end = memchr::memchr(b'\r', behind)?;
    let (line, behind) = behind.split_at(end);
    *unread = behind.strip_prefix(b"\r\n")?;
    match kind {
        b':' => number(line).map(Value::Int),
        b'$' if line == b"-1" => Some(Value::Nil),
        b'$' => {
            let (text, behind) = unread.split_at_checked(length(line)?)?;
            *unread = behind.strip_prefix(b"\r\n")?;
            Some(Value::BulkString(text.to_vec()))
        }
        b'*' if depth > 0 => {
            let length = length(line)?;
            let mut elements = Vec::with_capacity(length.min(unread.len() / SHORTEST_VALUE));
            for _ in 0..length {
                elements.push(value(unread, depth - 1)?);
            }
            Some(Value::Array(elements))
        }
        _ => None,
    }
}

fn length(digits: &[u8]) -> Option<usize> {
    number(digits)?.try_into().ok()
}

/// A number as Redis writes it.
fn number(text: &[u8]) -> Option<i64> {
    let is_written_by_redis =
        matches!(text.strip_prefix(b"-").unwrap_or(text).first(), Some(b'0'..=b'9'));
    if is_written_by_redis { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_the_crate(frame: &[u8]) -> Option<Value> {
        redis::parse_redis_value(frame).ok()
    }

    #[test]
    fn frequent_replies_are_decoded_without_the_crate() {
        for frame in [
            &b":1\r\n"[..],
            b":-2\r\n",
            b"$5\r\nhe\r\no\r\n",
            b"$0\r\n\r\n",
            b"$-1\r\n",
            b"*0\r\n",
            b"*3\r\n$7\r\nmessage\r\n$2\r\nre\r\n$2\r\n\xff\xfe\r\n",
            b"*2\r\n*1\r\n:1\r\n$-1\r\n",
        ] {
            let mut unread = frame;
            let value = value(&mut unread, MOST_NESTED);
            assert!(unread.is_empty() && value.is_some(), "{frame:?}");
            assert_eq!(value, by_the_crate(frame));
        }
    }

    #[test]
    fn other_replies_are_decoded_by_the_crate() {
        for frame in [
            &b"+OK\r\n"[..],
            b"+QUEUED\r\n",
            b"-ERR no\r\n",
            b"*2\r\n:1\r\n-ERR no\r\n",
            b"*-1\r\n",
            b":+5\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ] {
            assert_eq!(value(&mut &*frame, MOST_NESTED), None, "{frame:?}");
            assert_eq!(decode(frame), by_the_crate(frame));
        }
    }

    /// Any reply of the protocol, encoded.
    fn encoded() -> impl Strategy<Value = Vec<u8>> {
        let line = |kind: char, text: &str| format!("{kind}{text}\r\n").into_bytes();
        let leaf = prop_oneof![
            any::<i64>().prop_map(move |number| line(':', &number.to_string())),
            "[A-Z]{1,5} [a-z]{0,9}".prop_map(move |text| line('-', &text)),
            "[A-Za-z ]{0,9}".prop_map(move |text| line('+', &text)),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|text| {
                [format!("${}\r\n", text.len()).as_bytes(), &text, b"\r\n"].concat()
            }),
        ];
        leaf.prop_recursive(5, 30, 6, |element| {
            prop::collection::vec(element, 0..6).prop_map(|elements| {
                [format!("*{}\r\n", elements.len()).into_bytes(), elements.concat()].concat()
            })
        })
    }

    proptest! {
        #[test]
        fn any_reply_is_decoded_as_the_crate_decodes_it(frame in encoded()) {
            prop_assert_eq!(decode(&frame), by_the_crate(&frame));
        }

        #[test]
        fn damaged_bytes_are_decoded_as_the_crate_decodes_them_or_not_at_all(
            frame in encoded(),
            at: prop::sample::Index,
            byte in prop_oneof![Just(b'\r'), Just(b'*'), Just(b'$'), Just(b'9'), any::<u8>()],
        ) {
            let mut frame = frame;
            let at = at.index(frame.len());
            frame[at] = byte;
            if let Some(value) = decode(&frame) {
                prop_assert_eq!(Some(value), by_the_crate(&frame));
            }
        }
    }
}

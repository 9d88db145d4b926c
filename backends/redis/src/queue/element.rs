//! Messages as stored in a queue: an id, two counts, and the body.

use sha1::{Digest, Sha1};

/// The length of an id.
pub(crate) const ID_LENGTH: usize = 18;
/// The length of everything before the body.
pub(crate) const HEADER_LENGTH: usize = ID_LENGTH + 4;
/// How the ids of elements that are not messages begin.
const RAW: &str = "raw-";
/// The counts of a message that was never reserved.
pub(crate) const NO_COUNTS: &str = "0000";

/// A message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) id: &'a str,
    pub(crate) counts: Counts,
    pub(crate) body: &'a [u8],
}

/// How the earlier deliveries of a message ended. Each count saturates at 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By a failed attempt.
    pub(crate) failed: u8,
    /// By the end of the lease.
    pub(crate) lost: u8,
}

impl<'a> Element<'a> {
    /// Parses a message. `None` if another program wrote these bytes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, body) = bytes.split_at_checked(HEADER_LENGTH)?;
        let (id, counts) = std::str::from_utf8(header).ok()?.split_at_checked(ID_LENGTH)?;
        let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !id.bytes().all(is_id_byte) {
            return None;
        }
        let count = |from: usize| {
            let digits = counts.get(from..from + 2)?;
            let are_digits = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if are_digits { u8::from_str_radix(digits, 16).ok() } else { None }
        };
        Some(Element { id, counts: Counts { failed: count(0)?, lost: count(2)? }, body })
    }
}

/// The id under which an element that is not a message is shown: the same each time. Identical
/// elements share one.
pub(crate) fn raw_id(bytes: &[u8]) -> String {
    let hash: String = Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    raw_id_of(&hash[..ID_LENGTH - RAW.len()])
}

/// The id of an element whose SHA-1 begins so.
pub(crate) fn raw_id_of(hash: &str) -> String {
    format!("{RAW}{hash}")
}

/// The part of such an id that is the beginning of the SHA-1, if it is one.
pub(crate) fn raw_hash(id: &str) -> Option<&str> {
    let hash = id.strip_prefix(RAW)?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (hash.len() == ID_LENGTH - RAW.len() && hash.bytes().all(is_hex)).then_some(hash)
}

/// Whether these bytes are an element whose SHA-1 begins so.
pub(crate) fn has_hash(bytes: &[u8], hash: &str) -> bool {
    !bytes.is_empty() && raw_id(bytes) == raw_id_of(hash)
}

/// A new message, as it is posted.
pub(crate) fn encode_new(id: &str, body: &str) -> Vec<u8> {
    [id, NO_COUNTS, body].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE_ID: &str = "AbCd-_0123456789zZ";

    #[test]
    fn a_posted_message_has_its_id_its_body_and_no_counts() {
        let element = encode_new(EXAMPLE_ID, "hello");
        let read = Element { id: EXAMPLE_ID, counts: Counts::default(), body: b"hello" };
        assert_eq!(Element::parse(&element), Some(read));
    }

    #[test]
    fn elements_of_other_programs_are_not_messages() {
        for bytes in [
            &b""[..],
            b"hello",
            b"AbCd-_0123456789zZ000",
            b"AbCd-_0123456789z.0000body",
            b"AbCd-_0123456789zZ0g00body",
            b"AbCd-_0123456789zZ0F00body",
            b"AbCd-_0123456789zZ+100body",
            "AbCd-_0123456789\u{e9}0000body".as_bytes(),
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff0000",
        ] {
            assert_eq!(Element::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_element_that_is_not_a_message_is_shown_under_an_id_of_its_own() {
        assert_eq!(raw_id(b"hello"), "raw-aaf4c61ddcc5e8");
        assert_eq!(raw_id(b"hello").len(), ID_LENGTH);
        assert_ne!(raw_id(b"hello"), raw_id(b"world"));
    }

    #[test]
    fn the_hash_of_an_element_is_read_from_its_id() {
        assert_eq!(raw_hash(&raw_id(b"hello")), Some("aaf4c61ddcc5e8"));
        for id in [
            "",
            EXAMPLE_ID,
            "raw-",
            "raw-aaf4c61ddcc5e",
            "raw-aaf4c61ddcc5e8.2",
            "raw-AAF4C61DDCC5E8",
            "raw.2",
        ] {
            assert_eq!(raw_hash(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn parsing_reverses_encoding(
            failed: u8,
            lost: u8,
            body in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut bytes = format!("{EXAMPLE_ID}{failed:02x}{lost:02x}").into_bytes();
            bytes.extend(&body);
            let read = Element { id: EXAMPLE_ID, counts: Counts { failed, lost }, body: &body };
            prop_assert_eq!(Element::parse(&bytes), Some(read));
        }

        #[test]
        fn a_parsed_message_contains_all_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(element) = Element::parse(&bytes) {
                prop_assert_eq!(element.id.len() + 4 + element.body.len(), bytes.len());
            }
        }
    }
}

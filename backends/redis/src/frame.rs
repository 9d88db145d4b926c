//! Finds the ends of frames in received bytes, and limits their size before they are decoded.

use std::fmt;
use std::ops::Range;

use memchr::memchr_iter;

/// The limits of a frame. A larger one does not match any request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The bytes of a line, such as an error or a length.
    pub(crate) line: usize,
    /// The bytes of one string.
    pub(crate) bulk: usize,
    /// What becomes of a longer one.
    pub(crate) long_strings: LongStrings,
    /// The elements of one array.
    pub(crate) array: usize,
    /// The nesting depth of arrays.
    pub(crate) depth: usize,
    /// The bytes of a whole frame.
    pub(crate) frame: usize,
}

/// What becomes of a string that is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LongStrings {
    /// Its frame is refused.
    Refused,
    /// Its bytes are skipped as they arrive, and it is decoded as no value.
    Skipped,
}

/// The longest string that is skipped: the longest that Redis stores by default.
const LONGEST_SKIPPED: usize = 512 << 20;
/// No value, as it is decoded, without the line break.
const NO_VALUE: &[u8] = b"$-1";

/// The capacity kept for the next frames. The memory of a larger frame is freed.
const RETAINED_CAPACITY: usize = 64 * 1024;

/// A buffer of bytes that arrive in pieces of any size, and the frames in them.
///
/// An announced length is compared with the limits and never used for an allocation.
pub(crate) struct Frames {
    buffer: Vec<u8>,
    /// The start of the incomplete frame.
    start: usize,
    /// The position up to which that frame was scanned, at the start of an element.
    at: usize,
    /// The number of missing elements for each array that is open in it.
    open: Vec<usize>,
    /// How many bytes of a string are still to be skipped, after [`NO_VALUE`] in its place.
    skipped: usize,
}

/// These bytes are not a frame, or exceed the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    /// No frame begins like this: the server uses another protocol.
    #[error("the reply is not in the Redis protocol")]
    Unknown,
    /// A length is not a number, or a line break is missing.
    #[error("the reply is damaged")]
    Damaged,
    /// It exceeds the limits.
    #[error("the reply is larger than any valid one")]
    TooLarge,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Frames { buffer: Vec::new(), start: 0, at: 0, open: Vec::new(), skipped: 0 }
    }

    /// Appends bytes that arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        if self.buffer.is_empty() {
            self.buffer.shrink_to(RETAINED_CAPACITY);
        }
        self.at -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame, if there is one, within these limits.
    pub(crate) fn next(&mut self, limits: &Limits) -> Result<Option<&[u8]>, BadFrame> {
        Ok(self.find(limits)?.map(|frame| &self.buffer[frame]))
    }

    /// The first bytes that are not decoded, to be shown if they are not a frame.
    pub(crate) fn first_bytes(&self) -> &[u8] {
        let unread = &self.buffer[self.start..];
        &unread[..unread.len().min(16)]
    }

    fn find(&mut self, limits: &Limits) -> Result<Option<Range<usize>>, BadFrame> {
        loop {
            if !self.skip() {
                return Ok(None);
            }
            let Some(element) = self.element(limits)? else {
                let is_too_large = self.buffer.len() - self.start > limits.frame;
                return if is_too_large { Err(BadFrame::TooLarge) } else { Ok(None) };
            };
            match element {
                Element::LongString { line, length } => {
                    self.buffer.splice(self.at..self.at + line, NO_VALUE.iter().copied());
                    self.skipped = length;
                    continue;
                }
                Element::Array(elements) => self.open.push(elements),
                Element::Leaf => {
                    while let Some(missing) = self.open.last_mut() {
                        *missing -= 1;
                        if *missing > 0 {
                            break;
                        }
                        self.open.pop();
                    }
                }
            }
            if self.at - self.start > limits.frame {
                return Err(BadFrame::TooLarge);
            }
            if self.open.is_empty() {
                let frame = self.start..self.at;
                self.start = self.at;
                return Ok(Some(frame));
            }
        }
    }

    /// Removes what has arrived of a string that is skipped. Returns whether that is all of it. The
    /// line break behind it then ends the line of [`NO_VALUE`].
    fn skip(&mut self) -> bool {
        if self.skipped > 0 {
            let from = self.at + NO_VALUE.len();
            let arrived = self.skipped.min(self.buffer.len() - from);
            self.buffer.drain(from..from + arrived);
            self.skipped -= arrived;
        }
        self.skipped == 0
    }

    /// Reads the element at the current position and moves behind it, unless it is a string to be
    /// skipped; `None` if it is incomplete.
    fn element(&mut self, limits: &Limits) -> Result<Option<Element>, BadFrame> {
        let &Limits { line, bulk, long_strings, array, depth, .. } = limits;
        let unread = &self.buffer[self.at..];
        let Some(&kind) = unread.first() else { return Ok(None) };
        if !b"+-:$*".contains(&kind) {
            return Err(BadFrame::Unknown);
        }
        let searched = &unread[..unread.len().min(line)];
        let Some(end) = end_of_line(searched) else {
            return if unread.len() < line { Ok(None) } else { Err(BadFrame::TooLarge) };
        };
        let after_line = end + 2;
        let (length, element) = match kind {
            b'$' => match length(&unread[1..end])? {
                None => (0, Element::Leaf),
                Some(length) if length > bulk => {
                    let is_skipped = long_strings == LongStrings::Skipped;
                    return if is_skipped && length <= LONGEST_SKIPPED {
                        Ok(Some(Element::LongString { line: after_line, length }))
                    } else {
                        Err(BadFrame::TooLarge)
                    };
                }
                Some(length) => match unread.get(after_line + length..after_line + length + 2) {
                    None => return Ok(None),
                    Some(b"\r\n") => (length + 2, Element::Leaf),
                    Some(_) => return Err(BadFrame::Damaged),
                },
            },
            b'*' => match length(&unread[1..end])? {
                None | Some(0) => (0, Element::Leaf),
                Some(elements) if elements > array || self.open.len() == depth => {
                    return Err(BadFrame::TooLarge);
                }
                Some(elements) => (0, Element::Array(elements)),
            },
            _ => (0, Element::Leaf),
        };
        self.at += after_line + length;
        Ok(Some(element))
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frames({} bytes)", self.buffer.len() - self.start)
    }
}

enum Element {
    /// An element without elements of its own.
    Leaf,
    /// The beginning of a string to be skipped: the bytes of its first line, and its length.
    LongString { line: usize, length: usize },
    /// The beginning of an array of this many elements.
    Array(usize),
}

/// Where the first line ends. Lines are short, so a search that must be prepared takes longer.
fn end_of_line(text: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', text).find_map(|at| at.checked_sub(1).filter(|end| text[*end] == b'\r'))
}

/// A length; `None` if there is no value.
fn length(text: &[u8]) -> Result<Option<usize>, BadFrame> {
    if text == b"-1" {
        return Ok(None);
    }
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(BadFrame::Damaged);
    }
    let number = text.iter().try_fold(0_usize, |number, digit| {
        number.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
    });
    // A number with too many digits is too large as well.
    number.map(Some).ok_or(BadFrame::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        line: 64,
        bulk: 1000,
        long_strings: LongStrings::Refused,
        array: 100,
        depth: 3,
        frame: 2000,
    };
    const SKIPPING: Limits = Limits { long_strings: LongStrings::Skipped, ..LIMITS };

    /// The frames in these pieces, up to the first error.
    fn frames<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Vec<u8>>, Result<(), BadFrame>) {
        frames_within(&LIMITS, pieces)
    }

    fn frames_within<'a>(
        limits: &Limits,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Vec<u8>>, Result<(), BadFrame>) {
        let mut reader = Frames::new();
        let mut found = Vec::new();
        for piece in pieces {
            reader.push(piece);
            loop {
                match reader.next(limits) {
                    Ok(Some(frame)) => found.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(bad) => return (found, Err(bad)),
                }
            }
            let buffered = reader.buffer.len();
            assert!(buffered <= limits.frame + piece.len(), "{buffered} bytes are buffered");
        }
        (found, Ok(()))
    }

    fn whole(bytes: &[u8]) -> (Vec<Vec<u8>>, Result<(), BadFrame>) {
        frames([bytes])
    }

    const VALID_FRAMES: [&[u8]; 8] = [
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":17\r\n",
        b"$5\r\nhello\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\n\r\n\r\n",
        b"*2\r\n*1\r\n:1\r\n*2\r\n+a\r\n*-1\r\n",
    ];

    #[test]
    fn frames_are_found_in_pieces_of_any_size() {
        let all = VALID_FRAMES.concat();
        assert_eq!(whole(&all), (VALID_FRAMES.map(<[u8]>::to_vec).to_vec(), Ok(())));
        for cut in 0..=all.len() {
            assert_eq!(frames([&all[..cut], &all[cut..]]), whole(&all), "cut at {cut}");
        }
        assert_eq!(frames(all.chunks(1)), whole(&all));
    }

    #[test]
    fn an_announced_length_beyond_the_limits_is_refused_at_once() {
        for announced in [
            &b"$1001\r\n"[..],
            b"$99999999999999999999999\r\n",
            b"*101\r\n",
            b"*9223372036854775807\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n",
        ] {
            assert_eq!(whole(announced).1, Err(BadFrame::TooLarge));
        }
    }

    /// A notice with a string of this length.
    fn notice(length: usize) -> Vec<u8> {
        let text = "x".repeat(length);
        format!("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n${length}\r\n{text}\r\n").into_bytes()
    }

    #[test]
    fn a_long_string_is_skipped_in_pieces_of_any_size_and_decoded_as_no_value() {
        let long = [notice(5000), b"+OK\r\n".to_vec(), notice(1001), notice(1)].concat();
        let skipped = b"*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$-1\r\n".to_vec();
        let expected = vec![skipped.clone(), b"+OK\r\n".to_vec(), skipped, notice(1)];
        for cut in 0..=long.len() {
            let (found, end) = frames_within(&SKIPPING, [&long[..cut], &long[cut..]]);
            assert_eq!((found, end), (expected.clone(), Ok(())), "cut at {cut}");
        }
        for size in [1, 7, 1000] {
            assert_eq!(frames_within(&SKIPPING, long.chunks(size)), (expected.clone(), Ok(())));
        }
    }

    #[test]
    fn a_skipped_string_that_is_longer_than_announced_is_damage() {
        let damaged = format!("$1001\r\n{}\r\n", "x".repeat(1002));
        let (_, end) = frames_within(&SKIPPING, damaged.as_bytes().chunks(100));
        assert_eq!(end, Err(BadFrame::Damaged));
    }

    #[test]
    fn a_string_that_redis_cannot_store_is_not_skipped() {
        for announced in
            ["$536870913\r\n", "$18446744073709551615\r\n", "$99999999999999999999\r\n"]
        {
            let (_, end) = frames_within(&SKIPPING, [announced.as_bytes()]);
            assert_eq!(end, Err(BadFrame::TooLarge), "{announced}");
        }
        assert_eq!(frames_within(&SKIPPING, [&b"$536870912\r\nx"[..]]), (vec![], Ok(())));
    }

    #[test]
    fn a_frame_that_grows_beyond_the_limits_is_refused() {
        assert_eq!(whole(&[b'+'; 64]).1, Err(BadFrame::TooLarge));
        let bulk = format!("$1000\r\n{}\r\n", "x".repeat(1000));
        assert_eq!(whole(bulk.as_bytes()).1, Ok(()));
        assert_eq!(whole(format!("*3\r\n{bulk}{bulk}").as_bytes()).1, Err(BadFrame::TooLarge));
    }

    #[test]
    fn the_nesting_of_arrays_is_limited() {
        assert_eq!(whole(&b"*1\r\n".repeat(100_000)).1, Err(BadFrame::TooLarge));
    }

    #[test]
    fn damage_is_distinguished_from_another_protocol() {
        for damaged in [&b"$x\r\n"[..], b"$\r\n", b"$-2\r\n", b"*+1\r\n", b"$2\r\nabc\r\n"] {
            assert_eq!(whole(damaged).1, Err(BadFrame::Damaged));
        }
        for other in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\0", b"?\r\n", b"\r\n"] {
            assert_eq!(whole(other).1, Err(BadFrame::Unknown));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_refused_and_buffered_within_the_limit(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), any::<u8>()],
                0..400,
            ),
            piece in 1usize..40,
        ) {
            prop_assert_eq!(frames(bytes.chunks(piece)), whole(&bytes));
            let skipping = Limits { bulk: 3, ..SKIPPING };
            let in_pieces = frames_within(&skipping, bytes.chunks(piece));
            prop_assert_eq!(in_pieces, frames_within(&skipping, [&bytes[..]]));
        }

        #[test]
        fn a_frame_that_is_found_is_one_that_redis_reads(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..10),
        ) {
            let mut frame = format!("*{}\r\n", texts.len()).into_bytes();
            for text in &texts {
                frame.extend(format!("${}\r\n", text.len()).into_bytes());
                frame.extend(text);
                frame.extend(b"\r\n");
            }
            let (found, end) = whole(&frame);
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(found.len(), 1);
            let value = redis::parse_redis_value(&found[0]).unwrap();
            let expected = texts.into_iter().map(redis::Value::BulkString).collect();
            prop_assert_eq!(value, redis::Value::Array(expected));
        }
    }
}

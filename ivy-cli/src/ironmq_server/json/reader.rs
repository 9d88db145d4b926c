//! The reader: finds the positions of all values in a JSON text.

use super::{Kind, Node};

/// The maximum depth, as in `serde_json`.
const MAX_DEPTH: usize = 127;
/// The maximum number of values and keys: each takes far more memory here than in the text. A
/// hundred messages, or subscribers with their headers, have a hundredth of that.
pub(super) const MAX_NODES: usize = 1 << 16;
/// A number of at most this many digits, without a fraction or an exponent, is never too large.
const SAFE_DIGITS: usize = 18;

/// Why a text is not accepted. For invalid JSON, `serde_json` provides the error text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    Malformed,
    TooMany,
}

/// Reads a whole text without recursion.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    nodes: Vec<Node>,
    /// The open arrays and objects, the innermost last.
    open: Vec<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let nodes = Vec::with_capacity((text.len() / 16).min(1024));
        Reader { bytes: text.as_bytes(), position: 0, nodes, open: Vec::new() }
    }

    pub(super) fn read(mut self) -> Result<Vec<Node>, ReadError> {
        match self.values() {
            Some(()) => Ok(self.nodes),
            None if self.nodes.len() >= MAX_NODES => Err(ReadError::TooMany),
            None => Err(ReadError::Malformed),
        }
    }

    fn values(&mut self) -> Option<()> {
        // All positions fit, then.
        u32::try_from(self.bytes.len()).ok()?;
        loop {
            self.value()?;
            // Closes the arrays and objects that end here, until another value follows.
            loop {
                let next = self.next_byte();
                let Some(&innermost) = self.open.last() else {
                    return next.is_none().then_some(());
                };
                match (next?, self.nodes.get(innermost)?.kind) {
                    (b',', Kind::Object) => break self.key()?,
                    (b',', _) => break,
                    (b'}', Kind::Object) | (b']', Kind::Array) => self.close()?,
                    _ => return None,
                }
            }
        }
    }

    /// Reads a value; of an array or object, everything up to its first scalar or empty value.
    fn value(&mut self) -> Option<()> {
        loop {
            match self.next_byte()? {
                b'"' => return self.string(),
                b'{' => {
                    self.open(Kind::Object)?;
                    if self.peek_byte() == Some(b'}') {
                        self.position += 1;
                        return self.close();
                    }
                    self.key()?;
                }
                b'[' => {
                    self.open(Kind::Array)?;
                    if self.peek_byte() == Some(b']') {
                        self.position += 1;
                        return self.close();
                    }
                }
                b'n' => return self.literal(Kind::Null, b"null"),
                b't' => return self.literal(Kind::Flag, b"true"),
                b'f' => return self.literal(Kind::Flag, b"false"),
                b'-' | b'0'..=b'9' => return self.number(),
                _ => return None,
            }
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Option<()> {
        (self.next_byte()? == b'"').then_some(())?;
        self.string()?;
        (self.next_byte()? == b':').then_some(())
    }

    fn open(&mut self, kind: Kind) -> Option<()> {
        self.open.push(self.nodes.len());
        self.push(kind, self.position - 1, self.position)?;
        (self.open.len() <= MAX_DEPTH).then_some(())
    }

    fn close(&mut self) -> Option<()> {
        let next = u32::try_from(self.nodes.len()).ok()?;
        let node = self.nodes.get_mut(self.open.pop()?)?;
        node.next = next;
        node.end = self.position as u32;
        Some(())
    }

    /// Reads a string after its opening quote.
    fn string(&mut self) -> Option<()> {
        let (start, mut position) = (self.position, self.position);
        let mut kind = Kind::Plain;
        loop {
            position += unescaped_length(self.bytes, position);
            match *self.bytes.get(position)? {
                b'"' => break,
                b'\\' => {
                    kind = Kind::Escaped;
                    match *self.bytes.get(position + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => position += 2,
                        b'u' => {
                            self.position = position + 2;
                            self.character()?;
                            position = self.position;
                        }
                        _ => return None,
                    }
                }
                // Close to the end of the text.
                byte if byte >= b' ' => position += 1,
                _ => return None,
            }
        }
        self.position = position + 1;
        self.push(kind, start, position)
    }

    /// Reads an escaped character in hexadecimal digits: one unit, or a surrogate pair.
    #[cold]
    fn character(&mut self) -> Option<()> {
        match self.unit()? {
            0xd800..0xdc00 => {
                let follows = self.take()? == b'\\' && self.take()? == b'u';
                (follows && (0xdc00..0xe000).contains(&self.unit()?)).then_some(())
            }
            0xdc00..0xe000 => None,
            _ => Some(()),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.take()?).to_digit(16)?;
        }
        Some(unit)
    }

    fn literal(&mut self, kind: Kind, text: &[u8]) -> Option<()> {
        let start = self.position - 1;
        let end = start + text.len();
        (self.bytes.get(start..end)? == text).then_some(())?;
        self.position = end;
        self.push(kind, start, end)
    }

    fn number(&mut self) -> Option<()> {
        let start = self.position - 1;
        while self.bytes.get(self.position).is_some_and(|byte| b"+-.eE0123456789".contains(byte)) {
            self.position += 1;
        }
        let number = self.bytes.get(start..self.position)?;
        let is_simple = number.len() <= SAFE_DIGITS
            && number.iter().all(u8::is_ascii_digit)
            && (number.len() == 1 || number[0] != b'0');
        if !is_simple {
            serde_json::from_slice::<f64>(number).ok()?;
        }
        self.push(Kind::Number, start, self.position)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) -> Option<()> {
        let next = self.nodes.len() + 1;
        (next <= MAX_NODES).then_some(())?;
        // No position exceeds the length of the text.
        self.nodes.push(Node { kind, start: start as u32, end: end as u32, next: next as u32 });
        Some(())
    }

    fn take(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    /// The next byte that is not whitespace.
    fn next_byte(&mut self) -> Option<u8> {
        let byte = self.peek_byte()?;
        self.position += 1;
        Some(byte)
    }

    fn peek_byte(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.position)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.position += 1,
                byte => return Some(byte),
            }
        }
    }
}

/// The number of bytes from this position on that represent themselves in a string, checking eight
/// bytes at a time.
#[inline]
fn unescaped_length(bytes: &[u8], position: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut end = position;
    while let Some(eight) = bytes.get(end..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        // The highest bit of each byte that is zero, or below a number: exact up to the first such
        // byte.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let special = (control | quote | backslash) & (ONES << 7);
        let plain = special.trailing_zeros() as usize / 8;
        end += plain;
        if plain < eight.len() {
            break;
        }
    }
    end - position
}

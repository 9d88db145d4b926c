//! JSON string escapes.
//!
//! Bodies contain JSON themselves, so quotes are frequent. Eight bytes are processed per step,
//! whether they contain a quote or not.

use super::unescaped_run::unescaped_of;

/// Writes a text as `serde_json` does, without the quotes.
pub fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut left = text;
    while let Some((step, behind)) = left.split_first_chunk() {
        let plain = push_plain(out, *step);
        match step.get(plain) {
            None => left = behind,
            Some(special) => {
                push_byte(out, *special);
                left = &left[plain + 1..];
            }
        }
    }
    for byte in left {
        push_byte(out, *byte);
    }
}

/// Reads an escaped text. `None` if an escape is invalid or a surrogate pair is incomplete.
#[must_use]
pub fn unescaped(written: &str) -> Option<String> {
    let mut out = Vec::with_capacity(written.len());
    let mut left = written.as_bytes();
    loop {
        while let Some((step, _)) = left.split_first_chunk() {
            let plain = push_plain(&mut out, *step);
            left = &left[plain..];
            if plain < step.len() {
                break;
            }
        }
        let Some((byte, behind)) = left.split_first() else {
            return String::from_utf8(out).ok();
        };
        match byte {
            b'\\' => left = read_escape(&mut out, behind)?,
            b'"' | 0..0x20 => return None,
            _ => {
                out.push(*byte);
                left = behind;
            }
        }
    }
}

/// Writes the leading bytes that need no escape, and returns their number.
#[inline]
fn push_plain(out: &mut Vec<u8>, step: [u8; 8]) -> usize {
    let plain = unescaped_of(step);
    out.extend_from_slice(&step);
    out.truncate(out.len() - (step.len() - plain));
    plain
}

#[inline]
fn push_byte(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0..0x20 => push_control(out, byte),
        _ => out.push(byte),
    }
}

#[cold]
fn push_control(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |number: u8| b"0123456789abcdef"[usize::from(number)];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Reads the escape after a backslash, and returns the rest.
#[inline]
fn read_escape<'a>(out: &mut Vec<u8>, written: &'a [u8]) -> Option<&'a [u8]> {
    let (letter, behind) = written.split_first()?;
    out.push(match letter {
        b'"' | b'\\' | b'/' => *letter,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'f' => 0x0c,
        b'r' => b'\r',
        b'u' => {
            let (character, behind) = read_character(behind)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(behind);
        }
        _ => return None,
    });
    Some(behind)
}

/// Reads the hexadecimal digits of a character: of one UTF-16 unit, or of a pair.
#[cold]
fn read_character(written: &[u8]) -> Option<(char, &[u8])> {
    let (unit, behind) = read_unit(written)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Some((char::from_u32(unit)?, behind));
    }
    let (low, behind) = read_unit(behind.strip_prefix(b"\\u")?)?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)?, behind))
}

fn read_unit(written: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, behind) = written.split_first_chunk::<4>()?;
    let unit =
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?));
    Some((unit?, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        "[a\"\\\\/\n\r\t\u{0}-\u{20}\u{7f}\u{e4}\u{fffd}\u{1f980}]{0,40}"
    }

    proptest! {
        #[test]
        fn texts_are_written_as_by_serde_json_and_read_back(text in text()) {
            let mut out = vec![b'"'];
            push_escaped(&mut out, text.as_bytes());
            out.push(b'"');
            let written = String::from_utf8(out).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&text).unwrap());
            prop_assert_eq!(unescaped(&written[1..written.len() - 1]), Some(text));
        }

        #[test]
        fn texts_are_read_or_refused_as_by_serde_json(
            written in r#"(a|\u{e4}|"|\n|\\["\\/bfnrtux]|\\u(00e4|d83e|DD80|12|ffff|0000)){0,12}a{0,9}"#,
        ) {
            let read: Option<String> = serde_json::from_str(&format!("\"{written}\"")).ok();
            prop_assert_eq!(unescaped(&written), read);
        }
    }
}

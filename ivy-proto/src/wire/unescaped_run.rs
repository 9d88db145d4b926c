//! Finds bytes that need no escape in a JSON string.

/// The number of leading bytes that need no escape in a JSON string: those before the first quote,
/// backslash or control character.
pub(crate) fn unescaped_run(bytes: &[u8]) -> usize {
    let (mut run, mut left) = (0, bytes);
    while let Some((step, behind)) = left.split_first_chunk() {
        let plain = unescaped_of(*step);
        run += plain;
        if plain < step.len() {
            return run;
        }
        left = behind;
    }
    match bytes.last_chunk() {
        // The last step may overlap bytes that were already checked; those are plain.
        Some(step) => {
            let special = specials(u64::from_le_bytes(*step));
            let plain = if special == 0 { 8 } else { special.trailing_zeros() as usize / 8 };
            bytes.len() - 8 + plain
        }
        None => run + left.iter().take_while(|byte| is_plain(**byte)).count(),
    }
}

/// The same for eight bytes in one step.
#[inline]
pub(super) fn unescaped_of(bytes: [u8; 8]) -> usize {
    specials(u64::from_le_bytes(bytes)).trailing_zeros() as usize / 8
}

/// Whether a byte needs no escape in a JSON string.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Sets the highest bit of each byte that is not plain. Bytes above the first such byte may be
/// marked wrongly, because the borrow of a subtraction propagates upwards.
fn specials(bytes: u64) -> u64 {
    let controls = bytes.wrapping_sub(in_each(0x20)) & !bytes;
    let is = |byte| {
        let differing = bytes ^ in_each(byte);
        differing.wrapping_sub(in_each(1)) & !differing
    };
    (controls | is(b'"') | is(b'\\')) & in_each(0x80)
}

const fn in_each(byte: u8) -> u64 {
    (u64::MAX / 0xff) * byte as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_run_ends_at_the_first_byte_that_is_not_plain(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), 0x1e..0x23_u8, 0x20..=0xff_u8],
                0..40,
            )
        ) {
            let expected = bytes.iter().take_while(|byte| is_plain(**byte)).count();
            prop_assert_eq!(unescaped_run(&bytes), expected);
        }
    }
}

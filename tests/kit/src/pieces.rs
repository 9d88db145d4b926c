//! Bytes that are sent in pieces.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use ivy_proto::Rng;

/// The pause between pieces, so that they do not arrive together.
const BETWEEN_PIECES: Duration = Duration::from_micros(500);

/// The bytes, cut at two random positions.
#[must_use]
pub fn cut_at_two_positions(bytes: &[u8], rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut position = || usize::try_from(rng.up_to(bytes.len() as u64)).unwrap_or_default();
    let (one, other) = (position(), position());
    let (before, last) = bytes.split_at(one.max(other));
    let (first, middle) = before.split_at(one.min(other));
    [first, middle, last].map(<[u8]>::to_vec).to_vec()
}

/// Sends one piece after the other. Empty pieces are skipped.
pub(crate) fn send_pieces(mut stream: impl Write, pieces: &[Vec<u8>]) -> io::Result<()> {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    for (number, piece) in pieces.enumerate() {
        if number > 0 {
            thread::sleep(BETWEEN_PIECES);
        }
        stream.write_all(piece)?;
    }
    Ok(())
}

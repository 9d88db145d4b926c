//! The size of a post, before it is sent.

use super::message::Body;

/// The size of a post without its messages: `{"messages":[]}`.
pub(crate) const EMPTY_POST: usize = 15;
/// The size of a message in a post without its body: `{"body":"","delay":604800},`.
const AROUND_A_BODY: usize = 27;

/// The number of bytes that a message adds to a post: its body as a JSON string, and its delay.
pub(crate) fn size_in_post(body: &Body) -> usize {
    encoded_size(body) + AROUND_A_BODY
}

/// The number of bytes of a body as a JSON string, without the quotes.
fn encoded_size(body: &Body) -> usize {
    let bytes = body.as_bytes();
    // Branch-free sums of one byte, so that the compiler can vectorize the loop.
    let extra = |byte: &u8| {
        let is_short = matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c);
        u8::from(is_short) + 5 * u8::from(*byte < 0x20 && !is_short)
    };
    let chunks = bytes.chunks(usize::from(u8::MAX) / 5);
    bytes.len()
        + chunks.map(|chunk| usize::from(chunk.iter().map(extra).sum::<u8>())).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoded_size_matches_the_json_string() {
        for text in ["", "plain", "\"\\\n\r\t\u{8}\u{c}\u{0}\u{1f}", "任务 🚀 \u{7f}"] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(encoded_size(&Body::new(text)) + 2, json.len(), "{text:?}");
        }
    }
}

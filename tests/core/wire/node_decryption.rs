//! How the Node package decrypts a frame.

use ivy_proto::wire::LegacyKey;

const BLOCK: usize = 16;

/// The text that the Node package decrypts from a frame: it decodes the last cipher block
/// separately, which destroys a character that lies across the border.
pub(crate) fn reads(key: &LegacyKey, frame: &str) -> String {
    let text = key.decrypt(frame).expect("the frame was encrypted with this key");
    let (before, last) = text.as_bytes().split_at(text.len() - text.len() % BLOCK);
    String::from_utf8_lossy(before).into_owned() + &String::from_utf8_lossy(last)
}

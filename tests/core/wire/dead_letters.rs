//! Dead letters as every version writes and reads them.

use ivy_proto::queue::Body;
use ivy_proto::wire::DeadLetter;
use serde::Deserialize;

use crate::aead::hex;

#[derive(Deserialize)]
struct Vector {
    id: String,
    /// The bytes of the original message.
    original_hex: String,
    letter: String,
}

#[test]
fn each_original_has_one_letter_which_contains_its_bytes() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("vectors/dead-letters.json")).unwrap();
    for Vector { id, original_hex, letter } in &vectors {
        let original = hex(original_hex);
        let read = DeadLetter::parse(&Body::new(letter.as_str())).unwrap();
        assert_eq!(read.body.as_bytes(), original, "{id}");
        assert_eq!(read.to_body().as_str(), letter, "{id}");
        let is_text = std::str::from_utf8(&original).is_ok();
        assert_eq!((letter.contains("body_base64"), read.body.is_text()), (!is_text, is_text));
    }
    assert_eq!(vectors.len(), 13);
}

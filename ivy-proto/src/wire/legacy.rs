//! The Node package's cipher: `$aes-256-cbc$` and base64.
//!
//! Key and IV are derived from the password alone, by SHA-512 and OpenSSL's `EVP_BytesToKey` with
//! MD5, and frames are not authenticated. This only keeps out casual readers: equal beginnings
//! produce equal ciphertext, and anyone who can post can replay and truncate frames. It exists for
//! compatibility with peers of the Node package.

use std::fmt;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::wire::frame::{FrameKind, LEGACY_TAG, split};
use crate::wire::{BadBody, DeadLetterReason, Plaintext};

const BLOCK: usize = 16;

/// The key that the Node package derives from a password (its `encryptionKey`). Wiped on drop;
/// `Debug` shows nothing.
pub struct LegacyKey {
    key: Zeroizing<[u8; 32]>,
    iv: Zeroizing<[u8; BLOCK]>,
    lossy: bool,
}

/// The password is empty or white space.
///
/// The Node package treats an empty one as "no encryption", so it is an error here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the encryption key is empty or only white space; set a real one, or none at all to send messages unencrypted"
)]
pub struct InvalidKey;

impl LegacyKey {
    /// Derives the key of this password.
    ///
    /// # Errors
    /// If the password is empty or white space.
    pub fn new(password: &str) -> Result<Self, InvalidKey> {
        if password.trim().is_empty() {
            return Err(InvalidKey);
        }
        Ok(LegacyKey::derive(password))
    }

    fn derive(password: &str) -> Self {
        // The Node package passes the password as a "binary" string: only the low byte of each
        // UTF-16 unit is used.
        let low_bytes: Zeroizing<Vec<u8>> =
            Zeroizing::new(password.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect());
        let secret = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(low_bytes.as_slice())));
        let first = md5_of(&[secret.as_slice()]);
        let second = md5_of(&[first.as_slice(), secret.as_slice()]);
        let mut key = Zeroizing::new([0; 32]);
        key[..BLOCK].copy_from_slice(first.as_slice());
        key[BLOCK..].copy_from_slice(second.as_slice());
        let iv = md5_of(&[second.as_slice(), secret.as_slice()]);
        LegacyKey { key, iv, lossy: password.chars().any(|character| character > '\u{ff}') }
    }

    /// Whether the password contains characters above U+00FF. Only the low byte of each is used, so
    /// other passwords have the same key: worth a warning.
    #[must_use]
    pub fn lossy(&self) -> bool {
        self.lossy
    }

    /// Encrypts a text, byte for byte as the Node package does. The same text produces the same
    /// frame.
    #[must_use]
    pub fn encrypt(&self, text: &str) -> String {
        let cipher = cbc::Encryptor::<Aes256>::new((&*self.key).into(), (&*self.iv).into());
        let ciphertext = cipher.encrypt_padded_vec::<Pkcs7>(text.as_bytes());
        let mut frame = format!("${LEGACY_TAG}$");
        STANDARD.encode_string(ciphertext, &mut frame);
        frame
    }

    /// Decrypts a frame.
    ///
    /// # Errors
    /// If the text is not such a frame, or does not open with this key. Wrong padding and wrong
    /// content are the same error, because frames are not authenticated: the difference would be a
    /// decryption oracle.
    pub fn decrypt(&self, frame: &str) -> Result<Plaintext, BadBody> {
        match split(frame)? {
            FrameKind::Legacy(base64) | FrameKind::Bridge { base64, .. } => {
                self.open(Ciphertext::decode(base64)?)
            }
            FrameKind::Open(_) | FrameKind::V2(_) | FrameKind::OtherFormat => {
                Err(BadBody::new(DeadLetterReason::BadFrame, "this is not a frame"))
            }
        }
    }

    pub(super) fn open(&self, ciphertext: Ciphertext) -> Result<Plaintext, BadBody> {
        let cipher = cbc::Decryptor::<Aes256>::new((&*self.key).into(), (&*self.iv).into());
        let mut buffer = Zeroizing::new(ciphertext.0);
        let opened = cipher.decrypt_padded::<Pkcs7>(&mut buffer).map_err(|_| undecryptable())?;
        let length = opened.len();
        buffer.truncate(length);
        Plaintext::of_bytes(buffer).ok_or_else(undecryptable)
    }
}

impl fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyKey([redacted])")
    }
}

fn md5_of(parts: &[&[u8]]) -> Zeroizing<[u8; BLOCK]> {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    Zeroizing::new(hash.finalize().into())
}

/// The single error for all invalid content of a frame of the Node package.
pub(super) fn undecryptable() -> BadBody {
    BadBody::new(
        DeadLetterReason::Undecryptable,
        "the frame does not open with this key; does the sender use the same one?",
    )
}

/// The content of a frame of the Node package: one or more cipher blocks.
pub(super) struct Ciphertext(Vec<u8>);

impl Ciphertext {
    /// Accepts only the standard alphabet with padding, as the Node package writes it. The Node
    /// package also reads other spellings, but one message must have one form.
    pub(super) fn decode(base64: &str) -> Result<Self, BadBody> {
        let bytes = STANDARD.decode(base64).map_err(|_| {
            BadBody::new(DeadLetterReason::BadBase64, "the frame's content is not padded base64")
        })?;
        if bytes.is_empty() || bytes.len() % BLOCK != 0 {
            let rule = "the frame's content is not a number of whole cipher blocks";
            return Err(BadBody::new(DeadLetterReason::BadFrame, rule));
        }
        Ok(Ciphertext(bytes))
    }
}

/// How many spaces to prepend to a text so that the Node package reads its frame undamaged.
///
/// The Node package decodes the last cipher block separately, which destroys a character that
/// crosses its boundary. JSON may start with white space.
pub(super) fn leading_spaces(text: &str) -> usize {
    (0..BLOCK)
        .find(|spaces| {
            let length = text.len() + spaces;
            // A boundary inside the added spaces is as harmless as one between characters.
            let border = (length - length % BLOCK).saturating_sub(*spaces);
            text.is_char_boundary(border)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LegacyKey {
        LegacyKey::new("pass").unwrap()
    }

    #[test]
    fn the_key_equals_the_one_of_openssl() {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(key().key.as_slice()),
            "590f3ba4f6662912405cf550d3debdab5a810804aa5e62b512ef2dbfbfc6de70"
        );
        assert_eq!(hex(key().iv.as_slice()), "72935b91f93031c8952badeeb03dab59");
    }

    #[test]
    fn a_known_frame_of_the_node_package_is_written_and_read() {
        let frame = "$aes-256-cbc$DWKO1589bRhzNrgivtoXyw==";
        assert_eq!(key().encrypt("Hello Crypto"), frame);
        assert_eq!(key().decrypt(frame).unwrap().as_str(), "Hello Crypto");
    }

    #[test]
    fn a_password_without_a_visible_character_is_refused() {
        for password in ["", " ", "\t\n", "\u{3000}"] {
            assert_eq!(LegacyKey::new(password).err(), Some(InvalidKey), "{password:?}");
        }
    }

    #[test]
    fn characters_above_latin_1_are_detected() {
        assert!(!LegacyKey::new("héslöÿ").unwrap().lossy());
        assert!(LegacyKey::new("ž").unwrap().lossy());
    }

    #[test]
    fn with_the_spaces_no_character_crosses_the_last_boundary() {
        for length in 0..40 {
            for character in ["é", "任", "🚀"] {
                let text = format!("{}{}", "x".repeat(length), character.repeat(12));
                let shifted = format!("{}{text}", " ".repeat(leading_spaces(&text)));
                let border = shifted.len() - shifted.len() % BLOCK;
                assert!(shifted.is_char_boundary(border), "{length} {character}");
            }
        }
        assert_eq!(leading_spaces("all ascii needs no spaces"), 0);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key()), "LegacyKey([redacted])");
    }
}

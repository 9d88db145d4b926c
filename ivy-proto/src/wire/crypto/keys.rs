//! Key secrets, and the keys that are derived from them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::Zeroizing;

use super::cbc_hmac::{CbcHmac, HmacSha512, hmac};
use super::key_id::KeyId;
use crate::wire::Plaintext;

/// The secret of a key: 32 to 64 random bytes. Wiped on drop; `Debug` shows nothing.
///
/// A password is not such a secret: derive one with a password-hashing function, as
/// `ivy keys derive` does. Never derive one from the password of the Node package's encryption:
/// anyone who finds that out would have this key too.
pub struct KeySecret(Zeroizing<Vec<u8>>);

/// The bytes are not a valid secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecret {
    /// Too short or too long.
    #[error("a key's secret must have 32 to 64 bytes, but this one has {0}")]
    Length(usize),
    /// All bytes are zero.
    #[error("the key's secret is all zeros")]
    Zeros,
    /// Not base64 with padding.
    #[error("the key's secret is not base64 with its padding")]
    NotBase64,
}

impl KeySecret {
    /// Wraps the bytes.
    ///
    /// # Errors
    /// If they are fewer than 32, more than 64, or all zero.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, InvalidSecret> {
        if !(32..=64).contains(&bytes.len()) {
            return Err(InvalidSecret::Length(bytes.len()));
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(InvalidSecret::Zeros);
        }
        Ok(KeySecret(bytes))
    }

    /// The bytes. Pass them only to code that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How a secret was derived from a password: by Argon2id (RFC 9106) with this salt and these costs,
/// so that it can be derived again. Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The salt.
    pub salt: [u8; 16],
    /// The memory cost, in KiB.
    pub memory_kib: u32,
    /// The number of passes.
    pub passes: u32,
    /// The number of lanes.
    pub lanes: u32,
}

/// The keys that are derived from a secret, kept because deriving them costs more than using them.
pub(super) struct Keys {
    pub(super) cipher: CbcHmac,
    /// For the IV.
    pub(super) iv: HmacSha512,
    /// For the tag of a bridge frame.
    pub(super) bridge: HmacSha512,
}

impl Keys {
    pub(super) fn of(id: &KeyId, secret: &KeySecret) -> Self {
        let mut bytes = Zeroizing::new([0; 128]);
        let info = format!("ivy2 keys {id}");
        Hkdf::<Sha512>::new(None, secret.expose())
            .expand(info.as_bytes(), &mut *bytes)
            .expect("HKDF outputs up to 255 times 64 bytes");
        let (cipher, rest) = bytes.split_first_chunk().expect("64 of 128 bytes");
        let (iv, bridge) = rest.split_at(32);
        Keys { cipher: CbcHmac::new(cipher), iv: hmac(iv), bridge: hmac(bridge) }
    }
}

/// Identifies a message of a queue: the same for each delivery of the message, even if an attacker
/// without the key posts a copy, and different for each sealed message. A handler can use it to
/// detect repetitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey([u8; 16]);

impl MessageKey {
    pub(super) fn new(bytes: [u8; 16]) -> Self {
        MessageKey(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The content of a frame. `Debug` shows only the length.
pub struct OpenedFrame {
    /// The text. Wiped on drop.
    pub text: Plaintext,
    /// Identifies this message.
    pub message_key: MessageKey,
}

impl fmt::Debug for OpenedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedFrame({} bytes, {})", self.text.len(), self.message_key)
    }
}

//! The v2 frame: `$ivy2$` key id `$` base64url of IV, ciphertext and tag.
//!
//! The version fixes the whole suite, A256CBC-HS512 of RFC 7518: a frame names no algorithm, so
//! that it cannot be downgraded. The IV is derived from fresh entropy, the binding and the message;
//! repeated entropy reveals only whether two messages are equal.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use zeroize::Zeroizing;

use super::binding::Binding;
use super::cbc_hmac::{BLOCK, TAG, first, sealed_len};
use super::entropy::Entropy;
use super::key_id::KeyId;
use super::keys::{MessageKey, OpenedFrame};
use super::keyset::{Key, Keyset};
use crate::planted::{Bug, planted};
use crate::wire::frame::{V2_TAG, is_other_format, unsupported_format};
use crate::wire::{BadBody, DeadLetterReason, Plaintext};

/// Seals a text with the primary key.
///
/// ```
/// use ivy_proto::QueueName;
/// use ivy_proto::wire::crypto::{Binding, Entropy, Keyset, ivy2};
///
/// let keyset = Keyset::parse(
///     r#"{"primary":"k1","keys":[{"kid":"k1","status":"enabled","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}"#,
/// )?;
/// let (mail, other) = (QueueName::new("mail")?, QueueName::new("other")?);
/// // In a real program, sixteen bytes from the operating system.
/// let frame = ivy2::seal(&keyset, Entropy::new([7; 16]), &Binding::task(&mail), "Hello");
/// assert!(frame.starts_with("$ivy2$k1$"));
/// assert_eq!(ivy2::open(&keyset, &Binding::task(&mail), &frame)?.text.as_str(), "Hello");
/// assert!(ivy2::open(&keyset, &Binding::task(&other), &frame).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn seal(keyset: &Keyset, entropy: Entropy, binding: &Binding<'_>, text: &str) -> String {
    let key = keyset.sealing();
    let aad = binding.authenticated(V2_TAG, &key.id);
    let iv = iv(key, &entropy, &aad, text.as_bytes());
    let mut raw = Vec::with_capacity(BLOCK + sealed_len(text.len()));
    raw.extend_from_slice(&iv);
    key.keys.cipher.seal_into(&mut raw, &iv, &aad, text.as_bytes());
    let mut frame = String::with_capacity(24 + raw.len().div_ceil(3) * 4);
    for part in ["$", V2_TAG, "$", key.id.as_str(), "$"] {
        frame.push_str(part);
    }
    URL_SAFE_NO_PAD.encode_string(&raw, &mut frame);
    frame
}

/// Opens a frame.
///
/// # Errors
/// If it is not such a frame, its key is not in the keyset, or it is not authentic in this place:
/// altered, moved, or sealed with another key. Nothing is decrypted before it is authenticated.
pub fn open(keyset: &Keyset, binding: &Binding<'_>, frame: &str) -> Result<OpenedFrame, BadBody> {
    let content = frame.strip_prefix('$').and_then(|rest| rest.strip_prefix(V2_TAG));
    let content = content.and_then(|rest| rest.strip_prefix('$'));
    let content = content.ok_or_else(|| bad_frame("this is not a frame of version 2"))?;
    Parts::parse(content)?.open(keyset, binding)
}

fn iv(key: &Key, entropy: &Entropy, aad: &[u8], text: &[u8]) -> [u8; BLOCK] {
    if planted(Bug::ReuseIv) {
        return [0; BLOCK];
    }
    first(
        key.keys
            .iv
            .clone()
            .chain_update(entropy.bytes())
            .chain_update((aad.len() as u64).to_be_bytes())
            .chain_update(aad)
            .chain_update(text),
    )
}

/// The validated parts after `$ivy2$`.
pub(crate) struct Parts {
    key: KeyId,
    /// IV, ciphertext and tag.
    raw: Vec<u8>,
}

impl Parts {
    pub(crate) fn parse(content: &str) -> Result<Self, BadBody> {
        let (key, base64) = content
            .split_once('$')
            .filter(|(_, base64)| !base64.contains('$'))
            .ok_or_else(|| bad_frame("the frame must have a key id and one content"))?;
        let key = KeyId::new(key).map_err(|_| bad_frame("the frame's key id is invalid"))?;
        let raw = URL_SAFE_NO_PAD.decode(base64).map_err(|_| {
            let rule = "the frame's content is not base64url without padding";
            BadBody::new(DeadLetterReason::BadBase64, rule)
        })?;
        if raw.len() < BLOCK + BLOCK + TAG || !(raw.len() - BLOCK - TAG).is_multiple_of(BLOCK) {
            return Err(bad_frame("the frame is not an IV, whole cipher blocks and a tag"));
        }
        Ok(Parts { key, raw })
    }

    pub(crate) fn open(
        self,
        keyset: &Keyset,
        binding: &Binding<'_>,
    ) -> Result<OpenedFrame, BadBody> {
        let key = keyset.opening(&self.key)?;
        let aad = binding.authenticated(V2_TAG, &key.id);
        let mut raw = Zeroizing::new(self.raw);
        let end = raw.len() - TAG;
        let (sealed, tag) = raw.split_at_mut(end);
        let (iv, ciphertext) = sealed.split_first_chunk_mut().ok_or_else(unauthentic)?;
        let cipher = &key.keys.cipher;
        if !planted(Bug::SkipMac) {
            cipher.authenticate(iv, &aad, ciphertext, tag).map_err(|_| unauthentic())?;
        }
        let length = cipher.decrypt(iv, ciphertext).map_err(|_| BadBody::peer_fault())?;
        let message_key = MessageKey::new(*iv);
        raw.copy_within(BLOCK..BLOCK + length, 0);
        raw.truncate(length);
        // In a sealed frame, the content of another format is binary.
        let is_other_format = is_other_format(&raw);
        let text = Plaintext::of_bytes(raw).ok_or_else(|| match is_other_format {
            true => unsupported_format(),
            false => BadBody::new(DeadLetterReason::BadUtf8, "the frame's content is not UTF-8"),
        })?;
        Ok(OpenedFrame { text, message_key })
    }
}

fn bad_frame(rule: &'static str) -> BadBody {
    BadBody::new(DeadLetterReason::BadFrame, rule)
}

/// The single error for everything that can be wrong after a frame's key was found.
pub(super) fn unauthentic() -> BadBody {
    let rule = "the frame is not authentic here; it was altered, moved, or sealed with another key";
    BadBody::new(DeadLetterReason::BadTag, rule)
}

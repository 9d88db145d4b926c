//! The bridge frame: the Node package's frame, `$h1$`, key id, `$` and a tag.
//!
//! Peers of the Node package can read it, because they ignore text after a third `$`. White space
//! before the JSON hides their fixed IV: equal beginnings produce different ciphertext. The tag
//! protects only readers that require it, because anyone who can post can cut it off.
//! Confidentiality still depends on the Node package's password.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use zeroize::Zeroizing;

use super::binding::Binding;
use super::cbc_hmac::{TAG, first, same_tag};
use super::entropy::Entropy;
use super::ivy2::unauthentic;
use super::key_id::KeyId;
use super::keys::{MessageKey, OpenedFrame};
use super::keyset::{Key, Keyset};
use crate::wire::frame::{BRIDGE_SUFFIX, FrameKind, split};
use crate::wire::legacy::{Ciphertext, leading_spaces};
use crate::wire::{BadBody, DeadLetterReason, LegacyKey};

/// The beginning of the authenticated data.
const KIND: &str = "ivy-h1";
/// The white space characters of JSON: two bits select one.
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];
/// A whole number of cipher blocks, so that the following text is not shifted.
const WHITE_CHARACTERS: usize = 64;

/// Seals a text with the Node package's password and the primary key.
#[must_use]
pub fn seal(
    password: &LegacyKey,
    keyset: &Keyset,
    entropy: Entropy,
    binding: &Binding<'_>,
    text: &str,
) -> String {
    let shift = leading_spaces(text);
    let mut padded = Zeroizing::new(String::with_capacity(WHITE_CHARACTERS + shift + text.len()));
    padded.extend(white_space(&entropy));
    padded.extend(std::iter::repeat_n(' ', shift));
    padded.push_str(text);
    let key = keyset.sealing();
    let mut frame = password.encrypt(&padded);
    let tag = tag(key, binding, &frame);
    for part in ["$", BRIDGE_SUFFIX, "$", key.id.as_str(), "$"] {
        frame.push_str(part);
    }
    URL_SAFE_NO_PAD.encode_string(tag, &mut frame);
    frame
}

/// Opens a frame after verifying its tag. The text may begin with white space.
///
/// # Errors
/// If it is not such a frame, its key is not in the keyset, it is not authentic in this place, or
/// the password differs.
pub fn open(
    password: &LegacyKey,
    keyset: &Keyset,
    binding: &Binding<'_>,
    frame: &str,
) -> Result<OpenedFrame, BadBody> {
    match split(frame)? {
        FrameKind::Bridge { base64, signed, suffix } => {
            let message_key = verify(keyset, binding, signed, suffix)?;
            let text = password.open(Ciphertext::decode(base64)?)?;
            Ok(OpenedFrame { text, message_key })
        }
        _ => Err(BadBody::new(DeadLetterReason::BadFrame, "this is not a bridge frame")),
    }
}

/// Verifies the tag after `$h1`.
pub(crate) fn verify(
    keyset: &Keyset,
    binding: &Binding<'_>,
    signed: &str,
    suffix: &str,
) -> Result<MessageKey, BadBody> {
    let (key, tag) = parse_suffix(suffix).ok_or_else(unauthentic)?;
    let right = self::tag(keyset.opening(&key)?, binding, signed);
    if !same_tag(&tag, &right) {
        return Err(unauthentic());
    }
    let (message_key, _) = right.split_first_chunk().ok_or_else(unauthentic)?;
    Ok(MessageKey::new(*message_key))
}

fn parse_suffix(suffix: &str) -> Option<(KeyId, Vec<u8>)> {
    let (key, base64) = suffix.strip_prefix('$')?.split_once('$')?;
    // A tag of another length is invalid, and is not decoded.
    let tag = (base64.len() == (TAG * 4).div_ceil(3)).then(|| URL_SAFE_NO_PAD.decode(base64).ok());
    Some((KeyId::new(key).ok()?, tag??))
}

fn tag(key: &Key, binding: &Binding<'_>, signed: &str) -> [u8; TAG] {
    let place = binding.authenticated(KIND, &key.id);
    first(key.keys.bridge.clone().chain_update(place).chain_update(signed))
}

/// Converts each two bits of the entropy to a white space character, low bits of a byte first.
fn white_space(entropy: &Entropy) -> impl Iterator<Item = char> {
    entropy
        .bytes()
        .iter()
        .flat_map(|byte| (0..4).map(move |digit| WHITE[usize::from(byte >> (2 * digit) & 3)]))
}

//! Frames: sealed and opened, by ivy, and by the cipher, the MAC and base64 alone with cached keys.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ivy_proto::QueueName;
use ivy_proto::wire::LegacyKey;
use ivy_proto::wire::crypto::{Binding, EntropyPool, KeyId, KeySecret, Keyset, bridge, ivy2};
use sha2::Sha512;

use crate::codec::sample;
use crate::load::{Load, repeated};
use crate::machines::queue;

/// Seals and opens frames.
trait Frames: 'static {
    fn seal(&mut self, text: &str) -> String;
    /// Returns the length of the opened text.
    fn open(&self, frame: &str) -> usize;
}

/// Encrypts the text of a message.
pub(crate) fn seal(who: &str, frame: &str, size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    let mut frames = frames(who, frame)?;
    Some(repeated(times, move || {
        black_box(frames.seal(black_box(&text)));
    }))
}

/// Decrypts a frame.
pub(crate) fn open(who: &str, frame: &str, size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    let mut frames = frames(who, frame)?;
    let frame = frames.seal(&text);
    Some(repeated(times, move || {
        black_box(frames.open(black_box(&frame)));
    }))
}

fn frames(who: &str, frame: &str) -> Option<Box<dyn Frames>> {
    Some(match (who, frame) {
        ("ivy", "legacy") => Box::new(password()),
        ("ivy", "bridge") => Box::new(Bridge { password: password(), keys: Keys::new() }),
        ("ivy", "ivy2") => Box::new(Ivy2(Keys::new())),
        ("baseline", "legacy") => Box::new(Parts { iv: None, tag: None }),
        ("baseline", "bridge") => Box::new(Parts { iv: None, tag: Some(mac()) }),
        ("baseline", "ivy2") => Box::new(Parts { iv: Some(mac()), tag: Some(mac()) }),
        _ => return None,
    })
}

fn password() -> LegacyKey {
    LegacyKey::new("a password").expect("a valid password")
}

impl Frames for LegacyKey {
    fn seal(&mut self, text: &str) -> String {
        self.encrypt(text)
    }

    fn open(&self, frame: &str) -> usize {
        self.decrypt(frame).expect("the frame was sealed with this key").len()
    }
}

/// A keyset of one key, and the queue whose messages it seals.
struct Keys {
    keyset: Keyset,
    queue: QueueName,
    entropy: EntropyPool,
}

impl Keys {
    fn new() -> Self {
        let id = KeyId::new("k1").expect("a valid id");
        let secret = KeySecret::new(vec![3; 32].into()).expect("long enough");
        let entropy = EntropyPool::from_seed(&[4; 32]);
        Keys { keyset: Keyset::new(id, secret), queue: queue(), entropy }
    }
}

struct Bridge {
    password: LegacyKey,
    keys: Keys,
}

impl Frames for Bridge {
    fn seal(&mut self, text: &str) -> String {
        let Keys { keyset, queue, entropy } = &mut self.keys;
        bridge::seal(&self.password, keyset, entropy.draw(), &Binding::task(queue), text)
    }

    fn open(&self, frame: &str) -> usize {
        let Keys { keyset, queue, .. } = &self.keys;
        let opened = bridge::open(&self.password, keyset, &Binding::task(queue), frame);
        opened.expect("the frame was sealed with this key").text.len()
    }
}

struct Ivy2(Keys);

impl Frames for Ivy2 {
    fn seal(&mut self, text: &str) -> String {
        let Keys { keyset, queue, entropy } = &mut self.0;
        ivy2::seal(keyset, entropy.draw(), &Binding::task(queue), text)
    }

    fn open(&self, frame: &str) -> usize {
        let Keys { keyset, queue, .. } = &self.0;
        let opened = ivy2::open(keyset, &Binding::task(queue), frame);
        opened.expect("the frame was sealed with this key").text.len()
    }
}

const KEY: [u8; 32] = [7; 32];
const IV: [u8; 16] = [9; 16];
const TAG: usize = 32;
const LEADING_SPACES: usize = 64;
/// The associated data, of the same length as in ivy's frames.
const ASSOCIATED_DATA: [u8; 32] = [1; 32];

fn mac() -> Hmac<Sha512> {
    Hmac::new_from_slice(&KEY).expect("HMAC accepts keys of any length")
}

/// The cipher; the MAC that gives the IV, if any; the MAC over everything, if any.
struct Parts {
    iv: Option<Hmac<Sha512>>,
    tag: Option<Hmac<Sha512>>,
}

impl Parts {
    fn tag(mac: &Hmac<Sha512>, of: &[u8]) -> [u8; TAG] {
        let tag =
            mac.clone().chain_update(ASSOCIATED_DATA).chain_update(of).finalize().into_bytes();
        *tag.first_chunk().expect("the tag is longer")
    }
}

impl Frames for Parts {
    fn seal(&mut self, text: &str) -> String {
        // The bridge frame begins with white space, so that its fixed IV reveals nothing.
        let white = if self.tag.is_some() && self.iv.is_none() { LEADING_SPACES } else { 0 };
        let padded = (white > 0).then(|| " ".repeat(white) + text);
        let text = padded.as_deref().unwrap_or(text);
        let iv = match &self.iv {
            Some(mac) => {
                *Parts::tag(mac, text.as_bytes()).first_chunk().expect("the tag is longer")
            }
            None => IV,
        };
        let mut sealed = if self.iv.is_some() { iv.to_vec() } else { Vec::new() };
        sealed.extend(
            cbc::Encryptor::<Aes256>::new(&KEY.into(), &iv.into())
                .encrypt_padded_vec::<Pkcs7>(text.as_bytes()),
        );
        match (&self.tag, &self.iv) {
            (Some(tag), Some(_)) => {
                let tag = Parts::tag(tag, &sealed);
                sealed.extend(tag);
                URL_SAFE_NO_PAD.encode(sealed)
            }
            (Some(tag), None) => {
                let mut frame = STANDARD.encode(sealed);
                let tag = Parts::tag(tag, frame.as_bytes());
                frame.push('$');
                URL_SAFE_NO_PAD.encode_string(tag, &mut frame);
                frame
            }
            _ => STANDARD.encode(sealed),
        }
    }

    fn open(&self, frame: &str) -> usize {
        let (mut sealed, iv) = match (&self.tag, &self.iv) {
            (Some(mac), Some(_)) => {
                let mut sealed = URL_SAFE_NO_PAD.decode(frame).expect("the frame is base64");
                let tag = sealed.split_off(sealed.len() - TAG);
                assert_eq!(tag, Parts::tag(mac, &sealed));
                let ciphertext = sealed.split_off(IV.len());
                let iv: [u8; 16] = sealed.try_into().expect("the length fits");
                (ciphertext, iv)
            }
            (Some(mac), None) => {
                let (base64, tag) = frame.rsplit_once('$').expect("the frame ends with a tag");
                let tag = URL_SAFE_NO_PAD.decode(tag).expect("the tag is base64");
                assert_eq!(tag, Parts::tag(mac, base64.as_bytes()));
                (STANDARD.decode(base64).expect("the frame is base64"), IV)
            }
            _ => (STANDARD.decode(frame).expect("the frame is base64"), IV),
        };
        let opened = cbc::Decryptor::<Aes256>::new(&KEY.into(), &iv.into())
            .decrypt_padded::<Pkcs7>(&mut sealed)
            .expect("the frame was encrypted with this key");
        std::str::from_utf8(opened).expect("the text is UTF-8").len()
    }
}

//! Bodies: parsed and written, sealed and opened. By ivy, and by the parts that it is made of.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ivy_proto::wire::{Envelope, LegacyKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::load::{Load, repeated};
use crate::samples;

/// A message of one of the two sizes, and how often it is treated in one step.
fn sample(size: &str) -> Option<(String, u64)> {
    match size {
        "small" => Some((samples::SMALL.to_owned(), 100)),
        "objects" => Some((samples::objects(), 1)),
        _ => None,
    }
}

/// Parses a message and writes it again.
pub(crate) fn ivy_codec(size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    Some(repeated(times, move || {
        let envelope = Envelope::parse(black_box(&text)).expect("a good message");
        black_box(envelope.to_text());
    }))
}

/// The same with `serde_json` alone, which looks into nothing that it need not.
pub(crate) fn limit_codec(size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    Some(repeated(times, move || {
        let message: Message<'_> = serde_json::from_str(black_box(&text)).expect("a good message");
        black_box(serde_json::to_string(&message).expect("it can be written"));
    }))
}

#[derive(Serialize, Deserialize)]
struct Message<'a> {
    name: &'a str,
    #[serde(borrow)]
    options: &'a RawValue,
    #[serde(borrow)]
    args: &'a RawValue,
}

/// What makes frames of texts, and texts of frames.
fn legacy_key() -> LegacyKey {
    LegacyKey::new("a password").expect("a good one")
}

/// Encrypts the text of a message.
pub(crate) fn ivy_seal(cipher: &str, size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    match cipher {
        "legacy" => {
            let key = legacy_key();
            Some(repeated(times, move || {
                black_box(key.encrypt(black_box(&text)));
            }))
        }
        _ => None,
    }
}

/// Decrypts a frame.
pub(crate) fn ivy_open(cipher: &str, size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    match cipher {
        "legacy" => {
            let key = legacy_key();
            let frame = key.encrypt(&text);
            Some(repeated(times, move || {
                black_box(key.decrypt(black_box(&frame)).expect("it was sealed with this key"));
            }))
        }
        _ => None,
    }
}

/// Cipher and base64 alone, with the key kept.
pub(crate) fn limit_seal(cipher: &str, size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    match cipher {
        "legacy" => Some(repeated(times, move || {
            black_box(legacy_frame(black_box(&text)));
        })),
        _ => None,
    }
}

/// Base64 and cipher alone, with the key kept.
pub(crate) fn limit_open(cipher: &str, size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    match cipher {
        "legacy" => {
            let frame = legacy_frame(&text);
            Some(repeated(times, move || {
                let mut bytes = STANDARD.decode(black_box(&frame)).expect("it is base64");
                let opened = cbc::Decryptor::<Aes256>::new(&KEY.into(), &IV.into())
                    .decrypt_padded::<Pkcs7>(&mut bytes)
                    .expect("it was encrypted with this key");
                black_box(std::str::from_utf8(opened).expect("it is a text"));
            }))
        }
        _ => None,
    }
}

const KEY: [u8; 32] = [7; 32];
const IV: [u8; 16] = [9; 16];

fn legacy_frame(text: &str) -> String {
    let encrypted = cbc::Encryptor::<Aes256>::new(&KEY.into(), &IV.into())
        .encrypt_padded_vec::<Pkcs7>(text.as_bytes());
    STANDARD.encode(encrypted)
}

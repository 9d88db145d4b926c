//! Authenticated frames: recorded ones byte for byte, and every way to damage one.

use ivy_core_tests::check_seeds;
use ivy_proto::wire::DeadLetterReason::{
    BadBase64, BadFrame, BadTag, BadUtf8, KeyDisabled, Undecryptable, UnknownCipher, UnknownKey,
    UnsupportedFormat, UnsupportedVersion,
};
use ivy_proto::wire::crypto::{
    Binding, Entropy, KeyId, KeySecret, KeyStatus, Keyset, OpenedFrame, bridge, ivy2,
};
use ivy_proto::wire::{BadBody, DeadLetterReason, LegacyKey};
use ivy_proto::{ChannelName, QueueName};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::aead::hex;
use crate::node_decryption;

#[derive(Deserialize)]
struct Vectors {
    master_hex: String,
    v2: Vec<V2>,
    bridge: Vec<Bridge>,
}

#[derive(Deserialize)]
struct V2 {
    kid: String,
    purpose: String,
    scope: String,
    plaintext: String,
    entropy_hex: String,
    iv_hex: String,
    frame: String,
}

#[derive(Deserialize)]
struct Bridge {
    kid: String,
    purpose: String,
    scope: String,
    password: String,
    plaintext: String,
    entropy_hex: String,
    padded_plaintext: String,
    frame: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/ivy2-frames.json")).expect("the vectors are JSON")
}

#[test]
fn all_recorded_frames_are_seeds_of_the_fuzz_targets() {
    let Vectors { v2, bridge, .. } = vectors();
    let named = |frames: Vec<String>| {
        (0..).zip(frames).map(|(n, frame): (u32, _)| (format!("recorded-{n}"), frame.into_bytes()))
    };
    check_seeds("v2_frame", named(v2.into_iter().map(|vector| vector.frame).collect()));
    check_seeds("bridge_frame", named(bridge.into_iter().map(|vector| vector.frame).collect()));
}

fn secret(bytes: &[u8]) -> KeySecret {
    KeySecret::new(Zeroizing::new(bytes.to_vec())).expect("a secret")
}

fn id(text: &str) -> KeyId {
    KeyId::new(text).expect("a valid key id")
}

fn keyset() -> Keyset {
    Keyset::new(id("k1"), secret(&hex(&vectors().master_hex)))
}

fn entropy(hex_digits: &str) -> Entropy {
    Entropy::new(hex(hex_digits).try_into().expect("16 bytes"))
}

/// Calls this with the binding that a vector names.
fn bound<T>(purpose: &str, scope: &str, act: impl FnOnce(&Binding<'_>) -> T) -> T {
    let queue = QueueName::new(scope).expect("a name");
    match purpose {
        "task" => act(&Binding::task(&queue)),
        "note" => act(&Binding::notice(&ChannelName::new(scope).expect("a name"))),
        "dead" => act(&Binding::dead_letter(&queue)),
        other => panic!("no purpose: {other}"),
    }
}

fn in_queue<T>(act: impl FnOnce(&Binding<'_>) -> T) -> T {
    bound("task", "ivy", act)
}

fn seal(text: &str) -> String {
    in_queue(|binding| ivy2::seal(&keyset(), Entropy::new([7; 16]), binding, text))
}

fn open(frame: &str) -> Result<OpenedFrame, BadBody> {
    in_queue(|binding| ivy2::open(&keyset(), binding, frame))
}

fn reason(frame: &str) -> DeadLetterReason {
    open(frame).expect_err("it must not open").reason()
}

fn password() -> LegacyKey {
    LegacyKey::new("pass").expect("a password")
}

fn seal_bridge(text: &str) -> String {
    let (password, entropy) = (password(), Entropy::new([7; 16]));
    in_queue(|binding| bridge::seal(&password, &keyset(), entropy, binding, text))
}

fn open_bridge(frame: &str) -> Result<OpenedFrame, BadBody> {
    in_queue(|binding| bridge::open(&password(), &keyset(), binding, frame))
}

fn bridge_reason(frame: &str) -> DeadLetterReason {
    open_bridge(frame).expect_err("it must not open").reason()
}

#[test]
fn recorded_frames_of_version_2_are_written_and_read_byte_for_byte() {
    let vectors = vectors();
    for vector in &vectors.v2 {
        bound(&vector.purpose, &vector.scope, |binding| {
            let entropy = entropy(&vector.entropy_hex);
            assert_eq!(vector.kid, "k1");
            let frame = ivy2::seal(&keyset(), entropy, binding, &vector.plaintext);
            assert_eq!(frame, vector.frame);
            let opened = ivy2::open(&keyset(), binding, &vector.frame).unwrap();
            assert_eq!(opened.text.as_str(), vector.plaintext);
            assert_eq!(opened.message_key.as_bytes(), hex(&vector.iv_hex).as_slice());
        });
    }
    assert_eq!(vectors.v2.len(), 7);
}

#[test]
fn recorded_bridge_frames_are_written_and_read_byte_for_byte_also_by_the_node_package() {
    let vectors = vectors();
    for vector in &vectors.bridge {
        let password = LegacyKey::new(&vector.password).unwrap();
        bound(&vector.purpose, &vector.scope, |binding| {
            let entropy = entropy(&vector.entropy_hex);
            assert_eq!(vector.kid, "k1");
            let frame = bridge::seal(&password, &keyset(), entropy, binding, &vector.plaintext);
            assert_eq!(frame, vector.frame);
            let opened = bridge::open(&password, &keyset(), binding, &vector.frame).unwrap();
            assert_eq!(opened.text.as_str(), vector.padded_plaintext);
            assert_eq!(node_decryption::reads(&password, &vector.frame), vector.padded_plaintext);
        });
    }
    assert_eq!(vectors.bridge.len(), 3);
}

#[test]
fn no_bit_of_a_frame_can_be_flipped() {
    for (frame, is_open) in [
        (seal("Hello"), (|frame| open(frame).is_ok()) as fn(&str) -> bool),
        (seal_bridge("Hello"), |frame| open_bridge(frame).is_ok()),
    ] {
        assert!(is_open(&frame));
        let mut flipped = 0;
        for at in 0..frame.len() * 8 {
            let mut bytes = frame.clone().into_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            // Invalid UTF-8 fails earlier.
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(!is_open(&text), "bit {at}: {text}");
                flipped += 1;
            }
        }
        assert!(flipped > frame.len() * 6, "{flipped}");
    }
}

#[test]
fn all_flipped_bits_of_the_content_give_the_same_error() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let frame = seal("Hello");
    let content = frame.strip_prefix("$ivy2$k1$").unwrap();
    let raw = URL_SAFE_NO_PAD.decode(content).unwrap();
    let errors: Vec<String> = (0..raw.len() * 8)
        .map(|at| {
            let mut raw = raw.clone();
            raw[at / 8] ^= 1 << (at % 8);
            let bad = open(&format!("$ivy2$k1${}", URL_SAFE_NO_PAD.encode(raw))).unwrap_err();
            assert_eq!(bad.reason(), BadTag);
            assert!(!bad.is_peer_fault());
            bad.to_string()
        })
        .collect();
    assert_eq!(errors.len(), 64 * 8);
    assert!(errors.iter().all(|error| *error == errors[0]));
}

#[test]
fn no_truncated_frame_opens() {
    for frame in [seal("Hello, a little longer"), seal_bridge("Hello")] {
        for length in 0..frame.len() {
            let cut = &frame[..length];
            assert!(open(cut).is_err() && open_bridge(cut).is_err(), "{cut}");
        }
        let longer = format!("{frame}A");
        assert!(open(&longer).is_err() && open_bridge(&longer).is_err());
    }
}

#[test]
fn a_frame_with_another_number_of_fields() {
    let frame = seal("Hello");
    let content = frame.strip_prefix("$ivy2$k1$").unwrap();
    for text in ["$ivy2", "$ivy2$", "$ivy2$k1", &format!("$ivy2${content}"), &format!("{frame}$x")]
    {
        assert_eq!(reason(text), BadFrame, "{text}");
    }
}

#[test]
fn a_frame_of_an_impossible_length_is_refused_before_its_key_is_looked_up() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    for length in (0..64).chain([65, 79, 81]) {
        let frame = format!("$ivy2$nobody${}", URL_SAFE_NO_PAD.encode(vec![1; length]));
        assert_eq!(reason(&frame), BadFrame, "{length}");
    }
    let possible = format!("$ivy2$nobody${}", URL_SAFE_NO_PAD.encode([1; 64]));
    assert_eq!(reason(&possible), UnknownKey);
}

#[test]
fn the_tag_is_always_32_bytes() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let frame = seal("Hello");
    let raw = URL_SAFE_NO_PAD.decode(frame.strip_prefix("$ivy2$k1$").unwrap()).unwrap();
    for left in [31, 16, 1, 0] {
        let cut = URL_SAFE_NO_PAD.encode(&raw[..raw.len() - 32 + left]);
        assert_eq!(reason(&format!("$ivy2$k1${cut}")), BadFrame, "{left}");
    }
}

#[test]
fn only_one_spelling_of_the_content_is_accepted() {
    let frame = seal("Hello, a little longer");
    let content = frame.strip_prefix("$ivy2$k1$").unwrap();
    for other in [
        content.replace('-', "+").replace('_', "/") + "=",
        format!("{content}="),
        format!("{content}\n"),
        format!(" {content}"),
        format!("{}!{}", &content[..5], &content[6..]),
    ] {
        assert_eq!(reason(&format!("$ivy2$k1${other}")), BadBase64, "{other}");
    }
}

#[test]
fn a_frame_opens_only_for_its_purpose_and_in_its_place() {
    let places = ["ivy", "ivy.p1", "ivy.dead", "Ivy", "iv", "ivy "];
    for purpose in ["task", "note", "dead"] {
        for scope in places {
            let (v2, bridged) = bound(purpose, scope, |binding| {
                let v2 = ivy2::seal(&keyset(), Entropy::new([7; 16]), binding, "Hello");
                let entropy = Entropy::new([7; 16]);
                (v2, bridge::seal(&password(), &keyset(), entropy, binding, "Hello"))
            });
            for other in ["task", "note", "dead"] {
                for place in places {
                    let here = (other, place) == (purpose, scope);
                    bound(other, place, |binding| {
                        let v2 = ivy2::open(&keyset(), binding, &v2);
                        let bridged = bridge::open(&password(), &keyset(), binding, &bridged);
                        for opened in [v2, bridged] {
                            let refused = opened.err().map(|bad| bad.reason());
                            assert_eq!(refused, (!here).then_some(BadTag), "{other} {place}");
                        }
                    });
                }
            }
        }
    }
}

#[test]
fn a_bridge_frame_and_a_frame_of_version_2_do_not_share_a_tag() {
    let frame = seal_bridge("Hello");
    let (legacy, tag) = frame.split_once("$h1$").unwrap();
    assert_eq!(reason(&format!("$ivy2${tag}")), BadFrame);
    assert_eq!(bridge_reason(&seal("Hello")), BadFrame);
    assert_eq!(bridge_reason(legacy), BadFrame);
}

#[test]
fn unknown_and_disabled_keys_and_invalid_key_names() {
    let frame = seal("Hello");
    let content = frame.strip_prefix("$ivy2$k1$").unwrap();
    let unknown = open(&format!("$ivy2$k2${content}")).unwrap_err();
    assert_eq!(unknown.reason(), UnknownKey);
    assert!(unknown.reason().may_be_decided_elsewhere());
    assert!(unknown.to_string().contains("k2"), "{unknown}");
    for kid in ["", &"x".repeat(17), &"x".repeat(300), "k 1", "k\u{1}", "ключ", "k/1"] {
        assert_eq!(reason(&format!("$ivy2${kid}${content}")), BadFrame, "{kid}");
    }
    let mut keyset = keyset();
    keyset.add(id("k2"), KeyStatus::Enabled, secret(&[5; 32])).unwrap();
    keyset.set_primary(&id("k2")).unwrap();
    let opened = |keyset: &Keyset, frame: &str| in_queue(|b| ivy2::open(keyset, b, frame));
    for (status, expected) in [
        (KeyStatus::Enabled, None),
        (KeyStatus::DecryptOnly, None),
        (KeyStatus::Disabled, Some(KeyDisabled)),
    ] {
        keyset.set_status(&id("k1"), status).unwrap();
        let refused = opened(&keyset, &frame).err().map(|bad| bad.reason());
        assert_eq!(refused, expected);
    }
    assert!(!KeyDisabled.may_be_decided_elsewhere());
}

#[test]
fn another_key_under_the_same_name_does_not_open() {
    let other = Keyset::new(id("k1"), secret(&[9; 32]));
    let bad = in_queue(|binding| ivy2::open(&other, binding, &seal("Hello"))).unwrap_err();
    assert_eq!(bad.reason(), BadTag);
    let bridged = seal_bridge("Hello");
    let bad = in_queue(|binding| bridge::open(&password(), &other, binding, &bridged)).unwrap_err();
    assert_eq!(bad.reason(), BadTag);
}

#[test]
fn later_versions_and_other_spellings() {
    for text in ["$ivy3$k1$AAAA", "$ivy20$k1$AAAA"] {
        assert_eq!(bridge_reason(text), UnsupportedVersion, "{text}");
    }
    for text in ["$IVY2$k1$AAAA", "$ivy2 $k1$AAAA", "$ivy$k1$AAAA"] {
        assert_eq!(bridge_reason(text), UnknownCipher, "{text}");
        assert_eq!(reason(text), BadFrame, "{text}");
    }
}

#[test]
fn a_bridge_frame_whose_tag_is_wrong_short_or_missing() {
    let frame = seal_bridge("Hello");
    let (legacy, rest) = frame.split_once("$h1$").unwrap();
    let tag = rest.strip_prefix("k1$").unwrap();
    for suffix in [
        "h1".to_owned(),
        "h1$".to_owned(),
        "h1$k1".to_owned(),
        "h1$k1$".to_owned(),
        format!("h1$k1${}", &tag[..42]),
        format!("h1$k1${tag}A"),
        format!("h1$k1${tag}$"),
        format!("h1$${tag}"),
        format!(
            "h1$k1${}",
            tag.replacen(&tag[..1], if tag.starts_with('A') { "B" } else { "A" }, 1)
        ),
    ] {
        assert_eq!(bridge_reason(&format!("{legacy}${suffix}")), BadTag, "{suffix}");
    }
    assert_eq!(bridge_reason(&format!("{legacy}$h1$k2${tag}")), UnknownKey);
}

#[test]
fn a_bridge_frame_is_decrypted_only_after_its_tag_was_verified() {
    let other = LegacyKey::new("another").unwrap();
    let entropy = Entropy::new([7; 16]);
    let frame = in_queue(|b| bridge::seal(&other, &keyset(), entropy, b, "Hello"));
    // The tag is right and the password is not.
    assert_eq!(bridge_reason(&frame), Undecryptable);
    let (legacy, _) = frame.split_once("$h1$").unwrap();
    let forged = format!("{legacy}$h1$k1${}", "A".repeat(43));
    assert_eq!(bridge_reason(&forged), BadTag);
}

#[test]
fn padding_hides_equal_beginnings() {
    let sealed = |entropy| {
        in_queue(|b| {
            bridge::seal(&password(), &keyset(), Entropy::new(entropy), b, "{\"name\":\"t\"")
        })
    };
    let (one, other) = (sealed([1; 16]), sealed([2; 16]));
    let start = "$aes-256-cbc$".len();
    assert_ne!(one[start..start + 20], other[start..start + 20]);
}

#[test]
fn repeated_entropy_reveals_only_whether_two_messages_are_equal() {
    let (one, same, other) = (seal("{\"a\":1}"), seal("{\"a\":1}"), seal("{\"a\":2}"));
    assert_eq!(one, same);
    let start = "$ivy2$k1$".len();
    assert_ne!(one[start..start + 21], other[start..start + 21], "the IVs differ");
}

#[test]
fn an_authentic_frame_with_invalid_content_is_an_error_of_the_peer() {
    use aes::Aes256;
    use aes::cipher::block_padding::NoPadding;
    use aes::cipher::{BlockModeEncrypt, KeyIvInit};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha512;

    /// A peer with the right keys and no padding.
    fn peer(block: &[u8; 16]) -> String {
        let keys = &vectors_json()["k1_derived"];
        let key = |name: &str| hex(keys[name].as_str().unwrap());
        let iv = [3; 16];
        let encryptor = cbc::Encryptor::<Aes256>::new_from_slices(&key("enc"), &iv).unwrap();
        let ciphertext = encryptor.encrypt_padded_vec::<NoPadding>(block);
        let aad = hex(vectors_json()["v2"][0]["aad_hex"].as_str().unwrap());
        let bits = (8 * aad.len() as u64).to_be_bytes();
        let tag = Hmac::<Sha512>::new_from_slice(&key("mac"))
            .unwrap()
            .chain_update(&aad)
            .chain_update(iv)
            .chain_update(&ciphertext)
            .chain_update(bits)
            .finalize()
            .into_bytes();
        let raw = [&iv, &ciphertext[..], &tag[..32]].concat();
        format!("$ivy2$k1${}", URL_SAFE_NO_PAD.encode(raw))
    }

    fn vectors_json() -> serde_json::Value {
        serde_json::from_str(include_str!("vectors/ivy2-frames.json")).unwrap()
    }

    let bad = open(&peer(&[0; 16])).unwrap_err();
    assert!(bad.is_peer_fault());
    assert_eq!(bad.reason(), BadTag);
    let mut block = [0xff; 16];
    block[15] = 1;
    assert_eq!(reason(&peer(&block)), BadUtf8);
    let mut message_pack = *b"$mp1$\x93\xa4test\x80\x90...";
    message_pack[13..].fill(3);
    assert_eq!(reason(&peer(&message_pack)), UnsupportedFormat);
    let mut hello = *b"Hello...........";
    hello[5..].fill(11);
    assert_eq!(open(&peer(&hello)).unwrap().text.as_str(), "Hello");
}

#[test]
fn debug_shows_neither_keys_nor_texts() {
    let frame = seal("hunter2");
    let opened = open(&frame).unwrap();
    let shown = format!("{opened:?} {:?} {:?}", keyset(), Entropy::new([7; 16]));
    assert!(!shown.contains("hunter2") && !shown.contains("7, 7"), "{shown}");
    let error = format!(
        "{:?}",
        in_queue(|b| ivy2::open(
            &Keyset::new(id("k1"), secret(b"hunter2hunter2hunter2hunter2hunt")),
            b,
            &frame
        ))
    );
    assert!(!error.contains("hunter2"), "{error}");
}

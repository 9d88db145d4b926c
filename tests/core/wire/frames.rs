//! Frames of the Node package: recorded ones, read and written byte for byte, and malformed ones.

use ivy_core_tests::check_seeds;
use ivy_proto::queue::Body;
use ivy_proto::wire::DeadLetterReason::{
    BadBase64, BadFrame, BadJson, EmptyBody, ExpectedEncrypted, TooLarge, Undecryptable,
    UnknownCipher, UnsupportedVersion,
};
use ivy_proto::wire::{BadBody, Codec, DeadLetterReason, Envelope, InvalidKey, LegacyKey};
use serde::Deserialize;

use crate::inputs::{pool, queue};
use crate::node_decryption;

#[derive(Deserialize)]
struct Good {
    id: String,
    password: String,
    plaintext: String,
    frame: String,
    node_0_2_2_reads: Option<String>,
}

#[derive(Deserialize)]
struct Bad {
    id: String,
    password: String,
    frame: String,
}

fn good() -> Vec<Good> {
    serde_json::from_str(include_str!("vectors/legacy-frames.json")).expect("the vectors are JSON")
}

fn key(password: &str) -> LegacyKey {
    LegacyKey::new(password).expect("a password")
}

fn open(password: &str, body: &str) -> Result<Envelope, BadBody> {
    Codec::legacy(key(password)).open(&Body::new(body), &queue())
}

fn reason(body: &str) -> DeadLetterReason {
    open("pass", body).expect_err("it is malformed").reason()
}

#[test]
fn recorded_frames_are_written_and_read_byte_for_byte() {
    let mut seen = 0;
    for vector in good().iter().filter(|vector| !vector.password.trim().is_empty()) {
        let key = key(&vector.password);
        assert_eq!(key.encrypt(&vector.plaintext), vector.frame, "{}", vector.id);
        let read = key.decrypt(&vector.frame).unwrap();
        assert_eq!(read.as_str(), vector.plaintext, "{}", vector.id);
        if let Ok(envelope) = Envelope::parse(&vector.plaintext) {
            assert_eq!(open(&vector.password, &vector.frame), Ok(envelope), "{}", vector.id);
        }
        seen += 1;
    }
    assert_eq!(seen, 53);
}

#[test]
fn recorded_frames_of_blank_passwords_are_refused() {
    let mut seen = 0;
    for vector in good().iter().filter(|vector| vector.password.trim().is_empty()) {
        assert_eq!(LegacyKey::new(&vector.password).err(), Some(InvalidKey), "{}", vector.id);
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn the_damage_that_the_node_package_causes_is_known_and_avoided() {
    let mut damaged = 0;
    for vector in good().iter().filter(|vector| !vector.password.trim().is_empty()) {
        let key = key(&vector.password);
        let expected = vector.node_0_2_2_reads.as_ref().unwrap_or(&vector.plaintext);
        assert_eq!(node_decryption::reads(&key, &vector.frame), *expected, "{}", vector.id);
        let Ok(envelope) = Envelope::parse(&vector.plaintext) else { continue };
        let sealed = Codec::legacy(key).seal(&envelope, &queue(), &mut pool());
        let read = node_decryption::reads(&self::key(&vector.password), sealed.as_str());
        assert_eq!(Envelope::parse(&read), Ok(envelope), "{}", vector.id);
        damaged += usize::from(vector.node_0_2_2_reads.is_some());
    }
    assert!(damaged > 0, "no vector shows the damage");
}

/// Each recorded malformed frame with its reason; `None` if it can be opened all the same. All
/// errors inside a frame have one reason.
const BAD: [(&str, Option<DeadLetterReason>); 31] = [
    ("empty-frame", Some(EmptyBody)),
    ("one-dollar", Some(BadFrame)),
    ("no-second-dollar", Some(BadFrame)),
    ("empty-cipher", Some(BadFrame)),
    ("unknown-cipher", Some(UnknownCipher)),
    ("rot13", Some(UnknownCipher)),
    ("alias-aes256", Some(UnknownCipher)),
    ("cipher-trailing-space", Some(UnknownCipher)),
    ("cipher-nul", Some(UnknownCipher)),
    ("other-cipher-3des", Some(UnknownCipher)),
    ("leading-space", Some(ExpectedEncrypted)),
    ("text-before", Some(ExpectedEncrypted)),
    ("inner-newline", Some(BadBase64)),
    ("urlsafe-base64", Some(BadBase64)),
    ("base64-garbage", Some(BadBase64)),
    ("base64-mid-pad", Some(BadBase64)),
    ("base64-nonzero-trailing-bits", Some(BadBase64)),
    ("len-15", Some(BadFrame)),
    ("len-17", Some(BadFrame)),
    ("truncated-last-block", Some(Undecryptable)),
    ("flipped-bit-block1", Some(Undecryptable)),
    ("pad-zero", Some(Undecryptable)),
    ("pad-17", Some(Undecryptable)),
    ("pad-255", Some(Undecryptable)),
    ("invalid-utf8", Some(Undecryptable)),
    ("overlong-utf8", Some(Undecryptable)),
    ("utf8-bom", Some(Undecryptable)),
    ("inner-frame", Some(BadJson)),
    ("wrong-key", Some(Undecryptable)),
    ("plaintext-json", Some(ExpectedEncrypted)),
    // It may carry an authentication code, which is ignored unless a policy requires it.
    ("suffix-field", None),
];

#[test]
fn recorded_malformed_frames_are_dead_lettered_with_their_reason() {
    let vectors: Vec<Bad> =
        serde_json::from_str(include_str!("vectors/legacy-frames-bad.json")).unwrap();
    assert_eq!(vectors.len(), BAD.len());
    for vector in &vectors {
        let (_, expected) = BAD.iter().find(|(id, _)| *id == vector.id).expect("a known vector");
        let reason = open(&vector.password, &vector.frame).err().map(|bad| bad.reason());
        assert_eq!(reason, *expected, "{}", vector.id);
    }
}

#[test]
fn all_recorded_frames_are_seeds_of_the_fuzz_target() {
    let bad: Vec<Bad> =
        serde_json::from_str(include_str!("vectors/legacy-frames-bad.json")).unwrap();
    let bad = bad.into_iter().map(|vector| (vector.id, vector.frame.into_bytes()));
    check_seeds("legacy_frame", bad);
    let good = good().into_iter().map(|vector| (vector.id, vector.frame.into_bytes()));
    check_seeds("legacy_frame", good);
}

const SEALED: &str = "RSJ8h/sW75DX4Dvt2jAB/eWHi2og9UrmDBveefqx77wV9ADoulmFuK1UDJtApDZe";

#[test]
fn a_frame_without_its_parts() {
    for body in ["$", "$$", "$$x", "$aes-256-cbc", "$aes-256-cbc$", "$ivy2"] {
        assert_eq!(reason(body), BadFrame, "{body}");
    }
}

#[test]
fn only_one_spelling_of_one_cipher_is_accepted() {
    for tag in [
        "aes-512-cbc",
        "rot13",
        "AES-256-CBC",
        "aes256",
        "aes-256-cbc ",
        " aes-256-cbc",
        "aes-256-cbc\0",
        "aes-128-ecb",
        "aes-256-gcm",
        "des-ede3-cbc",
        "rc4",
        "null",
    ] {
        assert_eq!(reason(&format!("${tag}${SEALED}")), UnknownCipher, "{tag:?}");
    }
}

#[test]
fn an_unknown_cipher_is_described_by_the_length_of_its_name() {
    let tag = format!("\u{1b}[31mcard 4111{}", "x".repeat(1000));
    let error = open("pass", &format!("${tag}${SEALED}")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("has {} bytes", tag.len())), "{text}");
    assert!(!format!("{text} {error:?}").contains("4111"), "{error:?}");
}

#[test]
fn a_text_before_the_first_dollar_is_no_frame() {
    let body = format!("x$aes-256-cbc${SEALED}");
    assert_eq!(reason(&body), ExpectedEncrypted);
    let bad = Codec::plain().open(&Body::new(body), &queue()).unwrap_err();
    assert_eq!(bad.reason(), BadJson);
}

#[test]
fn only_padded_standard_base64_is_accepted() {
    for base64 in [
        "!!!!",
        "RSJ8=h/sW75DX4Dvt2jAB/eWHi2og9UrmDBveefqx77wV9ADoulmFuK1UDJtApDZe",
        "RSJ8h_sW75DX4Dvt2jAB_eWHi2og9UrmDBveefqx77wV9ADoulmFuK1UDJtApDZe",
        "RSJ8h/sW75DX4Dvt2jAB\n/eWHi2og9UrmDBveefqx77wV9ADoulmFuK1UDJtApDZe",
        " DWKO1589bRhzNrgivtoXyw==",
        "DWKO1589bRhzNrgivtoXyx==",
        "DWKO1589bRhzNrgivtoXyw",
        "DWKO1589bRhzNrgivtoXyw=",
        "DWKO1589bRhzNrgivtoXyw===",
    ] {
        assert_eq!(reason(&format!("$aes-256-cbc${base64}")), BadBase64, "{base64:?}");
    }
}

#[test]
fn the_ciphertext_is_a_number_of_whole_blocks() {
    for base64 in ["", "RQ==", "RSJ8h/sW75DX4Dvt2jAB", "RSJ8h/sW75DX4Dvt2jAB/QA="] {
        assert_eq!(reason(&format!("$aes-256-cbc${base64}")), BadFrame, "{base64:?}");
    }
}

#[test]
fn all_errors_inside_a_frame_have_one_reason() {
    let key = key("pass");
    let swapped = "$aes-256-cbc$5YeLaiD1SuYMG9558pHvvEUifIf7Fu+Q1+A77dowAf0V9ADoulmFuK1UDJtApDZe";
    let frames = [
        "$aes-256-cbc$xvwD1x+Glz/gIHXGctxHwA==".to_owned(),
        "$aes-256-cbc$Qc2+bw0AQME9DNLOuZwjjQ==".to_owned(),
        "$aes-256-cbc$Tm21zT8/BcIRc0nbwAUmPA==".to_owned(),
        "$aes-256-cbc$wHIztjVa4EDnFks+yQLsbA==".to_owned(),
        "$aes-256-cbc$RSJ8h/sW75DX4Dvt2jAB/eWHi2og9UrmDBveefqx77w=".to_owned(),
        "$aes-256-cbc$RCJ8h/sW75DX4Dvt2jAB/eWHi2og9UrmDBveefqx77wV9ADoulmFuK1UDJtApDZe".to_owned(),
        swapped.to_owned(),
        key.encrypt("no json"),
        key.encrypt(""),
        key.encrypt("\u{feff}{}"),
    ];
    let errors = frames.map(|frame| open("pass", &frame).unwrap_err());
    for error in &errors {
        assert_eq!(error.reason(), Undecryptable);
        assert_eq!((error, error.to_string()), (&errors[0], errors[0].to_string()));
    }
}

#[test]
fn no_flipped_bit_of_the_first_blocks_makes_another_envelope() {
    let key = key("pass");
    let text = r#"{"name":"test","options":{},"args":["x"]}"#;
    let frame = key.encrypt(text);
    let base64 = frame.len() - SEALED.len();
    for position in 0..20 {
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".chars() {
            let mut altered = frame.clone();
            let place = base64 + position;
            altered.replace_range(place..=place, letter.encode_utf8(&mut [0; 4]));
            if altered != frame {
                assert_eq!(reason(&altered), Undecryptable, "{letter} at {position}");
            }
        }
    }
}

#[test]
fn a_wrong_key_is_one_error_even_when_the_padding_happens_to_fit() {
    let frame = format!("$aes-256-cbc${SEALED}");
    let right = open("pass", &frame);
    let errors: Vec<_> =
        (0..2000).filter_map(|n| open(&format!("wrong {n}"), &frame).err()).collect();
    assert!(right.is_ok());
    assert_eq!(errors.len(), 2000);
    assert!(errors.iter().all(|error| error.reason() == Undecryptable && *error == errors[0]));
}

#[test]
fn empty_passwords_are_refused_and_lossy_ones_are_reported() {
    for password in ["", " ", "\t\r\n"] {
        assert_eq!(LegacyKey::new(password).err(), Some(InvalidKey));
    }
    assert!(key("密码").lossy() && !key("héslöÿ").lossy());
    assert_eq!(key("ž").encrypt("x"), key("~").encrypt("x"));
}

#[test]
fn invalid_utf8_inside_a_frame_is_refused() {
    let vectors: Vec<Bad> =
        serde_json::from_str(include_str!("vectors/legacy-frames-bad.json")).unwrap();
    for id in ["invalid-utf8", "overlong-utf8"] {
        let vector = vectors.iter().find(|vector| vector.id == id).unwrap();
        let bad = open(&vector.password, &vector.frame).unwrap_err();
        assert_eq!(bad.reason(), Undecryptable, "{id}");
    }
}

#[test]
fn a_frame_is_never_opened_twice() {
    let key = key("pass");
    let inner = key.encrypt(r#"{"name":"test","options":{},"args":[]}"#);
    assert_eq!(reason(&key.encrypt(&inner)), BadJson);
}

#[test]
fn a_body_above_the_limit_is_not_decoded() {
    let body = Body::new(format!("$aes-256-cbc${}", "!".repeat(1 << 20)));
    let bad = Codec::legacy(key("pass")).open(&body, &queue()).unwrap_err();
    assert_eq!(bad.reason(), TooLarge);
}

#[test]
fn a_frame_of_a_later_version_may_be_readable_elsewhere() {
    let reason = reason("$ivy3$k1$AAAA");
    assert_eq!(reason, UnsupportedVersion);
    assert!(reason.may_be_decided_elsewhere());
}

//! A256CBC-HS512 against the example of RFC 7518 and the vectors of Wycheproof.

use ivy_proto::wire::crypto::{CbcHmac, Unauthentic};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wycheproof {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: usize,
    key: String,
    iv: String,
    aad: String,
    msg: String,
    ct: String,
    tag: String,
    result: String,
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "hexadecimal digits come in pairs");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("the length fits")
}

#[test]
fn the_example_of_rfc_7518_appendix_b_3() {
    let cipher = CbcHmac::new(&std::array::from_fn(|index| index as u8));
    let iv = array("1af38c2dc2b96ffdd86694092341bc04");
    let aad = b"The second principle of Auguste Kerckhoffs";
    let plaintext = b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience";
    let sealed = cipher.seal(&iv, aad, plaintext);
    let (ciphertext, tag) = sealed.split_at(sealed.len() - 32);
    assert_eq!(ciphertext[..8], hex("4affaaadb78c31c5"));
    assert_eq!(ciphertext[ciphertext.len() - 3..], hex("03b1f6"));
    assert_eq!(tag, hex("4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"));
    assert_eq!(cipher.open(&iv, aad, ciphertext, tag).unwrap().as_slice(), plaintext);
}

#[test]
fn the_vectors_of_wycheproof() {
    let vectors: Wycheproof =
        serde_json::from_str(include_str!("vectors/wycheproof-a256cbc-hs512.json")).unwrap();
    let mut seen = 0;
    for case in vectors.test_groups.iter().flat_map(|group| &group.tests) {
        let cipher = CbcHmac::new(&array(&case.key));
        let (iv, aad) = (array(&case.iv), hex(&case.aad));
        let (ciphertext, tag) = (hex(&case.ct), hex(&case.tag));
        let opened = cipher.open(&iv, &aad, &ciphertext, &tag);
        if case.result == "valid" {
            let message = hex(&case.msg);
            assert_eq!(opened.unwrap().as_slice(), message, "{}", case.tc_id);
            let sealed = cipher.seal(&iv, &aad, &message);
            assert_eq!(sealed, [ciphertext, tag].concat(), "{}", case.tc_id);
        } else {
            assert_eq!(opened.err(), Some(Unauthentic), "{}", case.tc_id);
        }
        seen += 1;
    }
    assert_eq!((seen, vectors.number_of_tests), (94, 94));
}

#[test]
fn a_shorter_tag_is_refused() {
    let cipher = CbcHmac::new(&[1; 64]);
    let sealed = cipher.seal(&[2; 16], b"", b"text");
    let (ciphertext, tag) = sealed.split_at(sealed.len() - 32);
    for length in 0..32 {
        let opened = cipher.open(&[2; 16], b"", ciphertext, &tag[..length]);
        assert_eq!(opened.err(), Some(Unauthentic), "{length}");
    }
    let longer = [tag, &[0]].concat();
    assert_eq!(cipher.open(&[2; 16], b"", ciphertext, &longer).err(), Some(Unauthentic));
}

#[test]
fn data_cannot_move_between_the_parts_that_are_authenticated() {
    let cipher = CbcHmac::new(&[1; 64]);
    let sealed = cipher.seal(&[2; 16], b"ab", b"text");
    let (ciphertext, tag) = sealed.split_at(sealed.len() - 32);
    for aad in [&b"a"[..], b"", b"abc", b"ab\0"] {
        assert!(cipher.open(&[2; 16], aad, ciphertext, tag).is_err());
    }
    let moved = [&[2u8; 16][..], ciphertext].concat();
    let aad_with_iv = [&b"ab"[..], &[2; 16]].concat();
    assert!(cipher.open(&[2; 16], &aad_with_iv, ciphertext, tag).is_err());
    assert!(cipher.open(&[2; 16], b"ab", &moved, tag).is_err());
}

use super::*;

const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn entry(kid: &str, status: &str, secret: &str) -> String {
    format!(r#"{{"kid":"{kid}","status":"{status}","secret":"{secret}"}}"#)
}

fn keyset(primary: &str, entries: &[String]) -> String {
    format!(r#"{{"primary":{primary},"keys":[{}]}}"#, entries.join(","))
}

fn id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

fn error(json: &str) -> BadKeyset {
    Keyset::parse(json).unwrap_err()
}

#[test]
fn a_keyset_is_written_and_read_back() {
    let text = keyset("\"b\"", &[entry("a", "decrypt_only", TWO), entry("b", "enabled", ONE)]);
    let mut keyset = Keyset::parse(&text).unwrap();
    let derivation = Derivation { salt: [9; 16], memory_kib: 19_456, passes: 2, lanes: 1 };
    let secret = || KeySecret::new(Zeroizing::new(vec![3; 64])).unwrap();
    keyset.add_derived(id("c"), KeyStatus::Disabled, secret(), derivation).unwrap();
    let again = Keyset::parse(&keyset.to_json()).unwrap();
    assert_eq!(again.to_json(), keyset.to_json());
    assert_eq!(format!("{again:?}"), format!("{keyset:?}"));
    assert_eq!(again.derivation(&id("c")), Some(derivation));
    assert_eq!(again.secret(&id("a")).unwrap().expose(), [2; 32]);
    assert_eq!(again.primary(), &id("b"));
}

#[test]
fn each_problem_has_its_own_error() {
    let good = || entry("a", "enabled", ONE);
    assert_eq!(error(&format!(r#"{{"keys":[{}]}}"#, good())), BadKeyset::NoPrimary);
    assert_eq!(error(&keyset("null", &[good()])), BadKeyset::NoPrimary);
    assert_eq!(error(&keyset("\"\"", &[good()])), BadKeyset::NoPrimary);
    assert_eq!(error(&keyset("\"a\",\"primary\":\"a\"", &[good()])), BadKeyset::TwoPrimaries);
    assert_eq!(error(&keyset("[\"a\",\"b\"]", &[good()])), BadKeyset::TwoPrimaries);
    assert_eq!(error(&keyset("\"b\"", &[good()])), BadKeyset::NoSuchKey(id("b")));
    assert_eq!(error(&keyset("\"a\"", &[])), BadKeyset::NoSuchKey(id("a")));
    for status in ["decrypt_only", "disabled"] {
        let text = keyset("\"a\"", &[entry("a", status, ONE)]);
        assert_eq!(error(&text), BadKeyset::PrimaryNotEnabled(id("a")));
    }
    let twice = keyset("\"a\"", &[good(), entry("a", "decrypt_only", TWO)]);
    assert_eq!(error(&twice), BadKeyset::DuplicateKey(id("a")));
    for kid in ["", "12345678901234567", "a b", "a$", "ä", "a\\n"] {
        let text = keyset("\"a\"", &[good(), entry(kid, "enabled", ONE)]);
        assert_eq!(error(&text), BadKeyset::BadKeyId(2), "{kid}");
    }
    let status = keyset("\"a\"", &[entry("a", "Enabled", ONE)]);
    assert_eq!(error(&status), BadKeyset::BadStatus(id("a")));
}

#[test]
fn a_secret_must_be_32_to_64_bytes_that_are_not_all_zero() {
    let reported = |bytes: &[u8]| match error(&keyset(
        "\"a\"",
        &[entry("a", "enabled", &STANDARD.encode(bytes))],
    )) {
        BadKeyset::BadSecret { id, error } if id.as_str() == "a" => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(reported(&[1; 31]), InvalidSecret::Length(31));
    assert_eq!(reported(&[1; 65]), InvalidSecret::Length(65));
    assert_eq!(reported(&[0; 32]), InvalidSecret::Zeros);
    let text = keyset("\"a\"", &[entry("a", "enabled", &ONE.replace('=', ""))]);
    let not_base64 = BadKeyset::BadSecret { id: id("a"), error: InvalidSecret::NotBase64 };
    assert_eq!(error(&text), not_base64);
}

#[test]
fn other_texts_are_refused() {
    for text in ["", "null", "[]", "{", "{\"primary\":\"a\"}", "{\"primary\":\"a\",\"keys\":{}}"] {
        assert!(matches!(error(text), BadKeyset::Malformed(_)), "{text}");
    }
    assert!(matches!(error(&keyset("\"a\"", &["5".to_owned()])), BadKeyset::Malformed(_)));
    let misspelt = keyset("\"a\"", &[entry("a", "enabled", ONE)]).replace("secret", "Secret");
    assert!(matches!(error(&misspelt), BadKeyset::UnknownField(_)));
    assert!(matches!(error("{\"primary\":\"a\",\"key\":[]}"), BadKeyset::UnknownField(_)));
}

#[test]
fn a_keyset_cannot_be_changed_into_an_invalid_one() {
    let text = keyset("\"a\"", &[entry("a", "enabled", ONE), entry("b", "decrypt_only", TWO)]);
    let mut keyset = Keyset::parse(&text).unwrap();
    let secret = || KeySecret::new(Zeroizing::new(vec![3; 32])).unwrap();
    let (a, b, c) = (id("a"), id("b"), id("c"));
    assert_eq!(
        keyset.add(a.clone(), KeyStatus::Enabled, secret()),
        Err(BadKeyset::DuplicateKey(a.clone()))
    );
    assert_eq!(keyset.set_primary(&b), Err(BadKeyset::PrimaryNotEnabled(b.clone())));
    assert_eq!(keyset.set_primary(&c), Err(BadKeyset::NoSuchKey(c.clone())));
    for status in [KeyStatus::DecryptOnly, KeyStatus::Disabled] {
        assert_eq!(keyset.set_status(&a, status), Err(BadKeyset::PrimaryNotEnabled(a.clone())));
    }
    assert_eq!(keyset.remove(&a), Err(BadKeyset::RemovesPrimary(a.clone())));
    assert_eq!(keyset.remove(&c), Err(BadKeyset::NoSuchKey(c)));
    keyset.set_status(&b, KeyStatus::Enabled).unwrap();
    keyset.set_primary(&b).unwrap();
    keyset.remove(&a).unwrap();
    assert_eq!(keyset.keys().collect::<Vec<_>>(), [(&b, KeyStatus::Enabled)]);
}

#[test]
fn a_file_that_others_may_read_or_write_is_refused() {
    for mode in [0o600, 0o400, 0o640, 0o100_600, 0o440] {
        assert_eq!(Keyset::check_mode(mode), Ok(()), "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o602, 0o100_666, 0o777] {
        assert_eq!(Keyset::check_mode(mode), Err(BadKeyset::Exposed { mode: mode & 0o777 }));
    }
    for mode in [0o040_755, 0o040_700] {
        assert_eq!(Keyset::check_mode(mode), Err(BadKeyset::Folder));
    }
    // A character device, a block device, a pipe and a socket.
    for mode in [0o020_666, 0o060_600, 0o010_600, 0o140_600] {
        assert_eq!(Keyset::check_mode(mode), Err(BadKeyset::NotAFile));
    }
}

#[test]
fn no_secret_is_shown() {
    let text = keyset("\"a\"", &[entry("a", "enabled", ONE)]);
    let keyset = Keyset::parse(&text).unwrap();
    let shown = format!("{keyset:?} {:?}", keyset.secret(&id("a")).unwrap());
    assert!(!shown.contains("AQEB") && !shown.contains("1, 1"), "{shown}");
    let reported = error(&text.replace("enabled", "on")).to_string();
    assert!(!reported.contains("AQEB"), "{reported}");
}

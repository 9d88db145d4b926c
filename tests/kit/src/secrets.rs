//! Marker secrets, which tests use as tokens, passwords, keys, arguments and results, and the
//! search for them in all output.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard};

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The token of the queue servers.
pub static QUEUE_TOKEN: Marker = Marker::new("the queue token", "MarkerToken4Vd8QzLm");
/// A Redis password that is percent-encoded in a URL.
pub static REDIS_PASSWORD: Marker = Marker::new("the Redis password", "MarkerRedis/7Kd+2XwPass");
/// The password that messages are encrypted with.
pub static ENCRYPTION_PASSWORD: Marker =
    Marker::new("the encryption password", "Marker \"Sesame\" 5Hq žluť");
/// The prefix of keyset secrets: 22 bytes of text.
pub static KEYSET_SECRET: Marker = Marker::new("the secret of a key", "MarkerKeysetSecret9Wn3");
/// An argument of a task.
pub static ARGUMENT: Marker = Marker::new("an argument", "Marker \"Argument\" 6Jt žluť");
/// The result of a task.
pub static RESULT: Marker = Marker::new("a result", "Marker \"Result\" 3Bx žluť");

static ALL: [&Marker; 6] =
    [&QUEUE_TOKEN, &REDIS_PASSWORD, &ENCRYPTION_PASSWORD, &KEYSET_SECRET, &ARGUMENT, &RESULT];

/// How many leaks are stored. The first ones are enough to find the cause.
const MAX_LEAKS: usize = 20;

/// A text that must not be printed anywhere, and whether a test has used it.
#[derive(Debug)]
pub struct Marker {
    name: &'static str,
    text: &'static str,
    is_used: AtomicBool,
}

impl Marker {
    const fn new(name: &'static str, text: &'static str) -> Self {
        Marker { name, text, is_used: AtomicBool::new(false) }
    }

    /// Its text, for use as a secret.
    pub fn text(&self) -> &'static str {
        self.is_used.store(true, Ordering::Relaxed);
        self.text
    }
}

/// A marker that a text contains: its name and its form. It does not repeat the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    secret: &'static str,
    form: &'static str,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.secret, self.form)
    }
}

/// Searches for each marker in each form in which a program may print it.
#[must_use]
pub fn find_leaks(text: &str) -> Vec<Leak> {
    static SEARCH: LazyLock<(AhoCorasick, Vec<Leak>)> = LazyLock::new(|| {
        let forms = ALL.into_iter().flat_map(|marker| {
            let leak = |form| Leak { secret: marker.name, form };
            forms(marker.text).into_iter().map(move |(form, text)| (text, leak(form)))
        });
        let (texts, leaks): (Vec<_>, _) = forms.unzip();
        let search = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
        (search.expect("the search can be built"), leaks)
    });
    let (search, leaks) = &*SEARCH;
    search.find_iter(text).map(|found| leaks[found.pattern().as_usize()]).collect()
}

/// The forms of a secret; the search ignores case.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |write: fn(u8) -> String| bytes.iter().copied().map(write).collect::<Vec<_>>();
    let json = serde_json::to_string(secret).expect("a text is JSON");
    let escape = |character: char| match character {
        '"' => "\\\"".to_owned(),
        ' '..='~' => character.to_string(),
        _ => format!("\\u{:04x}", u32::from(character)),
    };
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("escaped for JSON", json.trim_matches('"').to_owned()),
        ("escaped for JSON in ASCII", secret.chars().map(escape).collect()),
        ("percent-encoded", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
        ("percent-encoded throughout", each(|byte| format!("%{byte:02x}")).concat()),
        ("in hex", each(|byte| format!("{byte:02x}")).concat()),
        ("as a list of bytes", each(|byte| byte.to_string()).join(", ")),
    ];
    for before in 0..3 {
        forms.push(("in base64", base64_after(before, bytes, &STANDARD_NO_PAD)));
        forms.push(("in base64 for URLs", base64_after(before, bytes, &URL_SAFE_NO_PAD)));
    }
    forms
}

/// The base64 letters that depend on these bytes alone, if other bytes precede and follow them.
fn base64_after(before: usize, bytes: &[u8], base64: &impl Engine) -> String {
    let text = base64.encode([&[0; 2][..before], bytes].concat());
    text[(before * 8).div_ceil(6)..(before + bytes.len()) * 8 / 6].to_owned()
}

/// What was searched so far: how much of each kind, and the first leaks. Its size does not grow
/// with the searched text.
#[derive(Debug, Default)]
pub struct Record(Mutex<Searched>);

#[derive(Debug, Default)]
struct Searched {
    kinds: BTreeMap<&'static str, u64>,
    leaks: Vec<String>,
}

impl Record {
    /// An empty record.
    #[must_use]
    pub const fn new() -> Self {
        Record(Mutex::new(Searched { kinds: BTreeMap::new(), leaks: Vec::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Searched> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// Searches something that was printed. Leaks are stored with their place.
    pub fn search(&self, kind: &'static str, place: &str, text: &str) {
        let leaks = find_leaks(text);
        let mut searched = self.lock();
        *searched.kinds.entry(kind).or_default() += 1;
        for leak in leaks {
            let line = format!("{kind} {place}: {leak}");
            if searched.leaks.len() < MAX_LEAKS && !searched.leaks.contains(&line) {
                searched.leaks.push(line);
            }
        }
    }

    /// Returns what was searched.
    ///
    /// # Errors
    ///
    /// The leaks; or, if any `kinds` are required, that one of them was never searched or a marker
    /// never used: such a search proves nothing.
    pub fn verdict(&self, kinds: &[&'static str]) -> Result<String, String> {
        let searched = self.lock();
        if !searched.leaks.is_empty() {
            return Err(format!("secrets were printed:\n{}", searched.leaks.join("\n")));
        }
        if let Some(kind) = kinds.iter().find(|kind| !searched.kinds.contains_key(*kind)) {
            return Err(format!("no {kind} was searched"));
        }
        let unused = ALL.iter().find(|marker| !marker.is_used.load(Ordering::Relaxed));
        match unused {
            Some(marker) if !kinds.is_empty() => Err(format!("no test has used {}", marker.name)),
            _ => Ok(format!("no secret was printed; searched: {:?}", searched.kinds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_found_in_each_form() {
        for marker in ALL {
            for (form, text) in forms(marker.text) {
                let leaks = find_leaks(&format!("before {text} after"));
                assert_eq!(leaks.len(), 1, "{}, {form}", marker.name);
                assert_eq!(leaks[0].secret, marker.name);
            }
        }
    }

    #[test]
    fn the_form_is_reported() {
        let secret = REDIS_PASSWORD.text;
        let form = |text: &str| find_leaks(text).iter().map(|leak| leak.form).collect::<Vec<_>>();
        assert_eq!(form(&format!("{secret:?}")), ["plain"]);
        assert_eq!(form("redis://:MarkerRedis%2f7Kd%2B2XwPass@h"), ["percent-encoded"]);
        assert_eq!(form(&format!("{:?}", secret.as_bytes())), ["as a list of bytes"]);
        assert_eq!(form(&format!("{:?}", ARGUMENT.text)), ["escaped for JSON"]);
    }

    #[test]
    fn base64_is_found_at_every_offset_of_the_secret() {
        for marker in ALL {
            for before in ["", "x", "xy", "xyz"] {
                let text = format!("{before}{}{before}", marker.text);
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert_eq!(find_leaks(&encoded).len(), 1, "{} after {before:?}", marker.name);
                }
            }
        }
    }

    #[test]
    fn two_secrets_are_both_found() {
        let text = format!("{} {}", QUEUE_TOKEN.text, RESULT.text);
        assert_eq!(find_leaks(&text).len(), 2);
    }

    #[test]
    fn a_leak_does_not_repeat_the_secret() {
        for marker in ALL {
            let leak = find_leaks(marker.text)[0];
            assert_eq!(find_leaks(&format!("{leak} {leak:?}")), []);
        }
    }

    #[test]
    fn other_texts_pass() {
        for text in ["", "Marker", "MarkerToken", "[redacted]", "OAuth ***", "TWFya2Vy", "%4d%61"] {
            assert_eq!(find_leaks(text), [], "{text}");
        }
    }

    #[test]
    fn a_planted_leak_is_reported_with_its_place_and_without_the_secret() {
        let record = Record::new();
        record.search("log", "of a clean test", "nothing");
        record.search("log", "of a planted test", &format!("token={}", QUEUE_TOKEN.text));
        let error = record.verdict(&[]).unwrap_err();
        assert!(error.contains("log of a planted test: the queue token, plain"), "{error}");
        assert!(!error.contains("clean") && find_leaks(&error).is_empty(), "{error}");
    }

    #[test]
    fn a_search_of_nothing_proves_nothing() {
        let record = Record::new();
        assert!(record.verdict(&[]).is_ok());
        assert!(record.verdict(&["log"]).unwrap_err().contains("log"));
        record.search("log", "of a clean test", "nothing");
        assert!(record.verdict(&["log", "span"]).unwrap_err().contains("span"));
    }
}

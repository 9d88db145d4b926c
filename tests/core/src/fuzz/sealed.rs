//! Authenticated frames, and keysets.

use std::sync::LazyLock;

use ivy_proto::wire::crypto::{Binding, Entropy, KeyId, KeySecret, Keyset, bridge, ivy2};
use ivy_proto::wire::{BadBody, LegacyKey};
use ivy_proto::{ChannelName, QueueName};
use zeroize::Zeroizing;

use super::is_short;

static KEYSET: LazyLock<Keyset> = LazyLock::new(|| {
    // The keyset of the recorded frames, which are among the seeds.
    let secret: Vec<u8> = (0..32).collect();
    let secret = KeySecret::new(Zeroizing::new(secret)).expect("a secret");
    Keyset::new(KeyId::new("k1").expect("an id"), secret)
});

fn queue() -> QueueName {
    QueueName::new("ivy").expect("a name")
}

/// A version 2 frame given by the input, and a copy that is damaged and moved as the input says:
/// the copy does not open unless nothing was changed.
pub fn v2_frame(input: &[u8]) {
    let open = |binding: &Binding<'_>, frame: &str| {
        ivy2::open(&KEYSET, binding, frame).map(|opened| opened.text.to_string())
    };
    try_all(
        input,
        |text| ivy2::seal(&KEYSET, Entropy::new([7; 16]), &Binding::task(&queue()), text),
        open,
    );
}

/// The same for a bridge frame, which a peer of the Node package can decrypt as well.
pub fn bridge_frame(input: &[u8]) {
    let password = LegacyKey::new("pass").expect("a password");
    let open = |binding: &Binding<'_>, frame: &str| {
        let opened = bridge::open(&password, &KEYSET, binding, frame)?;
        let read = password.decrypt(frame)?;
        assert_eq!(*opened.text, *read, "a peer of the Node package decrypts another text");
        Ok(opened.text.trim_start().to_owned())
    };
    try_all(
        input,
        |text| {
            let entropy = Entropy::new([7; 16]);
            bridge::seal(&password, &KEYSET, entropy, &Binding::task(&queue()), text.trim_start())
        },
        open,
    );
}

fn try_all(
    input: &[u8],
    seal: impl Fn(&str) -> String,
    open: impl Fn(&Binding<'_>, &str) -> Result<String, BadBody>,
) {
    let queue = queue();
    let here = Binding::task(&queue);
    let text = String::from_utf8_lossy(input);
    if let Err(bad) = open(&here, &text) {
        is_short(&bad);
    }
    let Some(([high, low, bits], text)) = input.split_first_chunk() else { return };
    let text = String::from_utf8_lossy(text);
    let frame = seal(&text);
    let opened = open(&here, &frame);
    assert!(opened.is_ok_and(|opened| opened.trim_start() == text.trim_start()), "it opens");

    let (other, channel) =
        (QueueName::new("other").expect("a name"), ChannelName::new("ivy").expect("a name"));
    for elsewhere in
        [Binding::task(&other), Binding::dead_letter(&queue), Binding::notice(&channel)]
    {
        assert!(open(&elsewhere, &frame).is_err(), "a moved frame opens");
    }
    let mut damaged = frame.clone().into_bytes();
    let place = usize::from(u16::from_be_bytes([*high, *low])) % damaged.len();
    damaged[place] ^= bits;
    let damaged = String::from_utf8_lossy(&damaged);
    assert!(damaged == frame || open(&here, &damaged).is_err(), "a damaged frame opens");
    let cut = &frame[..place];
    assert!(open(&here, cut).is_err(), "a cut frame opens");
}

/// The text of a keyset: a valid one has one canonical form, and no secret is shown.
pub fn keyset(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Keyset::parse(&text) {
        Ok(keyset) => {
            let json = keyset.to_json();
            let again = Keyset::parse(&json).expect("written text can be parsed");
            assert_eq!(*again.to_json(), *json);
            assert_eq!(again.primary(), keyset.primary());
            let shown = format!("{keyset:?}");
            for (id, status) in keyset.keys() {
                assert!(again.keys().any(|key| key == (id, status)));
                let secret = keyset.secret(id).expect("each key has one");
                assert_eq!(again.secret(id).map(KeySecret::expose), Some(secret.expose()));
                assert!(!shown.contains(&format!("{:?}", secret.expose())), "{shown}");
            }
        }
        Err(bad) => is_short(&bad),
    }
}

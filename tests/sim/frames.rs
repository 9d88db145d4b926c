//! S13, for sealed frames: an altered or moved frame never opens, and no two texts are sealed under
//! one initialization vector.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ivy_proto::wire::crypto::{Binding, Entropy, Keyset, ivy2};
use ivy_proto::{QueueName, Rng};

use crate::fault_injection::{one_in, one_of, stream_of};
use crate::laws::Breach;

/// The stream of the frames, far from those of the settings and the components.
const FRAMES: u64 = 1 << 33;
/// How many frames one seed seals, and how often each is altered.
const SEALED: usize = 8;
const ALTERED: usize = 4;
const IV: usize = 16;

#[test]
fn altered_or_moved_frames_never_open() {
    let mut altered = 0;
    for seed in 0..500 {
        altered += try_frames(seed).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
    }
    assert!(altered > 10_000, "{altered} altered frames");
}

/// Seals texts, alters and moves the frames, and tries to open them. Returns the number of
/// attempts.
pub(crate) fn try_frames(seed: u64) -> Result<usize, Breach> {
    let mut rng = stream_of(seed, FRAMES);
    let keyset = keyset(&mut rng);
    let queues = ["plain", "limited"].map(|name| QueueName::new(name).expect("the name is valid"));
    let mut ivs = BTreeMap::new();
    let mut random = rng.sixteen_bytes();
    let mut tried = 0;
    for number in 0..SEALED {
        // The source of entropy may fail and repeat itself.
        if !one_in(&mut rng, 4) {
            random = rng.sixteen_bytes();
        }
        let at = rng.up_to(1) as usize;
        let text = one_of(&mut rng, &["", "a", "{\"name\":\"sim.plain\",\"args\":[\"a text\"]}"]);
        let frame = ivy2::seal(&keyset, Entropy::new(random), &Binding::task(&queues[at]), text);
        let opened = ivy2::open(&keyset, &Binding::task(&queues[at]), &frame);
        if opened.map(|opened| opened.text.to_string()).ok().as_deref() != Some(text) {
            return Err(broken(format!("frame {number} does not open as it was sealed")));
        }
        let (head, mut raw) = split_frame(&frame);
        let sealed = (text, at, random);
        if *ivs.entry(raw[..IV].to_vec()).or_insert(sealed) != sealed {
            return Err(broken(format!("frame {number} has the vector of another")));
        }
        if ivy2::open(&keyset, &Binding::task(&queues[1 - at]), &frame).is_ok() {
            return Err(broken(format!("frame {number} opens in another queue")));
        }
        for _ in 0..ALTERED {
            let bit = rng.up_to(raw.len() as u64 * 8 - 1) as usize;
            raw[bit / 8] ^= 1 << (bit % 8);
            let altered = format!("{head}{}", URL_SAFE_NO_PAD.encode(&raw));
            raw[bit / 8] ^= 1 << (bit % 8);
            if ivy2::open(&keyset, &Binding::task(&queues[at]), &altered).is_ok() {
                return Err(broken(format!("frame {number} opens though bit {bit} is altered")));
            }
            tried += 1;
        }
    }
    Ok(tried)
}

fn keyset(rng: &mut Rng) -> Keyset {
    let secret = [rng.sixteen_bytes(), rng.sixteen_bytes()].concat();
    let secret = base64::engine::general_purpose::STANDARD.encode(secret);
    let key = format!("{{\"kid\":\"k1\",\"status\":\"enabled\",\"secret\":\"{secret}\"}}");
    Keyset::parse(&format!("{{\"primary\":\"k1\",\"keys\":[{key}]}}")).expect("the keyset is valid")
}

/// A frame's head, and its bytes.
fn split_frame(frame: &str) -> (&str, Vec<u8>) {
    let (head, content) = frame.split_at(frame.rfind('$').expect("a frame has a head") + 1);
    (head, URL_SAFE_NO_PAD.decode(content).expect("the content is base64"))
}

fn broken(what: String) -> Breach {
    Breach { law: "S13", what }
}

//! The fuzz targets on their seeds and on random bytes.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ivy_core_tests::fuzz;
use proptest::prelude::*;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 13] = [
    ("body", fuzz::body),
    ("bridge_frame", fuzz::bridge_frame),
    ("broker_inputs", fuzz::broker_inputs),
    ("config_url", fuzz::config_url),
    ("ironmq_response", fuzz::ironmq_response),
    ("keyset", fuzz::keyset),
    ("legacy_frame", fuzz::legacy_frame),
    ("notice", fuzz::notice),
    ("presence", fuzz::presence),
    ("producer_inputs", fuzz::producer_inputs),
    ("redis_session", fuzz::redis_session),
    ("v2_frame", fuzz::v2_frame),
    ("worker_inputs", fuzz::worker_inputs),
];

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
}

#[test]
fn every_target_is_replayed() {
    let files = fs::read_dir(folder("fuzz_targets")).unwrap();
    let targets: BTreeSet<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(targets, TARGETS.map(|(name, _)| name.to_owned()).into());
}

#[test]
fn no_seed_breaks_a_law() {
    for (name, target) in TARGETS {
        let mut seen = 0;
        for file in fs::read_dir(folder("seeds").join(name)).unwrap() {
            let path = file.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
            seen += 1;
        }
        assert!(seen > 0, "{name} has no seeds");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_a_law(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}

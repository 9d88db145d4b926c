//! The limits on this crate's dependencies.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::BTreeSet;
use std::process::Command;

/// The maximum number of crates that a program using memory backends only compiles, including this
/// one.
const MAX_CRATES: usize = 65;

#[test]
fn memory_backends_alone_need_few_crates_and_neither_http_nor_tls() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--no-default-features", "--edges", "normal"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<_> = tree.lines().collect();
    assert!(crates.len() <= MAX_CRATES, "{}: {crates:#?}", crates.len());
    let names: BTreeSet<_> = crates.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("ivy-driver") && names.contains("tokio"), "{names:?}");
    for absent in ["hyper", "rustls", "redis", "ivy-ironmq", "ivy-redis"] {
        assert!(!names.contains(absent), "{absent}");
    }
}

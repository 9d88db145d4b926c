//! The limits on this crate's dependencies.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::process::Command;

#[test]
fn no_async_runtime_is_compiled_in() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p} with {f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|line| line.split_once(' ')).collect();
    let has = |name: &str| crates.iter().any(|(other, _)| *other == name);
    assert!(has("hyper") && has("redis"), "{crates:?}");
    for runtime in ["async-std", "smol", "async-executor", "async-io", "hyper-util", "mio"] {
        assert!(!has(runtime), "{runtime}: {crates:?}");
    }
    // Hyper uses the channels of tokio, which are not a part of its runtime.
    for (_, rest) in crates.iter().filter(|(name, _)| *name == "tokio") {
        let (_, features) = rest.split_once(" with ").unwrap();
        let features = features.trim_end_matches(" (*)");
        assert!(features.split(',').all(|on| ["default", "sync"].contains(&on)), "{rest}");
    }
}

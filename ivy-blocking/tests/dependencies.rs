//! The limits on this crate's dependencies.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::process::Command;

#[test]
fn no_async_runtime_is_compiled_in() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"ureq") && names.contains(&"redis"), "{names:?}");
    for runtime in ["tokio", "async-std", "smol", "async-executor", "async-io", "hyper"] {
        assert!(!names.contains(&runtime), "{runtime}: {names:?}");
    }
}

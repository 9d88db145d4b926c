//! The project's own programs, as the tests start them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::tools::project;

/// The program `name` of this build.
pub fn binary(name: &str) -> PathBuf {
    built().join(name)
}

/// The example program `name` of this build. No two packages have examples of the same name.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// The directory of this build's programs, brought up to date once.
///
/// Cargo builds a package's programs only for that package's own tests. `tests/run` has already
/// built them all and sets `IVY_TEST_BUILT`.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = env::current_exe().expect("a test knows its own path");
        let folder =
            test.ancestors().nth(2).expect("a test is in TARGET/PROFILE/deps").to_path_buf();
        if env::var_os("IVY_TEST_BUILT").is_none() {
            build(&folder);
        }
        folder
    })
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    // The whole workspace, so that the dependencies keep the features that they were built with.
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--workspace", "--bins", "--examples", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().expect("the profile's directory has a parent"))
        .current_dir(project())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "building the programs under test failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

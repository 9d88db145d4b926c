//! The project's own programs, as the tests start them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::tools::project;

/// The program `name` of this build.
pub fn binary(name: &str) -> PathBuf {
    built().join(name)
}

/// The example program `name` of the package `package`, of this build.
///
/// The adapters have examples of the same names, and each that is built takes the place of the
/// others at `examples/NAME`. Beside it lies every build under a name of its own, with a file that
/// tells its sources: the latest one of the package's source is meant.
pub fn example(package: &str, name: &str) -> PathBuf {
    let folder = built().join("examples");
    let source = format!("{package}/examples/{name}.rs");
    let files = fs::read_dir(&folder)
        .expect("the examples are built")
        .filter_map(|file| Some(file.ok()?.path()));
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "d"))
        .filter(|file| fs::read_to_string(file).is_ok_and(|sources| sources.contains(&source)))
        .map(|file| file.with_extension(""))
        .filter(|program| program.file_name().is_some_and(|file| file != name))
        .filter_map(|program| Some((fs::metadata(&program).ok()?.modified().ok()?, program)))
        .max()
        .map(|(_, program)| program)
        .unwrap_or_else(|| panic!("{source} is not built in {}", folder.display()))
}

/// The folder of this build's programs, brought up to date once.
///
/// Cargo builds a package's programs for that package's own tests only. `tests/run` has built them
/// all already and says so in `IVY_TEST_BUILT`.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = env::current_exe().expect("a test knows its own path");
        let folder =
            test.ancestors().nth(2).expect("a test lies in TARGET/PROFILE/deps").to_path_buf();
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
    // The whole workspace, so that the dependencies keep the features they were built with.
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--workspace", "--bins", "--examples", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().expect("a profile's folder lies in the target folder"))
        .current_dir(project())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "the programs under test do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

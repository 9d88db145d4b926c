//! Where external programs and packages are. `tests/run` installs them.

use std::env;
use std::path::{Path, PathBuf};

/// The project's root directory.
pub(crate) fn project() -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    kit.ancestors().nth(2).expect("the tests are in the project").to_path_buf()
}

/// The program `redis-server`: from the environment, the system, or the project's own tools.
pub(crate) fn redis_server() -> PathBuf {
    given("IVY_TEST_REDIS_SERVER")
        .or_else(|| on_path("redis-server"))
        .unwrap_or_else(|| installed("redis/redis-server"))
}

/// The program `valkey-server`, if there is one in the same places.
pub(crate) fn valkey_server() -> Option<PathBuf> {
    let own = || Some(place_of("valkey/valkey-server")).filter(|path| path.exists());
    given("IVY_TEST_VALKEY_SERVER").or_else(|| on_path("valkey-server")).or_else(own)
}

/// The program `prometheus` or `promtool`, in the same places.
pub(crate) fn prometheus(program: &str) -> PathBuf {
    given("IVY_TEST_PROMETHEUS")
        .map(|folder| folder.join(program))
        .or_else(|| on_path(program))
        .unwrap_or_else(|| installed(&format!("prometheus/{program}")))
}

/// The directory of the installed Node packages.
pub(crate) fn node_modules() -> PathBuf {
    given("IVY_TEST_NODE_MODULES").unwrap_or_else(|| installed("node/node_modules"))
}

/// The directory of the installed Python packages.
pub(crate) fn python_packages() -> PathBuf {
    given("IVY_TEST_PYTHONPATH").unwrap_or_else(|| installed("python"))
}

fn given(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from)
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn place_of(tool: &str) -> PathBuf {
    project().join("target/tools").join(tool)
}

fn installed(tool: &str) -> PathBuf {
    let path = place_of(tool);
    assert!(path.exists(), "{} is missing: run `tests/run`, which installs it", path.display());
    path
}

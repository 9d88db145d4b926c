//! The environment of this process.

use ivy_proto::config::Environment;

/// Runs `look_up` with the environment of this process.
pub(crate) fn environment<T>(look_up: impl FnOnce(&Environment<'_>) -> T) -> T {
    let variable =
        |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let file = |path: &str| std::fs::read(path).ok();
    look_up(&Environment::new(&variable, &file).with_modes(&mode))
}

#[cfg(unix)]
fn mode(path: &str) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &str) -> Option<u32> {
    None
}

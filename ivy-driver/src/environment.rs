//! The environment of this process.

use std::fs::{self, File};
use std::io::Read;

use ivy_proto::config::Environment;

/// Runs `look_up` with the environment of this process.
pub(crate) fn environment<T>(look_up: impl FnOnce(&Environment<'_>) -> T) -> T {
    let variable =
        |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    look_up(&Environment::new(&variable, &read).with_modes(&mode))
}

/// The content of a regular file, or of one that a link leads to; no more of it than is needed.
/// Opening a pipe may wait indefinitely, and a device may have no end.
fn read(path: &str) -> Option<Vec<u8>> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).ok()?.take(Environment::MAX_FILE as u64);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(unix)]
fn mode(path: &str) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).ok().map(|metadata| metadata.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &str) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_read() {
        for path in ["/dev/zero", "/dev/null", "/"] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let path = std::env::temp_dir().join(format!("ivy-environment-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let read_of = |length: usize| {
            fs::write(&path, vec![b'x'; length]).unwrap();
            read(name).unwrap().len()
        };
        let lengths = [5, Environment::MAX_FILE + 5].map(read_of);
        fs::remove_file(&path).unwrap();
        assert_eq!(lengths, [5, Environment::MAX_FILE]);
    }
}

//! Keyset files: readable by their owner only, replaced atomically, and changed by one process at a
//! time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ivy_proto::config::Environment;
use ivy_proto::wire::crypto::Keyset;
use zeroize::Zeroizing;

use super::Problem;

/// How long a change waits for another one. A change takes longer only if it was interrupted.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The interval at which it checks whether the other change is done.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn read(path: &Path) -> Result<Keyset, Problem> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(path).map_err(Problem::File)?;
        Keyset::check_mode(metadata.permissions().mode())?;
    }
    let mut json = Zeroizing::new(String::new());
    let file = File::open(path).map_err(Problem::File)?;
    let mut start = file.take(Environment::MAX_FILE as u64);
    start.read_to_string(&mut json).map_err(Problem::File)?;
    Ok(Keyset::parse(&json)?)
}

/// Creates a file that does not exist yet.
pub(super) fn create(path: &Path, keyset: &Keyset) -> Result<(), Problem> {
    let file = open_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Problem::Exists,
        _ => Problem::File(error),
    })?;
    write(&file, keyset, None).map_err(Problem::File)
}

/// Changes the keyset in a file. Other changes wait meanwhile, so that none is lost.
pub(super) fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut Keyset) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let replacement = Replacement::of(path)?;
    let mut keyset = read(path)?;
    let outcome = change(&mut keyset)?;
    replacement.replace(&keyset)?;
    Ok(outcome)
}

/// The replacement of a keyset file. There is one at a time. It contains secrets, so it is deleted
/// unless it replaces the file.
struct Replacement {
    old: PathBuf,
    path: PathBuf,
    file: File,
    is_done: bool,
}

impl Replacement {
    fn of(path: &Path) -> Result<Self, Problem> {
        let old = fs::canonicalize(path).map_err(Problem::File)?;
        let mut name = old.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let path = old.with_file_name(name);
        let started = Instant::now();
        loop {
            match open_new(&path) {
                Ok(file) => return Ok(Replacement { old, path, file, is_done: false }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Problem::NewFile { file: path, error });
                }
                Err(_) if started.elapsed() < MAX_WAIT => sleep(PAUSE),
                Err(_) => return Err(Problem::Busy(path)),
            }
        }
    }

    /// Replaces the file atomically: readers see the old contents or the new. Owner and mode stay
    /// the same, so access does not change; a link still points to the file.
    fn replace(mut self, keyset: &Keyset) -> Result<(), Problem> {
        let result = write(&self.file, keyset, Some(&self.old))
            .and_then(|()| fs::rename(&self.path, &self.old));
        self.is_done = result.is_ok();
        result.map_err(|error| Problem::NewFile { file: self.path.clone(), error })
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn write(mut file: &File, keyset: &Keyset, original: Option<&Path>) -> io::Result<()> {
    file.write_all(keyset.to_json().as_bytes())?;
    if let Some(original) = original {
        copy_access(original, file)?;
    }
    file.sync_all()
}

#[cfg(unix)]
fn copy_access(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let (expected, actual) = (fs::metadata(old)?, new.metadata()?);
    if (expected.uid(), expected.gid()) != (actual.uid(), actual.gid()) {
        fchown(new, Some(expected.uid()), Some(expected.gid()))?;
    }
    new.set_permissions(expected.permissions())
}

#[cfg(not(unix))]
fn copy_access(_old: &Path, _new: &File) -> io::Result<()> {
    Ok(())
}

fn open_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

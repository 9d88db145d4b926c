//! Keyset files: read by their owner only, and never half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use ivy_proto::wire::crypto::Keyset;
use zeroize::Zeroizing;

use super::Error;

pub(super) fn read(path: &Path) -> Result<Keyset, Error> {
    let keyset = |error| Error::Keyset { file: path.display().to_string(), error };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(path).map_err(|error| at(path, error))?;
        Keyset::check_mode(metadata.permissions().mode()).map_err(keyset)?;
    }
    let json = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| at(path, error))?;
    Keyset::parse(&json).map_err(keyset)
}

/// Makes a file that does not exist yet.
pub(super) fn create(path: &Path, keyset: &Keyset) -> Result<(), Error> {
    let file = open_new(path).map_err(|error| at(path, error))?;
    write(file, keyset, None).map_err(|error| at(path, error))
}

/// Puts a file in the place of the one that is there: whoever reads it meanwhile reads the old one
/// or the new one. It has the same owner and mode, so that who could read the old one can read it;
/// a link still leads to it.
pub(super) fn replace(path: &Path, keyset: &Keyset) -> Result<(), Error> {
    let old = fs::canonicalize(path).map_err(|error| at(path, error))?;
    let mut name = old.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = old.with_file_name(name);
    let file = open_new(&beside).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Busy { file: beside.display().to_string() },
        _ => at(&beside, error),
    })?;
    let written = write(file, keyset, Some(&old)).and_then(|()| fs::rename(&beside, &old));
    written.map_err(|error| {
        // It holds secrets: it does not stay behind.
        let _ = fs::remove_file(&beside);
        at(&beside, error)
    })
}

fn write(mut file: File, keyset: &Keyset, like: Option<&Path>) -> io::Result<()> {
    file.write_all(keyset.to_json().as_bytes())?;
    if let Some(like) = like {
        give_to_readers_of(like, &file)?;
    }
    file.sync_all()
}

#[cfg(unix)]
fn give_to_readers_of(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let (wanted, given) = (fs::metadata(old)?, new.metadata()?);
    if (wanted.uid(), wanted.gid()) != (given.uid(), given.gid()) {
        fchown(new, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    new.set_permissions(wanted.permissions())
}

#[cfg(not(unix))]
fn give_to_readers_of(_old: &Path, _new: &File) -> io::Result<()> {
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

fn at(path: &Path, error: io::Error) -> Error {
    Error::File { file: path.display().to_string(), error }
}

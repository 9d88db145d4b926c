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
    write_new(path, keyset).map_err(|error| at(path, error))
}

/// Puts a file in the place of the one that is there: whoever reads it meanwhile reads the old one
/// or the new one.
pub(super) fn replace(path: &Path, keyset: &Keyset) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    write_new(&beside, keyset).map_err(|error| at(&beside, error))?;
    fs::rename(&beside, path).map_err(|error| {
        // It holds secrets: it does not stay behind.
        let _ = fs::remove_file(&beside);
        at(path, error)
    })
}

fn write_new(path: &Path, keyset: &Keyset) -> io::Result<()> {
    let mut file = open_new(path)?;
    file.write_all(keyset.to_json().as_bytes())?;
    file.sync_all()
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

//! The keyset: in a file, or inline in the variable.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::environment::{Environment, Found, Origin};
use super::error::ConfigError;
use crate::secret::Secret;
use crate::wire::crypto::{BadKeyset, Encryption, Keyring, Keyset};

/// The variable with the path of a keyset file, or the keyset itself.
const VARIABLE: &str = "IVY_KEYSET";
/// The shortest secret, in bytes.
const SHORTEST_SECRET: usize = 16;

/// The file of a keyset, to be reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysetFile {
    path: String,
    keyring: Keyring,
}

impl KeysetFile {
    /// Reads the file again and activates its keys.
    ///
    /// # Errors
    /// If the file cannot be read or is invalid. The old keys stay active.
    pub fn reload(&self, environment: &Environment<'_>) -> Result<(), ConfigError> {
        self.keyring.replace(read_file(&self.path, environment)?);
        Ok(())
    }
}

/// An encryption with all its keys.
pub(super) struct Completed {
    pub(super) encryption: Encryption,
    /// The file that the keyset was read from.
    pub(super) keyset_file: Option<KeysetFile>,
    /// The origin of the keyset, if there is one.
    pub(super) origin: Option<Origin>,
}

/// Adds the keys to the encryption.
pub(super) fn complete(
    explicit: Encryption,
    environment: &Environment<'_>,
) -> Result<Completed, ConfigError> {
    if explicit.keyring().is_some() {
        let origin = Some(Origin::Argument("keyset"));
        return Ok(Completed { encryption: explicit, keyset_file: None, origin });
    }
    let Some(Found { value, origin }) = environment.first(&[VARIABLE]) else {
        return Ok(Completed { encryption: explicit, keyset_file: None, origin: None });
    };
    let origin = Some(origin);
    let value = Secret::new(value);
    if value.expose().trim_start().starts_with('{') {
        let keyset = Keyset::parse(value.expose()).map_err(|error| bad(None, error))?;
        let encryption = explicit.with_keyring(Keyring::new(keyset));
        return Ok(Completed { encryption, keyset_file: None, origin });
    }
    let path = value.expose().to_owned();
    let keyring = Keyring::new(read_file(&path, environment)?);
    let encryption = explicit.with_keyring(keyring.clone());
    Ok(Completed { encryption, keyset_file: Some(KeysetFile { path, keyring }), origin })
}

fn read_file(path: &str, environment: &Environment<'_>) -> Result<Keyset, ConfigError> {
    let mode = environment.mode(path);
    let mut can_be_shown = mode.is_some() || looks_like_a_path(path);
    let mut parse = || {
        // Reading a device or a pipe may never end.
        if let Some(mode) = mode {
            Keyset::check_mode(mode)?;
        }
        let bytes = environment.file(path).map(Zeroizing::new).ok_or(BadKeyset::Unreadable)?;
        can_be_shown = true;
        let text = std::str::from_utf8(&bytes);
        Keyset::parse(text.map_err(|_| BadKeyset::Malformed("text in UTF-8"))?)
    };
    let keyset = parse();
    keyset.map_err(|error| bad(can_be_shown.then(|| path.to_owned()), error))
}

fn bad(path: Option<String>, error: BadKeyset) -> ConfigError {
    ConfigError::BadKeyset { origin: Origin::Variable(VARIABLE), path, error }
}

/// Whether a text can be shown as the path of a missing file: a password or the secret of a key may
/// have been set instead of a path by mistake.
fn looks_like_a_path(text: &str) -> bool {
    let begins_as_one = ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start));
    let may_be_base64 = STANDARD_NO_PAD
        .decode(text.trim_end_matches('='))
        .is_ok_and(|bytes| bytes.len() >= SHORTEST_SECRET);
    text.ends_with(".json") || (begins_as_one && !may_be_base64)
}

//! The keyset: in a file, or as it is in the variable.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::environment::{Environment, Found, Origin};
use super::error::ConfigError;
use crate::secret::Secret;
use crate::wire::crypto::{BadKeyset, Encryption, KeySecret, Keyring, Keyset};

/// The variable with the path of a keyset file, or with the keyset itself.
const VARIABLE: &str = "IVY_KEYSET";

/// A keyset that was read from a file, so that it can be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysetFile {
    path: String,
    keyring: Keyring,
}

impl KeysetFile {
    /// Reads the file again and puts its keys in force.
    ///
    /// # Errors
    /// If the file cannot be read or used. Then the old keys stay in force.
    pub fn reload(&self, environment: &Environment<'_>) -> Result<(), ConfigError> {
        self.keyring.replace(read_file(&self.path, environment)?);
        Ok(())
    }
}

/// The encryption with its keys, and the file that they were found in.
pub(super) fn complete(
    given: Encryption,
    environment: &Environment<'_>,
) -> Result<(Encryption, Option<KeysetFile>), ConfigError> {
    if given.keyring().is_some() {
        return Ok((given, None));
    }
    let Some(Found { value, .. }) = environment.first(&[VARIABLE]) else {
        return Ok((given, None));
    };
    let value = Secret::new(value);
    if value.expose().trim_start().starts_with('{') {
        let keyset = Keyset::parse(value.expose()).map_err(|error| bad(None, error))?;
        return Ok((given.with_keyring(Keyring::new(keyset)), None));
    }
    let path = value.expose().to_owned();
    let keyring = Keyring::new(read_file(&path, environment)?);
    Ok((given.with_keyring(keyring.clone()), Some(KeysetFile { path, keyring })))
}

fn read_file(path: &str, environment: &Environment<'_>) -> Result<Keyset, ConfigError> {
    let read = || {
        if let Some(mode) = environment.mode(path) {
            Keyset::check_mode(mode)?;
        }
        let bytes = environment.file(path).map(Zeroizing::new).ok_or(BadKeyset::Unreadable)?;
        let text = std::str::from_utf8(&bytes);
        Keyset::parse(text.map_err(|_| BadKeyset::Malformed("text in UTF-8"))?)
    };
    read().map_err(|error| bad(looks_like_a_path(path).then(|| path.to_owned()), error))
}

fn bad(path: Option<String>, error: BadKeyset) -> ConfigError {
    ConfigError::BadKeyset { origin: Origin::Variable(VARIABLE), path, error }
}

/// Whether this can be shown: a password or the secret of a key may have been set in the place of a
/// path by mistake.
fn looks_like_a_path(text: &str) -> bool {
    let is_secret = STANDARD.decode(text).is_ok_and(|bytes| KeySecret::new(bytes.into()).is_ok());
    !is_secret && (text.contains(['/', '\\']) || text.ends_with(".json"))
}

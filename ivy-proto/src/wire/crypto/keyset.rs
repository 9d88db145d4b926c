//! Keysets: the keys of a deployment, and their statuses.

use std::fmt;

use super::key_id::KeyId;
use super::keys::{Derivation, InvalidSecret, KeySecret, Keys};
use crate::wire::{BadBody, DeadLetterReason};

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Opens frames, and seals them if it is the primary key.
    Enabled,
    /// Opens frames, and cannot become the primary key: not yet deployed everywhere, or being
    /// phased out.
    DecryptOnly,
    /// Opens nothing any more.
    Disabled,
}

impl KeyStatus {
    /// The status's name in a keyset file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Enabled => "enabled",
            KeyStatus::DecryptOnly => "decrypt_only",
            KeyStatus::Disabled => "disabled",
        }
    }

    pub(super) fn parse(text: &str) -> Option<KeyStatus> {
        [KeyStatus::Enabled, KeyStatus::DecryptOnly, KeyStatus::Disabled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// The keys of a deployment: one that seals, and any number that open.
///
/// ```
/// use ivy_proto::wire::crypto::{KeyId, KeySecret, KeyStatus, Keyset};
/// use zeroize::Zeroizing;
///
/// let secret = |byte| KeySecret::new(Zeroizing::new(vec![byte; 32]));
/// let (old, new) = (KeyId::new("2025")?, KeyId::new("2026")?);
/// let mut keyset = Keyset::new(old.clone(), secret(1)?);
/// keyset.add(new.clone(), KeyStatus::DecryptOnly, secret(2)?)?;
/// // Once all peers have the new key, it becomes the primary one.
/// keyset.set_status(&new, KeyStatus::Enabled)?;
/// keyset.set_primary(&new)?;
/// keyset.set_status(&old, KeyStatus::DecryptOnly)?;
/// assert_eq!(Keyset::parse(&keyset.to_json())?.primary(), &new);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Keyset {
    primary: KeyId,
    keys: Vec<Key>,
}

pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) status: KeyStatus,
    pub(super) secret: KeySecret,
    pub(super) derivation: Option<Derivation>,
    pub(super) keys: Keys,
}

/// A keyset or a change of it is invalid. Names the problem and the key, and never contains a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKeyset {
    /// The text is not the JSON of a keyset.
    #[error("the keyset must be {0}")]
    Malformed(&'static str),
    /// It has an unknown field.
    #[error("the keyset has an unknown field at byte {0}; is it misspelt?")]
    UnknownField(usize),
    /// It has no primary key.
    #[error("the keyset names no primary key, so nothing could be sealed")]
    NoPrimary,
    /// It has more than one primary key.
    #[error("the keyset names more than one primary key")]
    TwoPrimaries,
    /// The primary key, or the key to be changed, is not in the keyset.
    #[error("the keyset has no key {0}")]
    NoSuchKey(KeyId),
    /// The primary key is not enabled.
    #[error("key {0} is the primary one, so it must be enabled")]
    PrimaryNotEnabled(KeyId),
    /// Two keys have the same id.
    #[error("the keyset has two keys {0}; each id must be unique")]
    DuplicateKey(KeyId),
    /// A key has no valid id.
    #[error(
        "key number {0} of the keyset must have a `kid` of 1 to 16 characters of A-Z, a-z, 0-9, '.', '_' and '-'"
    )]
    BadKeyId(usize),
    /// A key has no valid status.
    #[error("key {0} must have the `status` enabled, decrypt_only or disabled")]
    BadStatus(KeyId),
    /// A key has no valid secret.
    #[error("key {id}: {error}")]
    BadSecret {
        /// The key.
        id: KeyId,
        /// What is wrong with its secret.
        error: InvalidSecret,
    },
    /// The derivation of a key is invalid.
    #[error(
        "key {0}: `argon2id` must have a salt of 16 bytes in base64 and the whole numbers m, t and p"
    )]
    BadDerivation(KeyId),
    /// The primary key cannot be removed.
    #[error("key {0} is the primary one; make another key primary first")]
    RemovesPrimary(KeyId),
    /// The file cannot be read.
    #[error("the keyset file cannot be read; check its path and its owner")]
    Unreadable,
    /// The path is a folder.
    #[error("it is a folder; name the keyset file in it")]
    Folder,
    /// The path is a device, a pipe or a socket.
    #[error("it is not a regular file; name a file, or a link to one")]
    NotAFile,
    /// Others than the file's owner and group may access it.
    #[error(
        "everyone on this host may read or write the keyset file (mode {mode:o}); change it to 600"
    )]
    Exposed {
        /// Its permissions.
        mode: u32,
    },
}

impl Keyset {
    /// A keyset with one key, which seals.
    #[must_use]
    pub fn new(id: KeyId, secret: KeySecret) -> Self {
        let primary = id.clone();
        Keyset { primary, keys: vec![Key::new(id, KeyStatus::Enabled, secret, None)] }
    }

    /// A keyset with one key that was derived from a password.
    #[must_use]
    pub fn new_derived(id: KeyId, secret: KeySecret, derivation: Derivation) -> Self {
        let primary = id.clone();
        let key = Key::new(id, KeyStatus::Enabled, secret, Some(derivation));
        Keyset { primary, keys: vec![key] }
    }

    /// Checks a keyset file before it is read. `mode` is the file mode of Unix, with the type of the
    /// file or without.
    ///
    /// # Errors
    /// If it is not a regular file, or if others than the owner and the group of the file may read or
    /// write it.
    pub fn check_mode(mode: u32) -> Result<(), BadKeyset> {
        match mode & 0o170_000 {
            0o040_000 => return Err(BadKeyset::Folder),
            0 | 0o100_000 => {}
            _ => return Err(BadKeyset::NotAFile),
        }
        let mode = mode & 0o777;
        if mode & 0o007 == 0 { Ok(()) } else { Err(BadKeyset::Exposed { mode }) }
    }

    pub(super) fn of(primary: KeyId, keys: Vec<Key>) -> Result<Self, BadKeyset> {
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).any(|earlier| earlier.id == key.id) {
                return Err(BadKeyset::DuplicateKey(key.id.clone()));
            }
        }
        match keys.iter().find(|key| key.id == primary) {
            None => Err(BadKeyset::NoSuchKey(primary)),
            Some(key) if key.status != KeyStatus::Enabled => {
                Err(BadKeyset::PrimaryNotEnabled(primary))
            }
            Some(_) => Ok(Keyset { primary, keys }),
        }
    }

    /// The key that seals.
    #[must_use]
    pub fn primary(&self) -> &KeyId {
        &self.primary
    }

    /// All keys, in the order in which they were added.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyId, KeyStatus)> {
        self.keys.iter().map(|key| (&key.id, key.status))
    }

    /// How a key was derived from a password, if it was.
    #[must_use]
    pub fn derivation(&self, id: &KeyId) -> Option<Derivation> {
        self.keys.iter().find(|key| key.id == *id).and_then(|key| key.derivation)
    }

    /// The secret of a key. Pass it only to code that needs it.
    #[must_use]
    pub fn secret(&self, id: &KeyId) -> Option<&KeySecret> {
        self.keys.iter().find(|key| key.id == *id).map(|key| &key.secret)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// If a key with this id exists.
    pub fn add(
        &mut self,
        id: KeyId,
        status: KeyStatus,
        secret: KeySecret,
    ) -> Result<(), BadKeyset> {
        self.add_key(Key::new(id, status, secret, None))
    }

    /// Adds a key that was derived from a password.
    ///
    /// # Errors
    /// If a key with this id exists.
    pub fn add_derived(
        &mut self,
        id: KeyId,
        status: KeyStatus,
        secret: KeySecret,
        derivation: Derivation,
    ) -> Result<(), BadKeyset> {
        self.add_key(Key::new(id, status, secret, Some(derivation)))
    }

    fn add_key(&mut self, key: Key) -> Result<(), BadKeyset> {
        if self.keys.iter().any(|other| other.id == key.id) {
            return Err(BadKeyset::DuplicateKey(key.id));
        }
        self.keys.push(key);
        Ok(())
    }

    /// Makes this key the primary one, which seals.
    ///
    /// # Errors
    /// If there is no such key, or it is not enabled.
    pub fn set_primary(&mut self, id: &KeyId) -> Result<(), BadKeyset> {
        if self.key(id)?.status != KeyStatus::Enabled {
            return Err(BadKeyset::PrimaryNotEnabled(id.clone()));
        }
        self.primary = id.clone();
        Ok(())
    }

    /// Sets the status of a key.
    ///
    /// # Errors
    /// If there is no such key, or if it is the primary one, which must be enabled.
    pub fn set_status(&mut self, id: &KeyId, status: KeyStatus) -> Result<(), BadKeyset> {
        if self.primary == *id && status != KeyStatus::Enabled {
            return Err(BadKeyset::PrimaryNotEnabled(id.clone()));
        }
        self.key(id)?.status = status;
        Ok(())
    }

    /// Removes a key. Frames that it sealed do not open any more.
    ///
    /// # Errors
    /// If there is no such key, or if it is the primary one.
    pub fn remove(&mut self, id: &KeyId) -> Result<(), BadKeyset> {
        self.key(id)?;
        if self.primary == *id {
            return Err(BadKeyset::RemovesPrimary(id.clone()));
        }
        self.keys.retain(|key| key.id != *id);
        Ok(())
    }

    fn key(&mut self, id: &KeyId) -> Result<&mut Key, BadKeyset> {
        self.keys
            .iter_mut()
            .find(|key| key.id == *id)
            .ok_or_else(|| BadKeyset::NoSuchKey(id.clone()))
    }

    pub(super) fn entries(&self) -> &[Key] {
        &self.keys
    }

    /// The key that seals.
    pub(super) fn sealing(&self) -> &Key {
        let is_primary = |key: &&Key| key.id == self.primary;
        self.keys.iter().find(is_primary).expect("a keyset has its primary key")
    }

    /// The key that opens a frame with this key id.
    pub(super) fn opening(&self, id: &KeyId) -> Result<&Key, BadBody> {
        let Some(key) = self.keys.iter().find(|key| key.id == *id) else {
            let rule = "the keyset of this worker has no such key; is the keyset outdated?";
            return Err(BadBody::with_key(DeadLetterReason::UnknownKey, rule, id));
        };
        if key.status == KeyStatus::Disabled {
            let rule = "the key is disabled";
            return Err(BadBody::with_key(DeadLetterReason::KeyDisabled, rule, id));
        }
        Ok(key)
    }
}

impl Key {
    pub(super) fn new(
        id: KeyId,
        status: KeyStatus,
        secret: KeySecret,
        derivation: Option<Derivation>,
    ) -> Self {
        let keys = Keys::of(&id, &secret);
        Key { id, status, secret, derivation, keys }
    }
}

impl fmt::Debug for Keyset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyset")
            .field("primary", &self.primary)
            .field("keys", &self.keys().collect::<Vec<_>>())
            .finish()
    }
}

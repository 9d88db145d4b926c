//! Keys for tests.

use zeroize::Zeroizing;

use super::{Encryption, KeyId, KeySecret, KeyStatus, Keyring, Keyset};
use crate::secret::Secret;

pub(crate) fn key_id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

pub(crate) fn key_secret(byte: u8) -> KeySecret {
    KeySecret::new(Zeroizing::new(vec![byte; 32])).unwrap()
}

/// A ring with the keys `k1` and `k2`, of which the first one seals.
pub(crate) fn keyring() -> Keyring {
    let mut keyset = Keyset::new(key_id("k1"), key_secret(1));
    keyset.add(key_id("k2"), KeyStatus::DecryptOnly, key_secret(2)).unwrap();
    Keyring::new(keyset)
}

/// The keys of [`keyring`], and the password `pass`.
pub(crate) fn both() -> Encryption {
    Encryption::new().with_keyring(keyring()).with_password(Secret::new("pass"))
}

//! The active keyset.

use std::sync::{Arc, Mutex, PoisonError};

use super::keyset::{BadKeyset, Keyset};

/// The active keyset, which can be replaced while messages are in flight. Clones share it. Each
/// message is sealed or opened with the keyset that is active then.
///
/// ```
/// use ivy_proto::wire::crypto::{Keyring, Keyset};
///
/// let json = r#"{"primary":"a","keys":[{"kid":"a","status":"enabled","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}"#;
/// let keyring = Keyring::new(Keyset::parse(json)?);
/// assert!(keyring.reload("not a keyset").is_err());
/// assert_eq!(keyring.current().primary().as_str(), "a");
/// # Ok::<(), ivy_proto::wire::crypto::BadKeyset>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring(Arc<Mutex<Arc<Keyset>>>);

impl Keyring {
    /// Activates this keyset.
    #[must_use]
    pub fn new(keyset: Keyset) -> Self {
        Keyring(Arc::new(Mutex::new(Arc::new(keyset))))
    }

    /// The active keyset.
    #[must_use]
    pub fn current(&self) -> Arc<Keyset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Activates another keyset.
    pub fn replace(&self, keyset: Keyset) {
        let keyset = Arc::new(keyset);
        // The old one is dropped, and wiped, after the lock was released.
        let old =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), keyset);
        drop(old);
    }

    /// Parses a keyset and activates it.
    ///
    /// # Errors
    /// If it is invalid. The old one stays active.
    pub fn reload(&self, json: &str) -> Result<(), BadKeyset> {
        self.replace(Keyset::parse(json)?);
        Ok(())
    }
}

/// Two are equal if they are the same instance.
impl PartialEq for Keyring {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Keyring {}

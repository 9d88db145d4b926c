//! AES-256-CBC with HMAC-SHA-512: A256CBC-HS512 of RFC 7518, section 5.2.5.

use std::fmt;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub(super) const BLOCK: usize = 16;
/// The fixed length of a tag: a shorter one would be easier to guess.
pub(super) const TAG: usize = 32;

/// HMAC-SHA-512, initialized with its key.
pub(super) type HmacSha512 = Hmac<Sha512>;

/// Authenticated encryption: the text is encrypted, then authenticated together with associated
/// data. The key is expanded once, and wiped on drop.
///
/// ```
/// use ivy_proto::wire::crypto::CbcHmac;
///
/// let cipher = CbcHmac::new(&[7; 64]);
/// let sealed = cipher.seal(&[1; 16], b"to whom", b"secret");
/// let (ciphertext, tag) = sealed.split_at(sealed.len() - 32);
/// assert_eq!(cipher.open(&[1; 16], b"to whom", ciphertext, tag)?.as_slice(), b"secret");
/// assert!(cipher.open(&[1; 16], b"to others", ciphertext, tag).is_err());
/// # Ok::<(), ivy_proto::wire::crypto::Unauthentic>(())
/// ```
pub struct CbcHmac {
    mac: HmacSha512,
    cipher: Aes256,
}

/// The frame does not open with this key in this place. A single error, whatever was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not authentic: it was altered, moved, or sealed with another key")]
pub struct Unauthentic;

/// The ciphertext is authentic, but has no padding: a bug of the peer that sealed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPadding;

impl CbcHmac {
    /// Expands the key: 32 bytes for authentication, 32 for encryption.
    #[must_use]
    pub fn new(key: &[u8; 64]) -> Self {
        let (mac, cipher) = key.split_at(32);
        CbcHmac { mac: hmac(mac), cipher: Aes256::new_from_slice(cipher).expect("32 bytes") }
    }

    /// Returns the ciphertext, followed by the tag of 32 bytes. An IV must be unpredictable, and
    /// must not be reused.
    #[must_use]
    pub fn seal(&self, iv: &[u8; BLOCK], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.seal_into(&mut sealed, iv, aad, plaintext);
        sealed
    }

    /// Returns the plaintext.
    ///
    /// # Errors
    /// If anything was altered. Nothing is decrypted then.
    pub fn open(
        &self,
        iv: &[u8; BLOCK],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unauthentic> {
        self.authenticate(iv, aad, ciphertext, tag)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = self.decrypt(iv, &mut buffer).map_err(|BadPadding| Unauthentic)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Appends the result of [`CbcHmac::seal`]. The plaintext is encrypted in place, and the
    /// capacity is reserved before it is written, so that no copy of it is left behind.
    pub(super) fn seal_into(
        &self,
        out: &mut Vec<u8>,
        iv: &[u8; BLOCK],
        aad: &[u8],
        plaintext: &[u8],
    ) {
        let start = out.len();
        let padded = sealed_len(plaintext.len()) - TAG;
        out.reserve_exact(padded + TAG);
        out.extend_from_slice(plaintext);
        out.resize(start + padded, 0);
        let encryptor = cbc::Encryptor::<Aes256>::inner_iv_init(self.cipher.clone(), iv.into());
        encryptor
            .encrypt_padded::<Pkcs7>(&mut out[start..], plaintext.len())
            .expect("capacity includes the padding");
        let tag = self.tag(iv, aad, &out[start..]);
        out.extend_from_slice(&tag);
    }

    /// # Errors
    /// If the tag does not match the text and key. The comparison takes constant time.
    pub(super) fn authenticate(
        &self,
        iv: &[u8; BLOCK],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<(), Unauthentic> {
        if same_tag(tag, &self.tag(iv, aad, ciphertext)) { Ok(()) } else { Err(Unauthentic) }
    }

    /// Decrypts authenticated ciphertext in place, and returns the length of the plaintext.
    pub(super) fn decrypt(
        &self,
        iv: &[u8; BLOCK],
        ciphertext: &mut [u8],
    ) -> Result<usize, BadPadding> {
        let decryptor = cbc::Decryptor::<Aes256>::inner_iv_init(self.cipher.clone(), iv.into());
        decryptor.decrypt_padded::<Pkcs7>(ciphertext).map(<[u8]>::len).map_err(|_| BadPadding)
    }

    fn tag(&self, iv: &[u8; BLOCK], aad: &[u8], ciphertext: &[u8]) -> [u8; TAG] {
        let aad_bits = 8 * aad.len() as u64;
        first(
            self.mac
                .clone()
                .chain_update(aad)
                .chain_update(iv)
                .chain_update(ciphertext)
                .chain_update(aad_bits.to_be_bytes()),
        )
    }
}

/// The length of ciphertext and tag.
pub(super) fn sealed_len(plaintext: usize) -> usize {
    (plaintext / BLOCK + 1) * BLOCK + TAG
}

/// HMAC-SHA-512 with this key.
pub(super) fn hmac(key: &[u8]) -> HmacSha512 {
    HmacSha512::new_from_slice(key).expect("HMAC accepts keys of any length")
}

/// The first bytes of an authentication code.
pub(super) fn first<const N: usize>(mac: HmacSha512) -> [u8; N] {
    let code = Zeroizing::new(<[u8; 64]>::from(mac.finalize().into_bytes()));
    let mut bytes = [0; N];
    bytes.copy_from_slice(&code[..N]);
    bytes
}

/// Compares a received tag with the correct one, in constant time.
pub(super) fn same_tag(tag: &[u8], right: &[u8; TAG]) -> bool {
    tag.len() == TAG && bool::from(tag.ct_eq(right))
}

impl fmt::Debug for CbcHmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CbcHmac([redacted])")
    }
}

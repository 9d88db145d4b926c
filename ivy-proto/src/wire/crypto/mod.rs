//! Protection of messages: keys, frames, and the policies of queues.
//!
//! frame | text | protects
//! --- | --- | ---
//! [legacy](crate::wire::LegacyKey) | `$aes-256-cbc$...` | against casual readers, as the Node package does
//! [`bridge`] | `$aes-256-cbc$...$h1$kid$tag` | the same, and against undetected alteration and moving; peers of the Node package can read it
//! [`ivy2`] | `$ivy2$kid$...` | against readers, alteration and moving
//!
//! Keys belong to a [`Keyset`], which a [`Keyring`] holds so that it can be replaced while messages
//! are in flight. An [`Encryption`] specifies which queue uses what. Randomness comes from the
//! caller as [`Entropy`], one for each message.
//!
//! A frame is bound to its [`Purpose`] and its place, see [`Binding`]: if it is moved to another
//! queue, or published as a notice, it does not open.

mod binding;
pub mod bridge;
mod cbc_hmac;
mod encryption;
mod entropy;
pub mod ivy2;
mod key_id;
mod keyring;
mod keys;
mod keyset;
mod keyset_file;
mod policy;
#[cfg(test)]
pub(crate) mod samples;

pub use binding::{Binding, Purpose};
pub use cbc_hmac::{CbcHmac, Unauthentic};
pub use encryption::{Encryption, InvalidEncryption};
pub(crate) use encryption::{OpenedBody, QueuePolicies};
pub use entropy::{Entropy, EntropyPool};
pub use key_id::{InvalidKeyId, KeyId};
pub use keyring::Keyring;
pub use keys::{Derivation, InvalidSecret, KeySecret, MessageKey, OpenedFrame};
pub use keyset::{BadKeyset, KeyStatus, Keyset};
pub use policy::{BodyForm, InvalidPolicy, Policy};

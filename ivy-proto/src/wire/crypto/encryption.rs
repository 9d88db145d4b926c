//! Encryption keys, and the policies of queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::binding::Binding;
use super::entropy::EntropyPool;
use super::key_id::KeyId;
use super::keyring::Keyring;
use super::keys::MessageKey;
use super::keyset::KeyStatus;
use super::policy::{BodyForm, Policy};
use super::{bridge, ivy2};
use crate::name::QueueName;
use crate::secret::Secret;
use crate::wire::frame::{FrameKind, split, unsupported_format};
use crate::wire::legacy::{Ciphertext, leading_spaces};
use crate::wire::{BadBody, DeadLetterReason, LegacyKey, Plaintext};

/// Which keys exist, and what each queue sends and accepts.
///
/// A queue without a policy of its own uses the default policy. Unless that is set, it is the safe
/// one for the given keys:
///
/// keys | default policy
/// --- | ---
/// none | [`Policy::plain`]
/// a password | [`Policy::legacy`]
/// a keyring | [`Policy::v2`]
/// both | [`Policy::bridge`]: peers of the Node package can read what is sent, but their messages are refused
///
/// ```
/// use ivy_proto::wire::Codec;
/// use ivy_proto::wire::crypto::{BodyForm, Encryption, Keyring, Keyset, Policy};
/// use ivy_proto::{QueueName, Secret};
///
/// # let json = r#"{"primary":"a","keys":[{"kid":"a","status":"enabled","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}"#;
/// let (mail, reports) = (QueueName::new("mail")?, QueueName::new("reports")?);
/// let encryption = Encryption::new()
///     .with_keyring(Keyring::new(Keyset::parse(json)?))
///     .with_password(Secret::new("the Node package's"))
///     // Peers of the Node package still send into this one.
///     .with_queue(mail.clone(), Policy::bridge_from_legacy())
///     .with_queue(reports.clone(), Policy::v2());
/// let codec = Codec::new(&encryption)?;
/// assert_eq!(codec.sends(&mail), BodyForm::Bridge);
/// assert_eq!(codec.sends(&reports), BodyForm::V2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    password: Option<Secret>,
    keyring: Option<Keyring>,
    policy: Option<Policy>,
    queues: BTreeMap<QueueName, Policy>,
}

/// The policies require keys that are missing or invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEncryption {
    /// The password is empty or white space.
    #[error(
        "the encryption password is empty or only white space; give a real one, or none at all"
    )]
    BlankPassword,
    /// A policy uses the Node package's frames, and there is no password.
    #[error("{} sends or accepts legacy or bridge frames, but there is no password; set MESSAGES_ENCRYPTION_KEY", describe(.queue))]
    NoPassword {
        /// The queue; `None` for the default policy.
        queue: Option<QueueName>,
    },
    /// A policy uses authenticated frames, and there is no keyset.
    #[error("{} sends v2 or bridge frames, or accepts nothing else, but there is no keyset; set IVY_KEYSET", describe(.queue))]
    NoKeyset {
        /// The queue; `None` for the default policy.
        queue: Option<QueueName>,
    },
}

fn describe(queue: &Option<QueueName>) -> String {
    match queue {
        Some(queue) => format!("queue {queue}"),
        None => "the encryption policy".to_owned(),
    }
}

impl Encryption {
    /// No keys yet: everything is plaintext.
    #[must_use]
    pub fn new() -> Self {
        Encryption::default()
    }

    /// Sets the Node package's password.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets the keyring. The owner of a clone can replace its keys.
    #[must_use]
    pub fn with_keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// Sets the default policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets the policy of a queue or route, with all its priorities and its dead letters. The name
    /// of one physical queue, such as `mail.p1`, applies only to that one.
    #[must_use]
    pub fn with_queue(mut self, queue: QueueName, policy: Policy) -> Self {
        self.queues.insert(queue, policy);
        self
    }

    /// The Node package's password, if there is one.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The keyring, if there is one.
    #[must_use]
    pub fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    /// The default policy.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or(match (&self.password, &self.keyring) {
            (None, None) => Policy::plain(),
            (Some(_), None) => Policy::legacy(),
            (None, Some(_)) => Policy::v2(),
            (Some(_), Some(_)) => Policy::bridge(),
        })
    }
}

/// The keys, and the validated policy of each queue.
#[derive(Debug)]
pub(crate) struct QueuePolicies {
    password: Option<Arc<LegacyKey>>,
    keyring: Option<Keyring>,
    all: QueuePolicy,
    queues: BTreeMap<QueueName, QueuePolicy>,
}

/// A queue's policy, with the keys for what it sends.
#[derive(Debug)]
pub(crate) struct QueuePolicy {
    pub(crate) policy: Policy,
    seal: Seal,
}

#[derive(Debug)]
enum Seal {
    Plain,
    Legacy(Arc<LegacyKey>),
    Bridge(Arc<LegacyKey>, Keyring),
    V2(Keyring),
}

/// The content of a body.
pub(crate) struct OpenedBody<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) form: BodyForm,
    pub(crate) message_key: Option<MessageKey>,
}

pub(crate) enum Text<'a> {
    Open(&'a str),
    Opened(Plaintext),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Text::Open(text) => text,
            Text::Opened(text) => text,
        }
    }
}

impl QueuePolicy {
    /// Seals a text as this queue sends it.
    pub(crate) fn seal(
        &self,
        binding: &Binding<'_>,
        text: String,
        pool: &mut EntropyPool,
    ) -> String {
        self.seal.seal(binding, text, pool)
    }
}

impl Seal {
    /// The seal of this form, with its keys.
    fn of(
        form: BodyForm,
        password: Option<&Arc<LegacyKey>>,
        keyring: Option<&Keyring>,
    ) -> Result<Self, Missing> {
        let password = || password.cloned().ok_or(Missing::Password);
        let keyring = || keyring.cloned().ok_or(Missing::Keyset);
        Ok(match form {
            BodyForm::Plain => Seal::Plain,
            BodyForm::Legacy => Seal::Legacy(password()?),
            BodyForm::Bridge => Seal::Bridge(password()?, keyring()?),
            BodyForm::V2 => Seal::V2(keyring()?),
        })
    }

    fn seal(&self, binding: &Binding<'_>, text: String, pool: &mut EntropyPool) -> String {
        let text = Plaintext::new(text);
        match self {
            Seal::Plain => text.into_open(),
            Seal::Legacy(password) => {
                let spaces = " ".repeat(leading_spaces(&text));
                password.encrypt(&Plaintext::new(spaces + &text))
            }
            Seal::Bridge(password, keyring) => {
                bridge::seal(password, &keyring.current(), pool.draw(), binding, &text)
            }
            Seal::V2(keyring) => ivy2::seal(&keyring.current(), pool.draw(), binding, &text),
        }
    }
}

impl QueuePolicies {
    /// The ids of the keys that open frames now, the one that seals first.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        let Some(keyset) = self.keyring.as_ref().map(Keyring::current) else { return Vec::new() };
        let primary = keyset.primary();
        let opens =
            |(id, status): &(&KeyId, KeyStatus)| *status != KeyStatus::Disabled && *id != primary;
        let others = keyset.keys().filter(opens).map(|(id, _)| id);
        [primary].into_iter().chain(others).cloned().collect()
    }

    pub(crate) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    pub(crate) fn plain() -> Self {
        let all = QueuePolicy { policy: Policy::plain(), seal: Seal::Plain };
        QueuePolicies { password: None, keyring: None, all, queues: BTreeMap::new() }
    }

    pub(crate) fn legacy(key: LegacyKey) -> Self {
        let key = Arc::new(key);
        let all = QueuePolicy { policy: Policy::legacy(), seal: Seal::Legacy(key.clone()) };
        QueuePolicies { password: Some(key), keyring: None, all, queues: BTreeMap::new() }
    }

    pub(crate) fn of(encryption: &Encryption) -> Result<Self, InvalidEncryption> {
        let password = match &encryption.password {
            None => None,
            Some(password) => Some(Arc::new(
                LegacyKey::new(password.expose()).map_err(|_| InvalidEncryption::BlankPassword)?,
            )),
        };
        let keyring = encryption.keyring.clone();
        let queue_policy = |policy: Policy, queue: Option<&QueueName>| {
            queue_policy(policy, password.as_ref(), keyring.as_ref()).map_err(|missing| {
                match missing {
                    Missing::Password => InvalidEncryption::NoPassword { queue: queue.cloned() },
                    Missing::Keyset => InvalidEncryption::NoKeyset { queue: queue.cloned() },
                }
            })
        };
        let all = queue_policy(encryption.policy(), None)?;
        let queues = encryption.queues.iter();
        let queues = queues
            .map(|(queue, policy)| Ok((queue.clone(), queue_policy(*policy, Some(queue))?)))
            .collect::<Result<_, _>>()?;
        Ok(QueuePolicies { password, keyring, all, queues })
    }

    /// The policy of a physical queue: its own, that of the queue whose priority or dead letters it
    /// is, or the default.
    pub(crate) fn queue(&self, queue: &QueueName) -> &QueuePolicy {
        if self.queues.is_empty() {
            return &self.all;
        }
        let name = queue.as_str();
        let live = name.strip_suffix(".dead").unwrap_or(name);
        let names = [name, live, queue_of_priority(live)];
        names.into_iter().find_map(|name| self.queues.get(name)).unwrap_or(&self.all)
    }

    /// Seals a text in this form, whatever the policies send. `None` if a key for it is missing.
    pub(crate) fn seal_as(
        &self,
        form: BodyForm,
        binding: &Binding<'_>,
        text: String,
        pool: &mut EntropyPool,
    ) -> Option<String> {
        let seal = Seal::of(form, self.password.as_ref(), self.keyring.as_ref()).ok()?;
        Some(seal.seal(binding, text, pool))
    }

    /// Seals a text as each policy sends it, and opens it as the policy accepts it. Returns the queue
    /// of the first policy for which that fails, unless it is the default one.
    pub(crate) fn check(
        &self,
        text: &str,
        pool: &mut EntropyPool,
    ) -> Result<(), (Option<QueueName>, BadBody)> {
        let queues = self.queues.iter().map(|(queue, policy)| (Some(queue), policy));
        for (queue, policy) in [(None, &self.all)].into_iter().chain(queues) {
            let binding = Binding::check(queue);
            let sealed = policy.seal(&binding, text.to_owned(), pool);
            let opened = self.open(policy.policy, &binding, &sealed);
            opened.map_err(|why| (queue.cloned(), why))?;
        }
        Ok(())
    }

    /// Opens a body that the policy accepts.
    pub(crate) fn open<'a>(
        &self,
        policy: Policy,
        binding: &Binding<'_>,
        text: &'a str,
    ) -> Result<OpenedBody<'a>, BadBody> {
        match split(text)? {
            FrameKind::Open(_) | FrameKind::OtherFormat if !policy.accepts(BodyForm::Plain) => {
                Err(not_protected(policy))
            }
            FrameKind::Open(text) => {
                let text = Text::Open(text);
                Ok(OpenedBody { text, form: BodyForm::Plain, message_key: None })
            }
            FrameKind::OtherFormat => Err(unsupported_format()),
            FrameKind::Legacy(base64) => {
                let ciphertext = Ciphertext::decode(base64)?;
                self.open_legacy(policy, ciphertext)
            }
            FrameKind::Bridge { base64, signed, suffix } => {
                let ciphertext = Ciphertext::decode(base64)?;
                match (&self.password, &self.keyring) {
                    (Some(password), Some(keyring)) if policy.accepts(BodyForm::Bridge) => {
                        let keyset = keyring.current();
                        let key = bridge::verify(&keyset, binding, signed, suffix)?;
                        let text = Text::Opened(password.open(ciphertext)?);
                        Ok(OpenedBody { text, form: BodyForm::Bridge, message_key: Some(key) })
                    }
                    // Peers of the Node package ignore the tag as well.
                    _ => self.open_legacy(policy, ciphertext),
                }
            }
            FrameKind::V2(content) => {
                let parts = ivy2::Parts::parse(content)?;
                match &self.keyring {
                    Some(keyring) if policy.accepts(BodyForm::V2) => {
                        let frame = parts.open(&keyring.current(), binding)?;
                        let message_key = Some(frame.message_key);
                        let text = Text::Opened(frame.text);
                        Ok(OpenedBody { text, form: BodyForm::V2, message_key })
                    }
                    _ => Err(no_key()),
                }
            }
        }
    }

    /// Opens any body that there are keys for.
    pub(crate) fn open_any<'a>(
        &self,
        binding: &Binding<'_>,
        text: &'a str,
    ) -> Result<OpenedBody<'a>, BadBody> {
        self.open(Policy::anything(), binding, text)
    }

    fn open_legacy<'a>(
        &self,
        policy: Policy,
        ciphertext: Ciphertext,
    ) -> Result<OpenedBody<'a>, BadBody> {
        match &self.password {
            _ if policy.is_authenticated_only() => Err(not_protected(policy)),
            Some(password) if policy.accepts(BodyForm::Legacy) => {
                let text = Text::Opened(password.open(ciphertext)?);
                Ok(OpenedBody { text, form: BodyForm::Legacy, message_key: None })
            }
            _ => Err(no_key()),
        }
    }
}

enum Missing {
    Password,
    Keyset,
}

fn queue_policy(
    policy: Policy,
    password: Option<&Arc<LegacyKey>>,
    keyring: Option<&Keyring>,
) -> Result<QueuePolicy, Missing> {
    let accepts = |form| policy.accepts(form);
    if (accepts(BodyForm::Legacy) || accepts(BodyForm::Bridge)) && password.is_none() {
        return Err(Missing::Password);
    }
    // Without a keyset, the tags of bridge frames are ignored if legacy frames are accepted too.
    let insists_on_tags = accepts(BodyForm::Bridge) && !accepts(BodyForm::Legacy);
    if (insists_on_tags || accepts(BodyForm::V2)) && keyring.is_none() {
        return Err(Missing::Keyset);
    }
    let seal = Seal::of(policy.sends(), password, keyring)?;
    Ok(QueuePolicy { policy, seal })
}

/// The name without its priority suffix.
fn queue_of_priority(name: &str) -> &str {
    match name.rsplit_once(".p") {
        Some((queue, digit)) if digit.len() == 1 && ("1"..="9").contains(&digit) => queue,
        _ => name,
    }
}

fn not_protected(policy: Policy) -> BadBody {
    if policy.is_authenticated_only() {
        let rule = "the body is less protected than this queue requires; anyone who can post could have written it";
        return BadBody::new(DeadLetterReason::Downgrade, rule);
    }
    let rule = "the body is not encrypted, but this queue accepts only encrypted ones";
    BadBody::new(DeadLetterReason::ExpectedEncrypted, rule)
}

fn no_key() -> BadBody {
    BadBody::new(
        DeadLetterReason::NoKey,
        "the body is encrypted, and there is no key for it here; provide the sender's password or keyset, and a policy that accepts it",
    )
}

#[cfg(test)]
mod tests;

//! F12: keys that differ between hosts, and that are replaced while messages are in flight.

use std::collections::VecDeque;
use std::time::Duration;

use ivy_proto::wire::crypto::{Encryption, KeyId, KeySecret, KeyStatus, Keyring, Keyset, Policy};
use ivy_proto::wire::{Codec, LegacyKey};
use ivy_proto::{Moment, Secret};
use zeroize::Zeroizing;

use crate::fault::Class;
use crate::fault_injection::stream_of;
use crate::setup::{PASSWORD, Setup, WRONG_PASSWORD};

/// The stream of the times at which keys are replaced.
const KEYS: u64 = 1 << 33;
/// The stage of a rotation at which the old key only opens.
const ROTATED: u64 = 3;
/// The stage at which the old key does not even open: too early if its messages are still in
/// flight.
const DISABLED: u64 = 4;

/// The keys of each host.
pub(crate) struct Keys {
    /// Of the hosts that have every key.
    reader: Codec,
    hosts: Vec<HostKeys>,
    updates: VecDeque<KeysetUpdate>,
}

struct HostKeys {
    codec: Codec,
    keyring: Option<Keyring>,
}

/// Gives a host the keyset of this stage, or an invalid one.
struct KeysetUpdate {
    at: Moment,
    host: usize,
    stage: u64,
}

impl Keys {
    pub(crate) fn new(setup: &Setup) -> Keys {
        let worker = setup.producers;
        let policy = policy(setup);
        let legacy = |password| Codec::legacy(LegacyKey::new(password).expect("a password"));
        let host = || match policy {
            Some(policy) => {
                let keyring = Keyring::new(keyset(0));
                HostKeys { codec: codec(policy, keyring.clone()), keyring: Some(keyring) }
            }
            None => HostKeys { codec: reader(setup), keyring: None },
        };
        let mut hosts: Vec<HostKeys> =
            (0..setup.producers + setup.workers).map(|_| host()).collect();
        match setup.seed % 4 {
            _ if !setup.has(Class::Keys) => {}
            0 => hosts[worker].codec = Codec::plain(),
            1 => hosts[worker].codec = legacy(WRONG_PASSWORD),
            _ => {}
        }
        let updates = if setup.has(Class::Keys) && policy.is_some() {
            updates(setup, hosts.len())
        } else {
            VecDeque::new()
        };
        Keys { reader: reader(setup), hosts, updates }
    }

    /// The codec of hosts that have every key.
    pub(crate) fn reader(&self) -> &Codec {
        &self.reader
    }

    pub(crate) fn codec_of(&self, host: usize) -> Codec {
        self.hosts[host].codec.clone()
    }

    /// Distributes the keysets that are due.
    pub(crate) fn distribute(&mut self, now: Moment) {
        while self.updates.front().is_some_and(|update| update.at <= now)
            && let Some(update) = self.updates.pop_front()
        {
            let Some(keyring) = &self.hosts[update.host].keyring else { continue };
            assert!(
                keyring.reload("{\"primary\":\"new\",\"keys\":[]}").is_err(),
                "an invalid keyset is refused"
            );
            keyring.replace(keyset(update.stage));
        }
    }

    /// Ends a rotation: every host has the new key, and the old one only opens.
    pub(crate) fn finish_rotation(&mut self) {
        self.updates.clear();
        for keyring in self.hosts.iter().filter_map(|host| host.keyring.as_ref()) {
            keyring.replace(keyset(ROTATED));
        }
    }
}

/// The policy of all queues, if they use keysets.
fn policy(setup: &Setup) -> Option<Policy> {
    match setup.seed % 4 {
        _ if !setup.encrypted => None,
        2 => Some(Policy::v2()),
        3 => Some(Policy::bridge()),
        _ => None,
    }
}

fn reader(setup: &Setup) -> Codec {
    match policy(setup) {
        Some(policy) => codec(policy, Keyring::new(keyset(ROTATED))),
        None if setup.encrypted => Codec::legacy(LegacyKey::new(PASSWORD).expect("a password")),
        None => Codec::plain(),
    }
}

fn codec(policy: Policy, keyring: Keyring) -> Codec {
    let encryption = Encryption::new().with_keyring(keyring).with_password(Secret::new(PASSWORD));
    Codec::new(&encryption.with_policy(policy)).expect("all keys exist")
}

/// The keyset at a stage of the rotation: the new key is added, becomes the primary one, the old
/// one only opens, and is disabled.
fn keyset(stage: u64) -> Keyset {
    let id = |text| KeyId::new(text).expect("an id");
    let secret = |byte| KeySecret::new(Zeroizing::new(vec![byte; 32])).expect("a secret");
    let (old, new) = (id("old"), id("new"));
    let mut keyset = Keyset::new(old.clone(), secret(1));
    if stage >= 1 {
        keyset.add(new.clone(), KeyStatus::DecryptOnly, secret(2)).expect("the key is new");
    }
    if stage >= 2 {
        keyset.set_status(&new, KeyStatus::Enabled).expect("the key exists");
        keyset.set_primary(&new).expect("the key is enabled");
    }
    if stage >= ROTATED {
        let status = if stage >= DISABLED { KeyStatus::Disabled } else { KeyStatus::DecryptOnly };
        keyset.set_status(&old, status).expect("the key is not the primary one");
    }
    keyset
}

/// When each host gets each keyset: in order, and so far apart that one host may seal with a key
/// that another does not have yet. In some runs, the first worker loses the old key too early.
fn updates(setup: &Setup, hosts: usize) -> VecDeque<KeysetUpdate> {
    let mut rng = stream_of(setup.seed, KEYS);
    let fault_seconds = Duration::from_secs(setup.fault_seconds);
    let mut updates = Vec::new();
    for host in 0..hosts {
        let careless = host == setup.producers && setup.seed % 8 >= 6;
        let last = if careless { DISABLED } else { ROTATED };
        let mut times: Vec<Duration> =
            (1..=last).map(|_| rng.between(Duration::ZERO, fault_seconds)).collect();
        times.sort();
        for (stage, at) in (1..=last).zip(times) {
            updates.push(KeysetUpdate { at: Moment::EPOCH + at, host, stage });
        }
    }
    updates.sort_by_key(|update| update.at);
    updates.into()
}

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
    hosts: Vec<Host>,
    turns: VecDeque<Turn>,
}

struct Host {
    codec: Codec,
    ring: Option<Keyring>,
}

/// Gives a host the keyset of this stage, or an invalid one.
struct Turn {
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
                let ring = Keyring::new(keyset(0));
                Host { codec: codec(policy, ring.clone()), ring: Some(ring) }
            }
            None => Host { codec: reader(setup), ring: None },
        };
        let mut hosts: Vec<Host> = (0..setup.producers + setup.workers).map(|_| host()).collect();
        match setup.seed % 4 {
            _ if !setup.has(Class::Keys) => {}
            0 => hosts[worker].codec = Codec::plain(),
            1 => hosts[worker].codec = legacy(WRONG_PASSWORD),
            _ => {}
        }
        let turns = if setup.has(Class::Keys) && policy.is_some() {
            turns(setup, hosts.len())
        } else {
            VecDeque::new()
        };
        Keys { reader: reader(setup), hosts, turns }
    }

    /// The codec of hosts that have every key.
    pub(crate) fn reader(&self) -> &Codec {
        &self.reader
    }

    pub(crate) fn codec_of(&self, host: usize) -> Codec {
        self.hosts[host].codec.clone()
    }

    /// Distributes the keysets that are due.
    pub(crate) fn turn(&mut self, now: Moment) {
        while self.turns.front().is_some_and(|turn| turn.at <= now)
            && let Some(turn) = self.turns.pop_front()
        {
            let Some(ring) = &self.hosts[turn.host].ring else { continue };
            assert!(
                ring.reload("{\"primary\":\"new\",\"keys\":[]}").is_err(),
                "an invalid keyset is refused"
            );
            ring.replace(keyset(turn.stage));
        }
    }

    /// Ends a rotation: every host has the new key, and the old one only opens.
    pub(crate) fn settle(&mut self) {
        self.turns.clear();
        for ring in self.hosts.iter().filter_map(|host| host.ring.as_ref()) {
            ring.replace(keyset(ROTATED));
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

fn codec(policy: Policy, ring: Keyring) -> Codec {
    let encryption = Encryption::new().with_keyring(ring).with_password(Secret::new(PASSWORD));
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
fn turns(setup: &Setup, hosts: usize) -> VecDeque<Turn> {
    let mut rng = stream_of(setup.seed, KEYS);
    let fault_seconds = Duration::from_secs(setup.fault_seconds);
    let mut turns = Vec::new();
    for host in 0..hosts {
        let careless = host == setup.producers && setup.seed % 8 >= 6;
        let last = if careless { DISABLED } else { ROTATED };
        let mut times: Vec<Duration> =
            (1..=last).map(|_| rng.between(Duration::ZERO, fault_seconds)).collect();
        times.sort();
        for (stage, at) in (1..=last).zip(times) {
            turns.push(Turn { at: Moment::EPOCH + at, host, stage });
        }
    }
    turns.sort_by_key(|turn| turn.at);
    turns.into()
}
